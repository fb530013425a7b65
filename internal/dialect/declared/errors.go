package declared

import (
	"net/http"
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/web"
)

// failure is how an error is answered.
type failure struct {
	at     int
	status int // 0: the usual one of the code
	body   *template
	plain  *template // where there is no detail; nil: body
}

// answers are those of all errors, by their codes.
type answers map[auth.Code]*failure

// credential are the codes about a credential: what is told of one must not tell more.
var credential = []auth.Code{
	auth.CodeBadCredentials, auth.CodeFactorRequired, auth.CodeFactorInvalid,
	auth.CodeTokenMissing, auth.CodeTokenInvalid, auth.CodeTokenReused, auth.CodeSessionEnded,
}

// reserved are statuses that say something else than that a credential was refused.
var reserved = []int{
	http.StatusMethodNotAllowed, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge,
	http.StatusUnsupportedMediaType, http.StatusTooManyRequests,
}

// readErrors reads [[error]] tables. Those of a route stand before the dialect's.
func (r *reader) readErrors(tables []*section, general answers) answers {
	all, others := answers{}, (*failure)(nil)
	for _, s := range tables {
		f := &failure{at: s.at}
		var at int
		f.status, at = s.number("status")
		codes := s.texts("codes")
		if s.find("codes") == nil {
			s.missing("codes")
		}
		f.body = r.compile(s.needText("json"), onError)
		f.plain = r.compile(s.text("json_no_detail"), onError)
		if f.plain != nil && f.plain.uses["detail"] {
			r.fail(s.find("json_no_detail").at, "json_no_detail is for where there is no ${detail}")
		}
		s.end()
		for _, n := range codes {
			code := auth.Code(n.text)
			switch {
			case n.text == "*" && others == nil && general == nil:
				others = f
			case n.text == "*" && general != nil:
				r.fail(n.at, `codes: "*" is for the [[error]] tables of the dialect, not of a route`)
			case n.text != "*" && !slices.Contains(auth.Codes(), code):
				r.fail(n.at, "codes: %q is not one of %s", n.text, codeList())
			case n.text == "*" || all[code] != nil:
				r.fail(n.at, "codes: %q is there twice", n.text)
			default:
				all[code] = f
				r.checkStatus(code, f.status, at)
			}
		}
	}
	for _, code := range auth.Codes() {
		if all[code] == nil && general != nil {
			all[code] = general[code]
		} else if all[code] == nil && others != nil {
			all[code] = others
			r.checkStatus(code, others.status, others.at)
		}
	}
	return all
}

func codeList() string {
	var names []string
	for _, code := range auth.Codes() {
		names = append(names, string(code))
	}
	return strings.Join(names, ", ")
}

// checkStatus holds the statuses of errors to what clients, proxies and the server's own
// headers need: those about a credential are a refusal, the others say what they are.
func (r *reader) checkStatus(code auth.Code, status, at int) {
	switch usual := web.Status(code); {
	case status == 0 || status == usual:
	case code != auth.CodeInvalidInput && code != auth.CodeForbidden && !slices.Contains(credential, code):
		r.fail(at, "the status of %s is %d, always", code, usual)
	case status < 400 || status > 499 || slices.Contains(reserved, status):
		r.fail(at, "the status of %s must be from 400 to 499, and none of 405, 408, 413, 415, 429", code)
	}
}

// checkErrors sees that every code has an answer, and that answers about credentials tell
// nothing but that one was refused.
func (d *Definition) checkErrors(s *section) {
	for _, code := range auth.Codes() {
		if d.errors[code] == nil {
			s.fail(s.at, `no [[error]] has the code %q, and none has "*"`, code)
			return
		}
	}
	alike := [][]auth.Code{
		{auth.CodeBadCredentials},
		{auth.CodeTokenInvalid, auth.CodeTokenReused, auth.CodeSessionEnded},
		{auth.CodeFactorRequired, auth.CodeFactorInvalid},
	}
	if !d.has(flowBegin) {
		alike[0], alike[2] = append(alike[0], alike[2]...), nil
	}
	check := func(a answers) {
		for _, codes := range alike {
			for _, code := range codes {
				if !a[code].like(a[codes[0]]) {
					s.fail(a[code].at, "%s and %s must have the same answer", codes[0], code)
				}
			}
		}
		for _, code := range credential {
			if b := a[code].body; b != nil && b.uses["detail"] {
				s.fail(a[code].at, "the answer of %s must not have ${detail}: give it one of its own", code)
			}
		}
	}
	check(d.errors)
	for _, r := range d.routes {
		for _, code := range auth.Codes() { // those that a route does not have are the dialect's
			if r.errors[code] == nil {
				r.errors[code] = d.errors[code]
			}
		}
		check(r.errors)
	}
}

func (f *failure) like(g *failure) bool {
	return f == g || f.status == g.status && f.body.same(g.body) && f.plain.same(g.plain)
}

func (t *template) same(u *template) bool {
	return t == u || t != nil && u != nil && t.text == u.text
}

// encode gives every code its status and body; one that is not known is a fault of ours.
func (a answers) encode(p web.Problem) (int, any) {
	f, known := a[p.Code]
	if !known {
		p.Code = auth.CodeInternal
		f = a[p.Code]
	}
	v := &values{problem: &p, status: f.status}
	if f.status == 0 {
		v.status = web.Status(p.Code)
	}
	body := f.body
	if p.Detail == "" && f.plain != nil {
		body = f.plain
	}
	if body == nil {
		return v.status, nil
	}
	return v.status, body.render(v)
}
