package verify

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/token"
)

const (
	dead           = `{"active":false}`
	challengeBasic = `Basic realm="one", charset="UTF-8"`
	formType       = "Content-Type: application/x-www-form-urlencoded"
)

// caller is a service account with its secret.
type caller struct {
	auth.Account
	secret string
}

// service makes a service account with roles.
func (h *house) service(t testing.TB, realm, name string, roles ...string) caller {
	t.Helper()
	a, secret, err := h.svc.CreateAccount(t.Context(), h.realm(realm), auth.NewAccount{Username: name, Kind: auth.KindService}, auth.Client{})
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range roles {
		h.give(t, realm, a.ID, role)
	}
	return caller{a, string(secret)}
}

func (h *house) give(t testing.TB, realm string, account uuid.UUID, role string) {
	t.Helper()
	if err := h.svc.AddRole(t.Context(), h.realm(realm), account, role, auth.Client{}); err != nil {
		t.Fatal(err)
	}
}

// gate is a service account of realm one that may do both.
func (h *house) gate(t testing.TB) caller {
	t.Helper()
	return h.service(t, "one", "gate", auth.RoleIntrospect, auth.RoleRevoke)
}

func basic(name, secret string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+secret))
}

// call asks about a token as a service account; more is pairs of other parameters.
func (h *house) call(t testing.TB, c caller, door, token string, more ...string) answered {
	t.Helper()
	form := url.Values{"token": {token}}
	for i := 0; i < len(more); i += 2 {
		form.Add(more[i], more[i+1])
	}
	return h.ask(t, "POST", "/ostiary/"+door, form.Encode(), basic(c.Username, c.secret), formType)
}

// is checks an answer to its last byte.
func (a answered) is(t testing.TB, what string, status int, body string) {
	t.Helper()
	if a.StatusCode != status || a.body != body || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: %d %q %v, want %d %q", what, a.StatusCode, a.body, a.Header, status, body)
	}
}

// noCaller checks that whoever asked was not known, and was told so as OAuth 2.0 does.
func (a answered) noCaller(t testing.TB, what string) {
	t.Helper()
	a.problem(t, what, http.StatusUnauthorized, auth.CodeBadCredentials)
	if got := a.Header.Get("WWW-Authenticate"); got != challengeBasic || !strings.HasSuffix(a.body, `,"error":"invalid_client"}`) {
		t.Errorf("%s: challenge %s, %s", what, got, a.body)
	}
}

func TestIntrospect_Members(t *testing.T) {
	h := build(t)
	gate := h.gate(t)
	m := h.mounts["one/plain"]
	m.Audience, m.Scope = "game", "openid"
	ada := h.account(t, "one", "ada")
	for _, role := range []string{"admin", "b:c"} {
		if err := h.svc.CreateRole(t.Context(), h.one.ID, role, auth.Client{}); err != nil {
			t.Fatal(err)
		}
		h.give(t, "one", ada.ID, role)
	}
	if err := h.svc.CreateDatasource(t.Context(), h.one.ID, "books", auth.Client{}); err != nil {
		t.Fatal(err)
	}
	if err := h.svc.GrantDatasource(t.Context(), h.one.ID, "admin", "books", auth.Client{}); err != nil {
		t.Fatal(err)
	}
	now := strconv.FormatInt(h.clock.Now().Unix(), 10)
	in := func(d time.Duration) string { return strconv.FormatInt(h.clock.Now().Add(d).Unix(), 10) }
	person := func(g *auth.Grant) string {
		return `"account":"` + ada.ID.String() + `","email":"ada@example.com","org":"Ärzte, 100%","roles":["admin","b:c"],"datasources":["books"],` +
			`"dialect":"` + string(g.Mount.Dialect) + `","session":"` + g.Session.ID.String() + `","auth_time":` + now + `,"amr":["pwd"]`
	}
	jti := func(jwt string) string {
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(jwt, ".")[1])
		var claims struct{ JTI string }
		if err != nil || json.Unmarshal(payload, &claims) != nil || claims.JTI == "" {
			t.Fatalf("%s", payload)
		}
		return claims.JTI
	}
	g := h.login(t, "one/plain", "ada")
	jwt := h.sign(t, g, token.Claims{"token_use": "access", "aud": "game"})
	h.call(t, gate, "introspect", jwt).is(t, "plain", 200, `{"active":true,"sub":"nada","username":"ada","client_id":"game","scope":"openid","token_type":"Bearer",`+
		`"iss":"urn:one:plain","aud":"game","iat":`+now+`,"exp":`+in(time.Hour)+`,"jti":"`+jti(jwt)+`",`+person(g)+`}`)
	g = h.login(t, "one/paired", "ada")
	jwt = h.token(t, g)
	h.call(t, gate, "introspect", jwt).is(t, "paired", 200, `{"active":true,"sub":"`+ada.ID.String()+`","username":"ada","token_type":"Bearer",`+
		`"iss":"urn:one:paired","iat":`+now+`,"exp":`+in(time.Hour)+`,"jti":"`+jti(jwt)+`",`+person(g)+`,"csrf":"`+csrfOf(g)+`"}`)
	g = h.login(t, "one/opaque", "ada")
	a := h.call(t, gate, "introspect", h.token(t, g), "token_type_hint", "refresh_token", "unknown", "")
	a.is(t, "opaque", 200, `{"active":true,"sub":"`+ada.ID.String()+`","username":"ada","token_type":"Bearer",`+
		`"iat":`+now+`,"exp":`+in(24*time.Hour)+`,`+person(g)+`}`)
	if a.Header.Get("Content-Type") != "application/json" || a.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("%v", a.Header)
	}
}

// An account without roles has empty lists, and a service is introspected like a person.
func TestIntrospect_Service(t *testing.T) {
	h := build(t)
	gate, robot := h.gate(t), h.service(t, "one", "robot")
	g, err := h.svc.SignIn(t.Context(), h.mounts["one/plain"], auth.Credentials{Name: "robot", Password: auth.Secret(robot.secret)}, auth.Client{})
	if err != nil {
		t.Fatal(err)
	}
	a := h.call(t, gate, "introspect", h.token(t, g))
	if !strings.HasPrefix(a.body, `{"active":true,"sub":"nrobot","username":"robot","token_type":"Bearer",`) ||
		!strings.Contains(a.body, `","roles":[],"datasources":[],"dialect":"plain",`) || strings.Contains(a.body, `"email"`) {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

func TestIntrospect_CSRF(t *testing.T) {
	h := build(t)
	gate := h.gate(t)
	h.account(t, "one", "ada")
	g, other := h.login(t, "one/paired", "ada"), h.login(t, "one/paired", "ada")
	jwt := h.token(t, g)
	for csrf, active := range map[string]bool{
		csrfOf(g): true, csrfOf(other): false, "": false, " " + csrfOf(g): false, strings.ToUpper(csrfOf(g)): false, jwt: false,
	} {
		a := h.call(t, gate, "introspect", jwt, "csrf", csrf)
		if !active {
			a.is(t, "csrf "+csrf, 200, dead)
		} else if !strings.HasPrefix(a.body, `{"active":true,`) || !strings.HasSuffix(a.body, `,"csrf":"`+csrf+`"}`) {
			t.Errorf("csrf %s: %s", csrf, a.body)
		}
	}
	// A token that has none does not ask for one.
	if a := h.call(t, gate, "introspect", h.token(t, h.login(t, "one/plain", "ada")), "csrf", "x"); !strings.HasPrefix(a.body, `{"active":true,`) {
		t.Errorf("plain: %s", a.body)
	}
	// A JWT of its dialect that lacks the csrf is dead, even if nobody asks for it.
	for _, claims := range []token.Claims{{}, {"csrf": ""}, {"csrf": 1}} {
		h.call(t, gate, "introspect", h.sign(t, g, claims)).is(t, "without a csrf", 200, dead)
	}
}

// What ends a session shows at once in the process that did it.
func TestIntrospect_Dead(t *testing.T) {
	h := build(t)
	gate := h.gate(t)
	none := auth.Client{}
	for what, end := range map[string]func(*auth.Grant, string) error{
		"logout": func(g *auth.Grant, tok string) error {
			return h.svc.Logout(t.Context(), h.one.ID, auth.Presented{Token: tok, CSRF: csrfOf(g)}, none)
		},
		"revoked": func(_ *auth.Grant, tok string) error {
			h.call(t, gate, "revoke", tok).is(t, "revoke", 200, "")
			return nil
		},
		"disabled": func(g *auth.Grant, _ string) error {
			return h.svc.SetDisabled(t.Context(), h.one.ID, g.Account.ID, true, none)
		},
		"deleted": func(g *auth.Grant, _ string) error {
			return h.svc.DeleteAccount(t.Context(), h.one.ID, g.Account.ID, none)
		},
		"password reset": func(g *auth.Grant, _ string) error {
			return h.svc.SetPassword(t.Context(), h.one.ID, g.Account.ID, next, none)
		},
	} {
		for _, d := range []auth.Dialect{plain, paired, opaque} {
			name := strings.ReplaceAll(what, " ", "") + string(d)
			h.account(t, "one", name)
			g := h.login(t, "one/"+string(d), name)
			tok := h.token(t, g)
			if a := h.call(t, gate, "introspect", tok); !strings.HasPrefix(a.body, `{"active":true,`) {
				t.Fatalf("%s: %d %s", name, a.StatusCode, a.body)
			}
			if err := end(g, tok); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			h.call(t, gate, "introspect", tok).is(t, name, 200, dead)
		}
	}
}

func TestIntrospect_Expiry(t *testing.T) {
	h := build(t)
	gate := h.gate(t)
	h.account(t, "one", "ada")
	jwt, secret := h.token(t, h.login(t, "one/plain", "ada")), h.token(t, h.login(t, "one/opaque", "ada"))
	early := h.sign(t, h.login(t, "one/plain", "ada"), token.Claims{"token_use": "access", "nbf": h.clock.Now().Unix() + 120})
	h.call(t, gate, "introspect", early).is(t, "not yet good", 200, dead)
	for _, c := range []struct {
		wait        time.Duration
		jwt, opaque bool
	}{{0, true, true}, {time.Hour - time.Second, true, true}, {time.Second, false, true}, {25 * time.Hour, false, false}} {
		h.clock.add(c.wait)
		for tok, active := range map[string]bool{jwt: c.jwt, secret: c.opaque} {
			if a := h.call(t, gate, "introspect", tok); a.StatusCode != 200 || (a.body == dead) == active || !strings.HasPrefix(a.body, `{"active":`) {
				t.Errorf("%s later: %s", c.wait, a.body)
			}
		}
	}
}

// A JWT that says that it outlives its session does not, and who is told learns that.
func TestIntrospect_SessionEndsFirst(t *testing.T) {
	h := build(t)
	gate := h.gate(t)
	h.account(t, "one", "ada")
	g := h.login(t, "one/plain", "ada")
	jwt := h.sign(t, g, token.Claims{"token_use": "access", "exp": h.clock.Now().Add(48 * time.Hour).Unix()})
	want := `,"exp":` + strconv.FormatInt(g.Session.ExpiresAt.Unix(), 10) + `,`
	if a := h.call(t, gate, "introspect", jwt); !strings.Contains(a.body, want) {
		t.Errorf("no %s in %s", want, a.body)
	}
}

// A token that somebody asks about is in use: its session does not idle.
func TestIntrospect_IsUse(t *testing.T) {
	h := build(t)
	gate := h.gate(t)
	h.account(t, "one", "ada")
	g := h.login(t, "one/opaque", "ada")
	for range 2 {
		h.clock.add(11 * time.Hour)
		if a := h.call(t, gate, "introspect", string(g.Bearer)); !strings.HasPrefix(a.body, `{"active":true,`) {
			t.Fatal(a.body)
		}
		deadline := time.Now().Add(10 * time.Second)
		for { // it is noted in the background
			rec, err := h.store.SessionByID(t.Context(), h.one.ID, g.Session.ID)
			if err != nil || time.Now().After(deadline) {
				t.Fatalf("last used at %s: %v", rec.LastUsedAt, err)
			}
			if rec.LastUsedAt.Equal(h.clock.Now()) {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// What is no live access credential of the realm is dead, and nothing more is said of it
// (threats 26, 27, 30, 31, 32).
func TestThreat30_IntrospectedKinds(t *testing.T) {
	h := build(t)
	gate := h.gate(t)
	h.account(t, "one", "ada")
	h.account(t, "two", "ada")
	g, opaqueGrant := h.login(t, "one/plain", "ada"), h.login(t, "one/opaque", "ada")
	jwt, secret := h.token(t, g), h.token(t, opaqueGrant)
	refresh, err := h.svc.RefreshToken(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	pending, err := h.svc.BeginSignIn(t.Context(), h.mounts["one/opaque"], auth.Credentials{Name: "ada", Password: pass}, auth.Client{})
	if err != nil {
		t.Fatal(err)
	}
	_, vouched, err := h.svc.Vouch(t.Context(), h.one.ID, auth.Presented{Token: jwt})
	if err != nil {
		t.Fatal(err)
	}
	part := strings.Split(jwt, ".")
	header := func(text string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(text)) + "." + part[1] + "." + part[2]
	}
	for what, tok := range map[string]string{
		"id token":        h.sign(t, g, token.Claims{"token_use": "id"}),
		"refresh token":   string(refresh),
		"ticket":          string(pending.Ticket),
		"assertion":       vouched,
		"service secret":  gate.secret,
		"session id":      g.Session.ID.String(),
		"account id":      g.Account.ID.String(),
		"jti":             token.JTI(g.Session.ID),
		"password":        pass,
		"foreign jwt":     h.token(t, h.login(t, "two/plain", "ada")),
		"foreign opaque":  h.token(t, h.login(t, "two/opaque", "ada")),
		"Bearer before":   "Bearer " + jwt,
		"line end":        jwt + "\n",
		"space":           " " + secret,
		"padding":         jwt + "=",
		"truncated":       jwt[:len(jwt)-1],
		"one part":        part[0],
		"two parts":       part[0] + "." + part[1],
		"no signature":    part[0] + "." + part[1] + ".",
		"five parts":      jwt + ".a.b",
		"dots":            strings.Repeat(".", 60_000),
		"unpadded opaque": strings.TrimRight(secret, "="),
		"short opaque":    secret[4:],
		"alg none":        header(`{"alg":"none","typ":"JWT"}`),
		"kid of a path":   header(`{"alg":"RS256","kid":"../../dev/null","typ":"JWT"}`),
		"kid of SQL":      header(`{"alg":"RS256","kid":"' UNION SELECT 1","typ":"JWT"}`),
		"kid of NUL":      header(`{"alg":"RS256","kid":"\u0000","typ":"JWT"}`),
		"no kid":          header(`{"alg":"RS256","typ":"JWT"}`),
		"a large kid":     header(`{"alg":"RS256","kid":"` + strings.Repeat("k", 40_000) + `","typ":"JWT"}`),
		"garbage":         "\x00\x7f ä🔑",
		"null":            "null",
	} {
		if a := h.call(t, gate, "introspect", tok); a.body != dead || a.StatusCode != 200 || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s", what, a.StatusCode, a.body)
		}
	}
	// Changing any character of a token makes another one of it.
	for _, at := range []int{0, len(part[0]) + 5, len(jwt) - 2} {
		changed := jwt[:at] + string(jwt[at]^1) + jwt[at+1:]
		h.call(t, gate, "introspect", changed).is(t, changed, 200, dead)
	}
	for _, tok := range []string{jwt, secret} {
		if a := h.call(t, gate, "introspect", tok); !strings.HasPrefix(a.body, `{"active":true,`) {
			t.Errorf("%s", a.body)
		}
	}
}

func TestIntrospect_Requests(t *testing.T) {
	h := build(t)
	gate := h.gate(t)
	h.account(t, "one", "ada")
	tok := h.token(t, h.login(t, "one/opaque", "ada"))
	form := url.Values{"token": {tok}}.Encode()
	right := basic("gate", gate.secret)
	for _, door := range []string{"introspect", "revoke"} {
		for what, c := range map[string]struct {
			body    string
			headers []string
			status  int
			code    auth.Code
		}{
			"no token":             {"token_type_hint=access_token", []string{formType}, 400, auth.CodeInvalidInput},
			"an empty token":       {"token=", []string{formType}, 400, auth.CodeInvalidInput},
			"no body":              {"", nil, 400, auth.CodeInvalidInput},
			"a name in upper case": {strings.Replace(form, "token", "Token", 1), []string{formType}, 400, auth.CodeInvalidInput},
			"twice":                {form + "&" + form, []string{formType}, 400, auth.CodeInvalidInput},
			"a bad escape":         {form + "&csrf=%zz", []string{formType}, 400, auth.CodeInvalidInput},
			"not UTF-8":            {form + "&csrf=%ff", []string{formType}, 400, auth.CodeInvalidInput},
			"a secret in the form": {form + "&client_id=gate&client_secret=" + gate.secret, []string{formType}, 400, auth.CodeInvalidInput},
			"an assertion":         {form + "&client_assertion=x", []string{formType}, 400, auth.CodeInvalidInput},
			"JSON":                 {`{"token":"` + tok + `"}`, []string{"Content-Type: application/json"}, 415, auth.CodeUnsupportedType},
			"100 kB":               {"token=" + strings.Repeat("x", 100_000), []string{formType}, 413, auth.CodeTooLarge},
			"two Authorizations":   {form, []string{formType, right}, 400, auth.CodeInvalidInput},
			"Basic and Bearer":     {form, []string{formType, "Authorization: Bearer " + tok}, 400, auth.CodeInvalidInput},
			"Authentication":       {form, []string{formType, "Authentication: Bearer " + tok}, 400, auth.CodeInvalidInput},
		} {
			// What stands in the query is never read.
			a := h.ask(t, "POST", "/ostiary/"+door+"?token="+url.QueryEscape(tok), c.body, append(c.headers, right)...)
			a.problem(t, door+", "+what, c.status, c.code)
			if !strings.HasSuffix(a.body, `,"error":"invalid_request"}`) || strings.Contains(a.body, tok) || strings.Contains(a.body, gate.secret) {
				t.Errorf("%s, %s: %s", door, what, a.body)
			}
		}
		for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"} {
			a := h.ask(t, method, "/ostiary/"+door+"?token="+url.QueryEscape(tok), "", right)
			if a.StatusCode != 405 || a.Header.Get("Allow") != "POST" {
				t.Errorf("%s %s: %d %v", method, door, a.StatusCode, a.Header)
			}
		}
		if a := h.ask(t, "POST", "/ostiary/"+door+"/x", form, right, formType); a.StatusCode != 404 {
			t.Errorf("below %s: %d", door, a.StatusCode)
		}
	}
	if a := h.call(t, gate, "introspect", tok); !strings.HasPrefix(a.body, `{"active":true,`) {
		t.Errorf("one of these was taken: %s", a.body)
	}
}

func FuzzBasicReadings(f *testing.F) {
	for _, seed := range []string{"gate:ostsvc_a-b", "gate:ostsvc%5Fa%2Db", "a+b%40c:x", "%zz:%", "a%3Ab:%ff", ":", "a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, pair string) {
		got := basicReadings(http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(pair))}})
		if len(got) > 2 || (len(got) > 0) != strings.Contains(pair, ":") {
			t.Fatalf("%q: %d readings", pair, len(got))
		}
		if len(got) == 2 && (slices.Equal(got[:1], got[1:]) || !strings.ContainsAny(pair, "%+")) {
			t.Fatalf("%q: one reading twice", pair)
		}
	})
}
