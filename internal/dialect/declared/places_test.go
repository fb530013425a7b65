package declared_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/dialect/declared"
	"github.com/ostiary/ostiary/internal/dialect/dialecttest"
)

// What is read of each place, and what of it is refused.
func TestPlaces(t *testing.T) {
	h := dialecttest.Open(t, dialecttest.Options{Budgets: dialecttest.NoBudgets()}, load(t, "testdata/places.toml"))
	const word, latin = dialecttest.Password, "p\xe4ssw\xf6rd:mit:Doppelpunkten:\xa3\xff"
	at := func(method, path, body string, headers ...string) dialecttest.Request {
		r := dialecttest.Request{Method: method, Path: path, Body: body, Header: http.Header{}}
		for i := 0; i < len(headers); i += 2 {
			r.Header.Add(headers[i], headers[i+1])
		}
		return r
	}
	for what, c := range map[string]struct {
		ask    dialecttest.Request
		status int
		body   string // "" if it is not compared
	}{
		"raw":                 {at("POST", "/raw", "", "X-Login", "Acme ada:"+word), 201, ""},
		"raw, case, and body": {at("POST", "/raw", "{}", "X-Login", "aCME  ADA:"+word), 201, ""},
		"raw, second header":  {at("POST", "/raw", "", "X-Other-Login", "Acme ada:"+word), 201, ""},
		"raw, Latin-1":        {at("POST", "/raw", "", "X-Login", "Acme jos\xe9:"+latin), 201, ""},
		"raw, UTF-8":          {at("POST", "/raw", "", "X-Login", "Acme josé:"+dialecttest.LatinPassword), 201, ""},
		"raw, another scheme": {at("POST", "/raw", "", "X-Login", "Basic ada:"+word), 403, `"no"`},
		"raw, no scheme":      {at("POST", "/raw", "", "X-Login", "ada:"+word), 403, `"no"`},
		"raw, no colon":       {at("POST", "/raw", "", "X-Login", "Acme ada"), 403, `"no"`},
		"raw, in base64":      {at("POST", "/raw", "", "X-Login", "Acme "+dialecttest.Basic("ada", word)), 403, `"no"`},
		"raw, nothing":        {at("POST", "/raw", ""), 403, `"no"`},
		"raw, twice":          {at("POST", "/raw", "", "X-Login", "Acme ada:"+word, "X-Login", "Acme ada:"+word), 403, `"no"`},
		"raw, and a body":     {at("POST", "/raw", `{"username":"ada","password":"x"}`, "X-Login", "Acme ada:"+word), 403, `"no"`},
		"raw, half a body":    {at("POST", "/raw", `{"username":"ada","password":1}`, "X-Login", "Acme ada:"+word), 201, ""},
		"raw, no JSON":        {at("POST", "/raw", `{`, "X-Login", "Acme ada:"+word), 400, `"the body is not valid JSON"`},
		"split":               {at("GET", "/split", "", "X-User", "ada", "X-Word", word), 200, ""},
		"split, by POST":      {at("POST", "/split", "", "X-User", "ada", "X-Word", word), 405, `"Method Not Allowed"`},
		"split, wrong":        {at("GET", "/split", "", "X-User", "ada", "X-Word", "x"), 403, `"no"`},
		"split, half":         {at("GET", "/split", "", "X-User", "ada"), 403, `"no"`},
		"split, twice":        {at("GET", "/split", "", "X-User", "ada", "X-User", "ada", "X-Word", word), 403, `"no"`},
		"split, in the query": {at("GET", "/split?X-User=ada", "", "X-Word", word), 403, `"no"`},
		"mixed":               {at("PUT", "/mixed", `{"who":{"name":"ada","x":1}}`, "X-Word", word), 200, ""},
		"mixed, flat":         {at("PUT", "/mixed", `{"who.name":"ada"}`, "X-Word", word), 403, `"no"`},
		"mixed, a text":       {at("PUT", "/mixed", `{"who":"ada"}`, "X-Word", word), 400, `"the field \"who\" must be an object"`},
		"mixed, a number":     {at("PUT", "/mixed", `{"who":{"name":1}}`, "X-Word", word), 400, `"the field \"who.name\" must be a string"`},
		"mixed, null":         {at("PUT", "/mixed", `{"who":null}`, "X-Word", word), 403, `"no"`},
		"mixed, two":          {at("PUT", "/mixed", `{"who":{"name":"ada"}}`, "X-Word", word, "Authorization", "Acme x:y"), 403, `"no"`},
		"step":                {at("POST", "/step", `{"step":"1","user":"joan","word":"`+word+`"}`), 200, ""},
		"step, its own error": {at("POST", "/step", `{"step":"1","user":"joan","word":"x"}`), 422, `{"step":1}`},
		"step, none":          {at("POST", "/step", `{"user":"joan"}`), 400, `"the field \"step\" must be \"1\" or \"2\""`},
		"step, no ticket":     {at("POST", "/step", `{"step":"2","code":"123456"}`), 403, `"no"`},
	} {
		a := h.Send(t, c.ask)
		if a.Status != c.status || c.body != "" && a.Body != c.body {
			t.Errorf("%s: %d %s, want %d %s", what, a.Status, a.Body, c.status, c.body)
		}
	}
	a := h.Send(t, at("POST", "/raw", "", "X-Login", "Acme ada:"+word))
	uuid := `"([0-9a-f-]{36})"`
	if m := regexp.MustCompile(`^\["ada",600,"2026-03-14T09:36:53\.\d{3}\+00:00",` + uuid + `,` + uuid + `,` + uuid + `,null,1\.50\]$`).FindStringSubmatch(a.Body); m == nil || m[1] != m[2] || m[1] == m[3] {
		t.Error(a.Body)
	}
	token, found := a.Header.Get("X-Token"), false
	if found = len(token) > 7 && token[:7] == "Bearer "; !found {
		t.Fatalf("X-Token is %q", token)
	}
	token = token[7:]
	renewed := h.Send(t, at("POST", "/bare", "", "Authorization", token)).Text(t, "token")
	who, err := h.Service.Identify(t.Context(), h.RealmID(dialecttest.Realm), auth.Presented{Token: renewed, Bare: true})
	if err != nil || who.Subject != "1" || who.Dialect != "places" {
		t.Errorf("%+v, %v", who, err)
	}
	h.Send(t, at("POST", "/bare", "", "Authorization", "Bearer "+token)).Is(t, "a scheme where there is none", http.StatusForbidden)
	h.Send(t, at("POST", "/bare", "")).Is(t, "no token", http.StatusForbidden)

	ticket := h.Send(t, at("POST", "/step", `{"step":"1","user":"joan","word":"`+word+`"}`)).Text(t, "ticket")
	second := func(code string) dialecttest.Request {
		return at("POST", "/step", `{"step":"2","code":"`+code+`"}`, "X-Ticket", ticket)
	}
	h.Send(t, second("")).Is(t, "no code", http.StatusUnauthorized)
	both := h.Send(t, second(h.Code("joan", 0)))
	for _, name := range []string{"token", "opaque"} {
		if _, err := h.Service.Identify(t.Context(), h.RealmID(dialecttest.Realm), auth.Presented{Token: both.Text(t, name)}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is told of the end of an access credential is its session's, if that comes first.
func TestPlaces_SessionEndsFirst(t *testing.T) {
	short := func(m *auth.Mount) { m.SessionMax = 5 * time.Minute }
	h := dialecttest.Open(t, dialecttest.Options{Mount: short}, load(t, "testdata/places.toml"))
	a := h.Send(t, dialecttest.Request{Path: "/raw"}.With("X-Login", "Acme ada:"+dialecttest.Password))
	if !strings.HasPrefix(a.Body, `["ada",300,"2026-03-14T09:31:53.589+00:00",`) {
		t.Error(a.Body)
	}
}

// A credential with a csrf ends and renews nothing without it.
func TestLogout_CSRF(t *testing.T) {
	d, err := declared.Parse("cloudio.toml", []byte(read(t, examples+"cloudio.toml")+`
[[route]]
path = "/v1/out"
body = "ignored"
flow = "logout"
token = { header = "Authorization", scheme = "Bearer" }
answer = { status = 204, json = "" }
`))
	if err != nil {
		t.Fatal(err)
	}
	h := dialecttest.Open(t, dialecttest.Options{}, d.Dialect())
	a := h.Send(t, dialecttest.Request{Path: "/v1/auth"}.With("Authorization", "Token "+dialecttest.Basic("ada", dialecttest.Password)))
	out := dialecttest.Request{Path: "/v1/out"}.With("Authorization", "Bearer "+a.Text(t, "jwt"))
	h.Send(t, out).Is(t, "without", http.StatusForbidden)
	h.Send(t, out.With("X-Csrf-Token", "x")).Is(t, "another", http.StatusForbidden)
	out = out.With("X-Csrf-Token", a.Text(t, "csrf"))
	h.Send(t, out).Is(t, "with it", http.StatusNoContent)
	h.Send(t, out).Is(t, "again", http.StatusForbidden)
}
