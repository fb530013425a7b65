package declared

import (
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/pattern"
	"github.com/ostiary/ostiary/internal/web"
)

// flow is what a route has the core do.
type flow string

const (
	flowSignIn   flow = "sign_in"  // a name and a password open a session
	flowBegin    flow = "begin"    // a name and a password give a ticket
	flowComplete flow = "complete" // a ticket and a code open a session
	flowRefresh  flow = "refresh"  // a refresh token is spent for its successor
	flowRenew    flow = "renew"    // a live access credential gets another in its session
	flowLogout   flow = "logout"   // ends the session of a live access credential
)

// flows are what each needs of a request, and where its answer's placeholders have values.
var flows = map[flow]struct {
	needs []string
	in    scope
}{
	flowSignIn: {nil, onSignIn}, flowBegin: {nil, onBegin},
	flowComplete: {[]string{"ticket", "code"}, onComplete},
	flowRefresh:  {[]string{"token"}, onRefresh},
	flowRenew:    {[]string{"token"}, onRenew}, flowLogout: {[]string{"token"}, onLogout},
}

func (f flow) password() bool { return f == flowSignIn || f == flowBegin }

// from is where a value is in a request: a header, or a member of the body.
type from struct {
	headers []string
	scheme  string // in lower case; "": all of the header
	raw     bool   // user:password as it is, not in base64
	member  string // "a.b" is a member of a member
}

// route is an endpoint, or one of several that a member of the body tells apart.
type route struct {
	at     int
	path   string
	method string
	body   web.Body
	flow   flow
	when   *from  // claims requests by the scheme of a header, or picks them by a member
	is     string // of the member
	from   map[string]*from

	status  int
	headers []header
	json    *template
	uses    map[string]bool // the placeholders of the answer
	own     bool            // it has errors of its own
	errors  answers
}

// header is one of an answer.
type header struct {
	name  string
	parts []part
}

var bodies = map[string]web.Body{
	"json": web.BodyJSON, "empty": web.BodyEmpty, "ignored": web.BodyIgnored, "form": web.BodyForm,
}

var (
	pathText   = pattern.New(`^(/[A-Za-z0-9._~-]+)+$`)
	memberName = pattern.New(`^[A-Za-z0-9_$@:][A-Za-z0-9_$@:-]{0,63}(\.[A-Za-z0-9_$@:][A-Za-z0-9_$@:-]{0,63}){0,7}$`)
	headerName = pattern.New(`^[A-Za-z0-9!#$%&'*+.^_|~-]{1,64}$`) // RFC 9110, section 5.6.2
	schemeName = pattern.New(`^[A-Za-z][A-Za-z0-9_-]{0,31}$`)
	headerText = pattern.New(`^[ -~]*$`)
)

// serversHeaders are those of answers that the server sets itself, or that would let an
// answer do more than tell; a name that ends in "-" stands for all that begin so.
var serversHeaders = []string{
	"Access-Control-", "Allow", "Cache-Control", "Connection", "Content-", "Date", "Deprecation", "Keep-Alive", "Link", "Location",
	"Proxy-", "Refresh", "Retry-After", "Server", "Set-Cookie", "Set-Cookie2", "Strict-Transport-Security", "Sunset", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade", "Vary", "Www-Authenticate", "X-Content-Type-Options", "X-Request-Id",
}

func (d *Definition) readRoutes(root *section) {
	tables := root.tables("route")
	if len(tables) == 0 {
		root.missing("route")
	}
	for _, s := range tables {
		if d.routes = append(d.routes, d.readRoute(s)); s.err != nil {
			return
		}
	}
	for i, r := range d.routes {
		for _, other := range d.routes[:i] {
			if r.path == other.path && r.claim() == other.claim() {
				checkBeside(root.reader, r, other)
			}
		}
	}
}

// claim is how the headers of a request tell that it is for the route; "" if they don't.
func (r *route) claim() string {
	if r.when == nil || r.when.member != "" {
		return ""
	}
	return r.when.scheme + " " + strings.Join(r.when.headers, " ")
}

// checkBeside sees that two routes of one path can be told apart by a member.
func checkBeside(rd *reader, r, other *route) {
	switch {
	case r.method != other.method || r.body != other.body || r.status != other.status:
		rd.fail(r.at, "routes of one path must have the same method, body, and status")
	case r.when == nil || other.when == nil || r.when.member == "" || r.when.member != other.when.member || r.is == other.is:
		rd.fail(r.at, `two routes take the same requests at %s: tell them apart by "when"`, r.path)
	case r.own:
		rd.fail(r.at, "the errors of one path stand at its first route")
	}
}

func (d *Definition) readRoute(s *section) *route {
	r := &route{at: s.at, uses: map[string]bool{}, from: map[string]*from{}}
	r.path = s.readPath()
	r.method = s.word("method", http.MethodPost, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodGet)
	if s.needText("body") != nil {
		r.body = bodies[s.word("body", "json", slices.Sorted(maps.Keys(bodies))...)]
	}
	if r.method == http.MethodGet && r.body != web.BodyIgnored {
		s.fail(s.at, `a GET has no body: body = "ignored"`)
	}
	if s.needText("flow") != nil {
		r.flow = flow(s.word("flow", "sign_in", "sign_in", "begin", "complete", "refresh", "renew", "logout"))
	}
	r.readWhen(s)
	r.readSources(s)
	r.readAnswer(s)
	own := s.tables("error")
	r.own, r.errors = len(own) > 0, s.readErrors(own, d.errors)
	s.end()
	return r
}

func (s *section) readPath() string {
	n := s.needText("path")
	if n == nil {
		return ""
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(n.text, "/"), "/")
	switch {
	case !pathText.MatchString(n.text) || path.Clean(n.text) != n.text || len(n.text) > 255:
		s.fail(n.at, "path: %q must be a clean path of letters, digits and ._~- that does not end in /", n.text)
	case strings.EqualFold(first, "ostiary") || strings.EqualFold(first, ".well-known"):
		s.fail(n.at, "path: %q is in the server's own URL space: /ostiary and /.well-known are taken", n.text)
	}
	return n.text
}

func (r *route) readWhen(s *section) {
	t := s.sub("when")
	if t == nil {
		return
	}
	r.when = r.readFrom(t, "scheme")
	is := t.text("is")
	t.end()
	switch {
	case s.err != nil:
	case r.when.member != "" && is == nil:
		t.missing("is")
	case r.when.member != "":
		r.is = is.text
	case is != nil:
		s.fail(is.at, "is: goes with a member")
	case r.when.scheme == "":
		t.missing("scheme")
	}
}

// readFrom reads where a value is. more are keys that it may have beside its place.
func (r *route) readFrom(t *section, more ...string) *from {
	f := &from{}
	for _, n := range t.texts("header") {
		if !headerName.MatchString(n.text) || strings.EqualFold(n.text, "Cookie") || strings.EqualFold(n.text, "Host") {
			t.fail(n.at, "header: %q is no header that a credential can be in", n.text)
		}
		f.headers = append(f.headers, http.CanonicalHeaderKey(n.text))
	}
	if slices.Contains(more, "scheme") {
		f.scheme = strings.ToLower(t.matching("scheme", schemeName, "a scheme: letters, digits, _ and -"))
	}
	if slices.Contains(more, "raw") {
		f.raw = t.boolean("raw")
	}
	f.member = t.matching("member", memberName, "the name of a member, or several with dots between")
	switch hasBody := r.body == web.BodyJSON || r.body == web.BodyEmpty || r.body == web.BodyForm; {
	case (f.headers == nil) == (f.member == ""):
		t.fail(t.at, `%s needs either "header" or "member"`, t.what)
	case f.member != "" && !hasBody:
		t.fail(t.find("member").at, "member: this route reads no body")
	case f.member != "" && (f.scheme != "" || f.raw):
		t.fail(t.at, `"scheme" and "raw" go with a header`)
	}
	return f
}

// readSources reads where the flow's values are.
func (r *route) readSources(s *section) {
	needs := flows[r.flow].needs
	if r.flow.password() {
		needs = []string{"username", "password"}
		if s.find("login") != nil {
			needs = []string{"login"}
		}
	}
	for _, name := range needs {
		t := s.sub(name)
		if t == nil {
			if s.find(name) == nil {
				s.fail(s.at, "flow %q needs %q", r.flow, name)
			}
			continue
		}
		switch t.what = name; name {
		case "login":
			r.from[name] = r.readFrom(t, "scheme", "raw")
			if r.from[name].member != "" {
				t.fail(t.at, "login: user and password in one are in a header")
			}
		default:
			r.from[name] = r.readFrom(t, "scheme")
		}
		t.end()
	}
	r.checkMembers(s)
}

// members are those of the body that the route reads, sorted.
func (r *route) members() (all []string) {
	for _, f := range r.from {
		all = append(all, f.member)
	}
	if r.when != nil {
		all = append(all, r.when.member)
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(m string) bool { return m == "" })
}

// checkMembers sees that no member is both a text and an object, and none two things.
func (r *route) checkMembers(s *section) {
	all, count := r.members(), 0
	for _, f := range r.from {
		if f.member != "" {
			count++
		}
	}
	if r.when != nil && r.when.member != "" {
		count++
	}
	if count != len(all) {
		s.fail(s.at, "one member of the body can't be two things")
	}
	for _, a := range all {
		for _, b := range all {
			if r.body != web.BodyForm && strings.HasPrefix(b, a+".") {
				s.fail(s.at, "the member %q can't be both a text and an object", a)
			}
		}
	}
}

func (r *route) readAnswer(s *section) {
	t := s.sub("answer")
	if t == nil {
		if s.find("answer") == nil {
			s.missing("answer")
		}
		return
	}
	t.what = "[route.answer]"
	in := flows[r.flow].in
	status, at := t.number("status")
	if r.status = status; t.find("status") == nil {
		r.status = http.StatusOK
	}
	if r.status < 200 || r.status > 204 {
		t.fail(at, "the status of an answer must be from 200 to 204")
	}
	body := t.needText("json")
	if r.json = t.compile(body, in); r.json != nil {
		maps.Copy(r.uses, r.json.uses)
		if r.status == http.StatusNoContent {
			t.fail(body.at, `json: 204 has no body: ""`)
		}
	}
	if h := t.sub("headers"); h != nil {
		for _, e := range h.entries {
			r.readHeader(h, e.name, in)
		}
	}
	t.end()
}

func (r *route) readHeader(h *section, name string, in scope) {
	n := h.text(name)
	if n == nil {
		return
	}
	canonical := http.CanonicalHeaderKey(name)
	taken := slices.ContainsFunc(serversHeaders, func(own string) bool {
		return canonical == own || strings.HasSuffix(own, "-") && strings.HasPrefix(canonical, own)
	})
	if !headerName.MatchString(name) || taken {
		h.fail(h.find(name).at, "headers: %q is no header that an answer can have", name)
	}
	if slices.ContainsFunc(r.headers, func(other header) bool { return other.name == canonical }) {
		h.fail(h.find(name).at, "headers: %q is there twice", name)
	}
	c := &compiler{reader: h.reader, node: n, in: in}
	parts := c.split(n.text, 0, r.uses)
	for _, p := range parts {
		if p.name == "" && !headerText.MatchString(p.text) {
			h.fail(n.at, "headers: %s must be printable ASCII", name)
		}
		if p.name != "" && p.form != isToken && p.form != isNumber {
			h.fail(n.at, "headers: ${%s} may be any text, which a header can't be", p.name)
		}
	}
	r.headers = append(r.headers, header{canonical, parts})
}
