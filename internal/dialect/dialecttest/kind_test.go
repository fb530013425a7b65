package dialecttest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/dialect"
	"github.com/ostiary/ostiary/internal/dialect/cloudio"
	. "github.com/ostiary/ostiary/internal/dialect/dialecttest"
	"github.com/ostiary/ostiary/internal/dialect/senmo"
)

// Every state that a login can be left in is a dead end but for its own next step.
func TestThreat19_StepSkipping(t *testing.T) {
	h := Open(t, Options{Budgets: NoBudgets()}, four...)
	ctx, realm := t.Context(), h.RealmID(Realm)
	for _, body := range []string{`{}`, `{"totp":null,"token":null}`, `{"token":""}`, `{"totp":"123456"}`} {
		h.Send(t, JSON("/user/passport", body)).Is(t, body, http.StatusUnauthorized)
	}
	h.Send(t, JSON("/user/passport", "")).Is(t, "an empty body", http.StatusBadRequest)
	for _, name := range []string{"eve", "joan"} {
		one := ticket(t, h, name)
		for _, body := range []string{`{"token":"` + one + `"}`, `{"totp":null,"token":"` + one + `"}`, `{"totp":"","token":"` + one + `"}`} {
			h.Send(t, JSON("/user/passport", body)).Is(t, name+" without a code", http.StatusUnauthorized)
		}
	}
	// What changes between the steps makes the first one void.
	change := map[string]func(id [16]byte) error{
		"disabled": func(id [16]byte) error { return h.Service.SetDisabled(ctx, realm, id, true, auth.Client{}) },
		"password": func(id [16]byte) error {
			return h.Service.SetPassword(ctx, realm, id, "an entirely new password", auth.Client{})
		},
		"enrolled": func(id [16]byte) error { _, err := h.Service.EnrollFactor(ctx, realm, id, auth.Client{}); return err },
		"deleted":  func(id [16]byte) error { return h.Service.DeleteAccount(ctx, realm, id, auth.Client{}) },
	}
	names := []string{"ada", "min", "only@example.com", "eve"}
	for i, what := range []string{"disabled", "password", "enrolled", "deleted"} {
		one, code := ticket(t, h, names[i]), ""
		if names[i] == "eve" {
			code = h.Code("eve", 0)
		}
		if err := change[what](h.Account(names[i]).ID); err != nil {
			t.Fatal(err)
		}
		h.Send(t, passport(one, code)).Is(t, what+" between the steps", http.StatusUnauthorized)
	}
	// A factor that is reset takes the tickets with it.
	one := ticket(t, h, "joan")
	if err := h.Service.ResetFactor(ctx, realm, h.Account("joan").ID, auth.Client{}); err != nil {
		t.Fatal(err)
	}
	h.Send(t, passport(one, "")).Is(t, "reset between the steps", http.StatusUnauthorized)
}

// A ticket is good at passport, and nowhere else.
func TestThreat20_TicketAsBearer(t *testing.T) {
	h := Open(t, Options{Budgets: NoBudgets()}, four...)
	for _, name := range []string{"ada", "eve", "joan"} {
		one := ticket(t, h, name)
		for _, p := range []auth.Presented{{Token: one}, {Token: one, Bare: true}, {Token: one, CSRF: one}} {
			if code := identify(t, h, p); code != auth.CodeTokenInvalid {
				t.Errorf("%s: a verifier says %q", name, code)
			}
			if err := h.Service.Logout(t.Context(), h.RealmID(Realm), p, auth.Client{}); auth.CodeOf(err) != auth.CodeTokenInvalid {
				t.Errorf("%s: logout says %v", name, err)
			}
			err := h.Service.ChangePassword(t.Context(), h.RealmID(Realm), p, Password, "an entirely new password", auth.Client{})
			if auth.CodeOf(err) != auth.CodeTokenInvalid {
				t.Errorf("%s: change of password says %v", name, err)
			}
		}
		h.Send(t, renew(one)).Is(t, "renewal", http.StatusForbidden)
		h.Send(t, refresh(one)).Is(t, "refresh", http.StatusBadRequest)
		for _, ask := range oneStep {
			if a := h.Send(t, ask(name, one)); a.Status == http.StatusOK {
				t.Errorf("as a password: %s", a.Body)
			}
		}
		h.Send(t, Request{Path: "/v1/auth"}.With("Authorization", "Token "+one)).Is(t, "as a Token", http.StatusForbidden)
	}
}

// No token is a password or a code, and what is no token opens nothing. (How each kind may be
// presented, and in which realm, is the matter of TestThreat30_TokenKindMatrix.)
func TestThreat30_KindsCrossed(t *testing.T) {
	h := Open(t, Options{Budgets: NoBudgets()}, four...)
	c, s := h.Send(t, token("ada", Password)), h.Send(t, login("ada", Password))
	csrf := c.Text(t, "csrf")
	tokens := map[string]string{
		"jwt": c.Text(t, "jwt"), "csrf": csrf, "sessionId": c.Text(t, "sessionId"), "ticket": ticket(t, h, "ada"),
		"auth_token": h.Send(t, passport(ticket(t, h, "ada"), "")).Text(t, "auth_token"),
		"nomic":      h.Send(t, basic("ada", Password)).Text(t, "token"), "secret": h.Secret,
		"id": s.Text(t, "tokens.idToken"), "access": s.Text(t, "tokens.accessToken"), "refresh": s.Text(t, "tokens.refreshToken"),
		"account": h.Account("ada").ID.String(), "empty": "",
	}
	opens := func(r Request) func(string) bool {
		return func(token string) bool {
			sent := r.WithBody(strings.ReplaceAll(r.Body, "?", token))
			for name, values := range r.Header {
				sent = sent.Without(name).With(name, strings.ReplaceAll(values[0], "?", token))
			}
			return h.Send(t, sent).Status == http.StatusOK
		}
	}
	verify := func(p auth.Presented) func(string) bool {
		return func(token string) bool { p.Token = token; return identify(t, h, p) == "" }
	}
	for _, door := range []struct {
		name  string
		opens func(token string) bool
		want  string
	}{
		{"a verifier", verify(auth.Presented{}), "access auth_token nomic"},
		{"nomic", opens(renew("?")), "nomic"},
		{"refresh", opens(refresh("?")), "refresh"},
		{"passport", opens(passport("?", "")), "ticket"},
		{"nomic, basic", opens(Request{Path: "/api/auth/token"}.With("Authorization", "Basic ?")), ""},
		{"cloudio", opens(JSON("/v1/auth", "{}").With("Authorization", "Token ?")), ""},
		{"senmo, as a bearer", opens(JSON("/v1/auth", "{}").With("Authorization", "Bearer ?")), ""},
		{"senmo, as a password", opens(login("ada", "?")), ""},
		{"passport, as a code", opens(passport(ticket(t, h, "joan"), "?")), ""},
	} {
		for kind, value := range tokens {
			want := strings.Contains(" "+door.want+" ", " "+kind+" ")
			if door.opens(value) != want {
				t.Errorf("%s at %s opens: %v", kind, door.name, !want)
			}
		}
	}
}

// Disabling, deleting, or resetting the password ends all sessions in all dialects.
func TestThreat38_SessionsEnd(t *testing.T) {
	for what, end := range map[string]func(*House) error{
		"disabled": func(h *House) error {
			return h.Service.SetDisabled(t.Context(), h.RealmID(Realm), h.Account("ada").ID, true, auth.Client{})
		},
		"deleted": func(h *House) error {
			return h.Service.DeleteAccount(t.Context(), h.RealmID(Realm), h.Account("ada").ID, auth.Client{})
		},
		"password reset": func(h *House) error {
			return h.Service.SetPassword(t.Context(), h.RealmID(Realm), h.Account("ada").ID, "an entirely new password", auth.Client{})
		},
	} {
		h := Open(t, Options{Budgets: NoBudgets()}, four...)
		all := access(t, h, "ada")
		token, one := h.Send(t, login("ada", Password)).Text(t, "tokens.refreshToken"), ticket(t, h, "ada")
		if err := end(h); err != nil {
			t.Fatal(err)
		}
		for d, p := range all {
			if code := identify(t, h, p); code != auth.CodeSessionEnded && code != auth.CodeTokenInvalid {
				t.Errorf("%s: %s: %q", what, d, code)
			}
		}
		h.Send(t, renew(all["nomic"].Token)).Is(t, what, http.StatusForbidden)
		h.Send(t, refresh(token)).Is(t, what, http.StatusBadRequest)
		h.Send(t, passport(one, "")).Is(t, what, http.StatusUnauthorized)
		for d, ask := range oneStep {
			if a := h.Send(t, ask("ada", Password)); a.Status == http.StatusOK {
				t.Errorf("%s: %s: %s", what, d, a.Body)
			}
		}
	}
}

// One budget for an account, whatever the dialect.
func TestBudget_AcrossDialects(t *testing.T) {
	h := Open(t, Options{}, four...)
	for i, ask := range []func(name, password string) Request{token, first, basic, login, token} {
		name := []string{"ada", "ADA", "ada@example.com", "Ada@Example.com", "aDa"}[i]
		if a := h.Send(t, ask(name, "wrong")); a.Status == http.StatusTooManyRequests || a.Status == http.StatusOK {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	for _, ask := range []func(name, password string) Request{token, first, basic, login} {
		h.Send(t, ask("ada", Password)).Is(t, "the sixth", http.StatusTooManyRequests)
		h.Send(t, ask("min", Password)).Is(t, "another account", http.StatusOK)
	}
	h.Clock.Advance(time.Second)
	h.Send(t, basic("ada", Password)).Is(t, "a second later", http.StatusOK)
}

const (
	senmo405   = `{"statusCode":405,"statusMessage":"Method Not Allowed","error":"Method Not Allowed"}`
	cloudio405 = `{"code":405,"status":"ERROR","title":"Method Not Allowed","message":"Method Not Allowed"}`
	cloudio403 = `{"code":403,"status":"ERROR","title":"Access Denied","message":"Access Denied - Invalid username and/or password!"}`
	cloudio400 = `{"code":400,"status":"ERROR","title":"Bad Request","message":"Bad Request - two credentials in one request"}`
	senmo400   = `{"statusCode":400,"statusMessage":"Login failed","error":"two credentials in one request"}`
)

// cloudio and senmo share /v1/auth: a request with a Token credential is cloudio's.
func TestShared_Path(t *testing.T) {
	h := Open(t, Options{}, four...)
	at := func(method string, headers ...string) Request {
		r := JSON("/v1/auth", `{"username":"ada","password":"`+Password+`"}`)
		r.Method = method
		for i := 0; i < len(headers); i += 2 {
			r = r.With(headers[i], headers[i+1])
		}
		return r
	}
	const a, b = "Authorization", "Authentication"
	for _, c := range []struct {
		what string
		ask  Request
		want int
		body string
	}{
		{"a login", at("POST"), 200, ""},
		{"a login with another credential", at("POST", a, "Bearer x"), 200, ""},
		{"a Token", at("POST", a, "Token "+Basic("ada", Password)).WithBody("{}"), 200, ""},
		{"a Token, in Authentication", at("POST", b, "token "+Basic("ada", Password)).WithBody(""), 200, ""},
		{"a bare Token", at("POST", a, "Token").WithBody("{}"), 403, cloudio403},
		{"a bare Token, in Authentication", at("POST", b, "Token").WithBody("{}"), 403, cloudio403},
		{"a Token and a login", at("POST", a, "Token "+Basic("ada", Password)), 400, cloudio400},
		{"a bare Token and a login", at("POST", a, "Token"), 400, cloudio400},
		{"a Token, in Authentication, and a login", at("POST", b, "Token x"), 400, cloudio400},
		{"Token and Bearer", at("POST", a, "Token x", b, "Bearer x"), 400, cloudio400},
		{"Bearer and Token", at("POST", a, "Bearer x", a, "Token x"), 400, cloudio400},
		{"Bearer twice", at("POST", a, "Bearer x", a, "Bearer x"), 400, senmo400},
		{"GET", at("GET"), 405, senmo405},
		{"GET with a Token", at("GET", a, "Token"), 405, cloudio405},
	} {
		got := h.Send(t, c.ask)
		if got.Status != c.want || c.body != "" && got.Body != c.body {
			t.Errorf("%s: %d %s, want %d %s", c.what, got.Status, got.Body, c.want, c.body)
		}
	}
}

// Without senmo, all of /v1/auth is cloudio's; without cloudio, all is senmo's.
func TestShared_Alone(t *testing.T) {
	bare := Request{Path: "/v1/auth"}
	h := Open(t, Options{}, cloudio.Dialect())
	for _, r := range []Request{bare, login("ada", Password), bare.With("Authorization", "Bearer x")} {
		if a := h.Send(t, r); a.Status != 403 || a.Body != cloudio403 {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	h = Open(t, Options{}, senmo.Dialect())
	if a := h.Send(t, bare.With("Authorization", "Token "+Basic("ada", Password))); a.Status != 400 || !strings.Contains(a.Body, "Login failed") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// Hosts separate mounts, and a preflight is answered by whichever of them lists the origin.
func TestShared_HostsAndOrigins(t *testing.T) {
	const origin = "https://app.example.com"
	h := Open(t, Options{Mount: func(m *auth.Mount) {
		m.Host = string(m.Dialect) + ".example.com"
		if m.Dialect == "senmo" {
			m.CORSOrigins = []string{origin}
		}
	}}, four...)
	at := func(host string, r Request) Request { r.Host = host; return r }
	h.Send(t, at("cloudio.example.com", login("ada", Password))).Is(t, "a login at cloudio", http.StatusForbidden)
	h.Send(t, at("senmo.example.com", token("ada", Password))).Is(t, "a Token at senmo", http.StatusBadRequest)
	h.Send(t, at("senmo.example.com", login("ada", Password))).Is(t, "a login at senmo", http.StatusOK)
	h.Send(t, at("nomic.example.com", login("ada", Password))).Is(t, "a login at nomic", http.StatusNotFound)
	h.Send(t, login("ada", Password)).Is(t, "a login at another host", http.StatusNotFound)

	h = Open(t, Options{Mount: func(m *auth.Mount) {
		if m.Dialect == "senmo" {
			m.CORSOrigins = []string{origin}
		}
	}}, four...)
	ask := Request{Method: "OPTIONS", Path: "/v1/auth"}.With("Origin", origin).With("Access-Control-Request-Method", "POST")
	h.Send(t, ask).Is(t, "a preflight", http.StatusNoContent)
	if a := h.Send(t, login("ada", Password).With("Origin", origin)); a.Header.Get("Access-Control-Allow-Origin") != origin {
		t.Errorf("senmo: %v", a.Header)
	}
	if a := h.Send(t, token("ada", Password).With("Origin", origin)); a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("cloudio: %v", a.Header)
	}
}

// Every dialect says what the core and the configuration must know of it.
func TestDialects(t *testing.T) {
	seen := map[auth.Dialect]bool{}
	for _, d := range four {
		if d.Name() == "" || seen[d.Name()] || d.Encode == nil || d.Routes == nil || d.Rules.Accept == nil || d.Defaults.SessionMax == 0 {
			t.Errorf("%s: %+v", d.Name(), d)
		}
		seen[d.Name()] = true
		if (len(d.Algorithms) > 0) != (d.Issuer != nil) || (d.Defaults.Algorithm != "") != (d.Issuer != nil) {
			t.Errorf("%s: algorithms %v, issuer %v", d.Name(), d.Algorithms, d.Issuer != nil)
		}
	}
	if rules := dialect.Rules(four); len(rules) != 4 {
		t.Errorf("rules %v", rules)
	}
	if routes := dialect.Routes(nil, []*auth.Mount{{Dialect: "senmo", Prefix: "/p", Host: "h"}}, four); len(routes) != 2 || routes[1].Path != "/p/v1/auth/refreshtoken" || routes[0].Host != "h" {
		t.Errorf("routes %v", routes)
	}
}
