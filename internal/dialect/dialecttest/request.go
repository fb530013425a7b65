package dialecttest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/web"
)

func marshal(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// methods: every method but POST is 405 with Allow.
func (s Suite) methods(t *testing.T) {
	h := s.open(t, Options{})
	for _, route := range s.Routes {
		for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "post", "X"} {
			r := Request{Method: method, Path: route.Path}
			if s.Scheme != "" {
				r = r.With("Authorization", s.Scheme+" "+Basic("ada", Password))
			}
			a := s.refused(t, h, method, r, http.StatusMethodNotAllowed)
			if allow := a.Header.Get("Allow"); allow != http.MethodPost {
				t.Errorf("%s: Allow is %q", method, allow)
			}
		}
	}
}

// malformed are bodies that are no JSON object in one reading only.
var malformed = map[string]string{
	"null": `null`, "array": `[]`, "text": `"x"`, "number": `1`, "half": `{"x":1`, "comma": `{"x":1,}`,
	"two": `{}{}`, "trailing": `{} x`, "trailing NUL": "{}\x00", "byte order mark": "\xef\xbb\xbf{}",
	"quotes": `{'x':1}`, "no quotes": `{x:1}`, "comment": `{/**/}`, "zero": `{"x":01}`, "NaN": `{"x":NaN}`,
	"duplicate": `{"x":1,"x":2}`, "duplicate below": `{"x":{"y":1,"y":2}}`, "duplicate by escape": `{"x":1,"\u0078":2}`,
	"invalid UTF-8": "{\"x\":\"\xff\"}", "invalid UTF-8 in a name": "{\"\xc3\":1}", "overlong UTF-8": "{\"x\":\"\xc0\xaf\"}",
	"surrogate": `{"x":"\ud800"}`, "second half": `{"x":"\udfff"}`, "halves exchanged": `{"x":"\udc00\ud800"}`,
	"surrogate in UTF-8": "{\"x\":\"\xed\xa0\x80\"}", "control": "{\"x\":\"\n\"}", "escape": `{"x":"\x"}`,
	"deep": strings.Repeat(`{"x":`, 5000) + "1" + strings.Repeat("}", 5000),
}

// bodies checks what is read of a body on each route (threats 10, 13, 57 and 58).
func (s Suite) bodies(t *testing.T) {
	for _, route := range s.Routes {
		t.Run(strings.ReplaceAll(route.Path[1:], "/", "_"), func(t *testing.T) {
			h := s.open(t, Options{Budgets: NoBudgets()})
			s.size(t, h, route)
			if route.Body == web.BodyIgnored {
				s.anyBody(t, h, route)
				return
			}
			if route.Body == web.BodyForm {
				s.form(t, h, route)
				return
			}
			s.malformed(t, h, route)
			s.fields(t, h, route)
			s.contentType(t, h, route)
		})
	}
}

// base is a request of a route whose body is to be replaced by a bad one.
func (s Suite) base(route Route) Request {
	r := JSON(route.Path, "")
	if s.Scheme != "" {
		r = r.With("Authorization", s.Scheme+" "+Basic("ada", Password))
	}
	return r
}

func (s Suite) size(t *testing.T, h *House, route Route) {
	good := route.Good(t, h)
	if good.Body == "" {
		good.Body = "{}"
	}
	padding := " "
	if route.Body == web.BodyForm {
		good.Body, padding = good.Body+"&extra=", "x"
	}
	fits := good.Body + strings.Repeat(padding, web.MaxBody-len(good.Body))
	s.refused(t, h, "64 KiB and a byte", good.WithBody(fits+padding), http.StatusRequestEntityTooLarge)
	s.refused(t, h, "a megabyte", good.WithBody(strings.Repeat(" ", 1<<20)), http.StatusRequestEntityTooLarge)
	h.Send(t, good.WithBody(fits)).Is(t, "64 KiB", http.StatusOK)
}

// anyBody: where no body is documented, none matters.
func (s Suite) anyBody(t *testing.T, h *House, route Route) {
	for what, body := range map[string]string{"nothing": "", "no JSON": "\xff{", "a login": `{"username":"ada","password":"x"}`} {
		h.Send(t, s.base(route).WithBody(body)).Is(t, what, http.StatusOK)
	}
	form := s.base(route).WithBody("a=b").Without("Content-Type").With("Content-Type", "application/x-www-form-urlencoded")
	h.Send(t, form).Is(t, "a form", http.StatusOK)
}

// form: a form in one reading only, and of no other type.
func (s Suite) form(t *testing.T, h *House, route Route) {
	good := route.Good(t, h)
	typed := func(r Request, contentType string) Request {
		return r.Without("Content-Type").With("Content-Type", contentType)
	}
	for what, body := range map[string]string{
		"twice": "&x=1&x=2", "an escape": "&x=%zz", "half an escape": "&x=%a", "invalid UTF-8": "&x=%ff", "a semicolon": "&x=1;y=2",
	} {
		s.refused(t, h, what, good.WithBody(good.Body+body), http.StatusBadRequest)
	}
	s.refused(t, h, "nothing", good.WithBody(""), http.StatusBadRequest)
	for _, field := range route.Fields {
		s.refused(t, h, field+" twice", good.WithBody(good.Body+"&"+field+"=x"), http.StatusBadRequest)
		renamed := strings.Replace("&"+good.Body, "&"+field+"=", "&"+strings.ToUpper(field)+"=", 1)[1:]
		s.refused(t, h, field+" in another case", good.WithBody(renamed), http.StatusBadRequest)
	}
	for _, c := range []string{"application/json", "text/plain", "multipart/form-data; boundary=x"} {
		s.refused(t, h, c, typed(good, c), http.StatusUnsupportedMediaType)
	}
	h.Send(t, good.WithBody(good.Body+"&extra=%F0%9F%98%80")).Is(t, "unknown parameters", http.StatusOK)
	h.Send(t, typed(route.Good(t, h), "Application/X-WWW-Form-Urlencoded; charset=utf-8")).Is(t, "a type with a parameter", http.StatusOK)
	h.Send(t, route.Good(t, h).Without("Content-Type")).Is(t, "no type", http.StatusOK)
	h.Send(t, typed(route.Good(t, h), " ")).Is(t, "a type that says nothing", http.StatusOK)
}

func (s Suite) malformed(t *testing.T, h *House, route Route) {
	for what, body := range malformed {
		s.refused(t, h, what, s.base(route).WithBody(body), http.StatusBadRequest)
	}
	if route.Body == web.BodyEmpty {
		h.Send(t, s.base(route).WithBody("")).Is(t, "an empty body", http.StatusOK)
	} else {
		s.refused(t, h, "an empty body", s.base(route), http.StatusBadRequest)
		s.refused(t, h, "white space", s.base(route).WithBody(" \n"), http.StatusBadRequest)
	}
	good := route.Good(t, h)
	body := `{"extra":{"a":[1,null,"\ud83d\ude00"],"b":{}},"":0`
	if inner := strings.TrimPrefix(good.Body, "{"); len(inner) > 1 {
		body += "," + inner
	} else {
		body += "}"
	}
	h.Send(t, good.WithBody(body)).Is(t, "unknown fields", http.StatusOK)
}

// fields checks each documented member of a body.
func (s Suite) fields(t *testing.T, h *House, route Route) {
	for _, field := range route.Fields {
		var members map[string]json.RawMessage
		body := func(name, value string) string {
			m := map[string]json.RawMessage{}
			for n, v := range members {
				if n != field {
					m[n] = v
				}
			}
			if name != "" {
				m[name] = json.RawMessage(value)
			}
			return marshal(t, m)
		}
		fresh := func() Request {
			r := route.Good(t, h)
			if err := json.Unmarshal([]byte(r.Body), &members); err != nil {
				t.Fatal(err)
			}
			return r
		}
		good := fresh()
		for _, value := range []string{`1`, `1.5`, `123456`, `true`, `["x"]`, `[]`, `{}`, `{"x":"y"}`} {
			s.refused(t, h, field+" as "+value, good.WithBody(body(field, value)), http.StatusBadRequest)
		}
		twice := strings.TrimSuffix(good.Body, "}") + `,"` + field + `":"x"}`
		s.refused(t, h, field+" twice", good.WithBody(twice), http.StatusBadRequest)
		escaped := fmt.Sprintf(`,"\u%04x%s":"x"}`, field[0], field[1:])
		s.refused(t, h, field+" twice, once escaped", good.WithBody(strings.TrimSuffix(good.Body, "}")+escaped), http.StatusBadRequest)

		// Another spelling is another name; null is as good as nothing.
		want := h.Send(t, good.WithBody(body("", "")))
		for _, name := range []string{strings.ToUpper(field), strings.ToUpper(field[:1]) + field[1:], strings.ReplaceAll(field, "s", "ſ"), " " + field} {
			if name == field {
				continue
			}
			r := fresh()
			s.same(t, field+" as "+name, want, h.Send(t, r.WithBody(body(name, string(members[field])))))
		}
		r := fresh()
		s.same(t, field+" as null", want, h.Send(t, r.WithBody(body(field, "null"))))
	}
}

// same compares answers; those that succeed have random parts.
func (s Suite) same(t *testing.T, what string, want, got Answer) {
	t.Helper()
	if want.Status != got.Status || want.Status >= 300 && want.Body != got.Body {
		t.Errorf("%s: %d %s, but without it %d %s", what, got.Status, got.Body, want.Status, want.Body)
	}
}

func (s Suite) contentType(t *testing.T, h *House, route Route) {
	typed := func(r Request, types ...string) Request {
		r = r.Without("Content-Type")
		for _, c := range types {
			r = r.With("Content-Type", c)
		}
		return r
	}
	for _, c := range []string{"text/plain;charset=UTF-8", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx", "json"} {
		s.refused(t, h, c, typed(s.base(route).WithBody("{}"), c), http.StatusUnsupportedMediaType)
	}
	s.refused(t, h, "two types", typed(s.base(route).WithBody("{}"), "application/json", "application/json"), http.StatusUnsupportedMediaType)
	for _, types := range [][]string{nil, {" "}, {"Application/JSON; charset=utf-8"}, {"application/vnd.api+json"}} {
		h.Send(t, typed(route.Good(t, h), types...)).Is(t, fmt.Sprint(types), http.StatusOK)
	}
	if route.Body == web.BodyEmpty {
		h.Send(t, typed(s.base(route), "text/plain")).Is(t, "an empty text", http.StatusOK)
	}
}

// credentials checks what is read of the headers (threat 59 among it).
func (s Suite) credentials(t *testing.T) {
	h := s.open(t, Options{Budgets: NoBudgets()})
	for _, route := range s.Routes {
		good := route.Good(t, h).Without("Authorization")
		one := s.Scheme + " " + Basic("ada", Password)
		if s.Scheme == "" {
			one = "Bearer x"
		}
		s.refused(t, h, "Authorization twice", good.With("Authorization", one).With("Authorization", one), s.TwoCredentials)
		s.refused(t, h, "Authentication twice", good.With("Authentication", one).With("Authentication", one), s.TwoCredentials)
		s.refused(t, h, "two that differ", good.With("Authorization", one).With("Authentication", one+"x"), s.TwoCredentials)
		h.Send(t, good.With("Authorization", one).With("Authentication", one)).Is(t, "two that are the same", http.StatusOK)
	}
	for _, c := range []struct{ name, password string }{
		{"ada", Password}, {"ADA", Password}, {"ada@example.com", Password}, {"Ada@Example.Com", Password},
		{"only@example.com", Password}, {"josé", LatinPassword}, {"robot", h.Secret},
	} {
		h.Send(t, s.Login(c.name, c.password)).Is(t, c.name, http.StatusOK)
	}
	refusal := h.Send(t, s.Login("ada", "wrong"))
	for _, c := range []struct{ name, password string }{
		{"ada", ""}, {"", ""}, {"", Password}, {"ada", Password + " "}, {"ada ", Password}, {"ada", strings.ToUpper(Password)},
		{"ada", strings.Repeat("x", 20000)}, {strings.Repeat("x", 20000), Password}, {"a\x00da", Password}, {"ada", Password + "\x00"},
		{"ada\u200b", Password}, {"ａda", Password + "x"}, {"' OR 1=1 --", Password}, {"josé", "pässwörd"}, {"robot", Password}, {"ada", h.Secret},
	} {
		a := h.Send(t, s.Login(c.name, c.password))
		if a.Status != refusal.Status || a.Body != refusal.Body {
			t.Errorf("%.20q %.20q: %d %s", c.name, c.password, a.Status, a.Body)
		}
	}
	if s.Scheme != "" {
		s.header(t, h, refusal)
	}
}

// header checks the spelling of a credential in a header (RFC 7617).
func (s Suite) header(t *testing.T, h *House, refusal Answer) {
	as := func(value string) Request {
		return s.Login("", "").Without("Authorization").With("Authorization", value)
	}
	encoded := Basic("ada", Password)
	latin := base64.StdEncoding.EncodeToString([]byte("jos\xe9:p\xe4ssw\xf6rd:mit:Doppelpunkten:\xa3\xff"))
	padded := Basic("min", Password)
	if !strings.HasSuffix(padded, "=") {
		t.Fatalf("%s has no padding", padded)
	}
	for _, value := range []string{
		s.Scheme + " " + encoded, strings.ToUpper(s.Scheme) + " " + encoded, strings.ToLower(s.Scheme) + "   " + encoded,
		s.Scheme + " " + padded, s.Scheme + " " + strings.TrimRight(padded, "="), s.Scheme + " " + latin,
		s.Scheme + " " + Basic("josé", LatinPassword),
	} {
		h.Send(t, as(value)).Is(t, value, http.StatusOK)
	}
	for _, value := range []string{
		s.Scheme, s.Scheme + " ", s.Scheme + " =", s.Scheme + " " + encoded + "=", s.Scheme + " ===" + encoded, s.Scheme + " " + encoded[:9] + " " + encoded[9:],
		s.Scheme + " " + encoded + " ", s.Scheme + " " + encoded + ", " + s.Scheme + " " + encoded, s.Scheme + "\t" + encoded, s.Scheme + ":" + encoded,
		s.Scheme + " " + base64.StdEncoding.EncodeToString([]byte("ada")), s.Scheme + " ada:" + Password, s.Scheme + " %%%", encoded, "x " + encoded,
		s.Scheme + " username=ada", s.Scheme + " " + base64.StdEncoding.EncodeToString([]byte(encoded)), "",
	} {
		a := h.Send(t, as(value))
		// White space around the value of a header is no part of it (RFC 9110, section 5.5).
		if value == s.Scheme+" "+encoded+" " {
			a.Is(t, value, http.StatusOK)
			continue
		}
		if a.Status != refusal.Status || a.Body != refusal.Body {
			t.Errorf("%q: %d %s, want %d %s", value, a.Status, a.Body, refusal.Status, refusal.Body)
		}
	}
}
