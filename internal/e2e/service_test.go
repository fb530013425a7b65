package e2e_test

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

const dead = `{"active":false}`

// gate is the header of a service account that may introspect and revoke in the realm of a host.
func (h *house) gate(t *testing.T, host string) string {
	t.Helper()
	realm := h.realms[host].ID
	a, secret, err := h.svc.CreateAccount(t.Context(), realm, auth.NewAccount{Username: "gate", Kind: auth.KindService}, auth.Client{})
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range auth.BuiltInRoles {
		if err := h.svc.AddRole(t.Context(), realm, a.ID, role, auth.Client{}); err != nil {
			t.Fatal(err)
		}
	}
	return "Authorization: Basic " + basic("gate", string(secret))
}

// serve asks about a token as a service account; csrf may be empty for none.
func (h *house) serve(t *testing.T, host, gate, door, token, csrf string) answer {
	t.Helper()
	form := url.Values{"token": {token}}
	if csrf != "" {
		form.Set("csrf", csrf)
	}
	return h.ask(t, host, "POST", "/ostiary/"+door, form.Encode(), gate, "Content-Type: application/x-www-form-urlencoded")
}

// alive are the headers of the credentials that the tokens hold.
func (k *tokens) alive() map[string][]string {
	all := k.bearers()
	for dialect, token := range map[string]string{"cloudio": k.jwt, "cloudio, bare": k.jwt, "mikrocloud": k.auth, "nomic": k.nomic, "senmo": k.access} {
		if token == "" {
			delete(all, dialect)
		}
	}
	return all
}

func TestIntrospect_EveryDialect(t *testing.T) {
	h := open(t)
	gate := h.gate(t, hostOne)
	account := h.account(t, hostOne, "ada")
	realm := h.realms[hostOne].ID
	if err := h.svc.CreateRole(t.Context(), realm, "player", auth.Client{}); err != nil {
		t.Fatal(err)
	}
	if err := h.svc.AddRole(t.Context(), realm, account, "player", auth.Client{}); err != nil {
		t.Fatal(err)
	}
	ada, err := h.svc.FindAccount(t.Context(), realm, "ada")
	if err != nil {
		t.Fatal(err)
	}
	k := h.all(t, hostOne, "ada")
	const urn = "urn:ostiary:one:"
	for dialect, want := range map[string]struct {
		token, sub string
		life       time.Duration
		more       map[string]any
	}{
		"cloudio":    {k.jwt, account.String(), 24 * time.Hour, map[string]any{"iss": urn + "cloudio", "csrf": k.csrf}},
		"mikrocloud": {k.auth, account.String(), 24 * time.Hour, nil},
		"nomic":      {k.nomic, strconv.FormatInt(ada.Number, 10), 2 * time.Hour, map[string]any{"iss": "NomicGameManager.Api"}},
		"senmo":      {k.access, account.String(), time.Hour, map[string]any{"iss": urn + "senmo", "client_id": "ostiary", "scope": "openid"}},
	} {
		a := h.serve(t, hostOne, gate, "introspect", want.token, "")
		var got map[string]any
		if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.StatusCode != 200 || a.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%s: %d %s", dialect, a.StatusCode, a.body)
		}
		members := map[string]any{
			"active": true, "sub": want.sub, "username": "ada", "token_type": "Bearer", "email": "ada@example.com",
			"account": account.String(), "roles": []any{"player"}, "datasources": []any{}, "dialect": dialect, "amr": []any{"pwd"},
		}
		for name, value := range want.more {
			members[name] = value
		}
		for name, value := range members {
			if was, _ := json.Marshal(got[name]); string(was) != mustJSON(value) {
				t.Errorf("%s: %s is %s, want %s", dialect, name, was, mustJSON(value))
			}
			delete(got, name)
		}
		session := h.ask(t, hostOne, "GET", "/ostiary/verify", "", k.bearers()[dialect]...).Header.Get("Ostiary-Session")
		iat, exp, login := number(got["iat"]), number(got["exp"]), number(got["auth_time"])
		if got["session"] != session || exp-iat != int64(want.life.Seconds()) || login != iat || time.Since(time.Unix(iat, 0)) > time.Minute {
			t.Errorf("%s: %v, the session is %s", dialect, got, session)
		}
		jti, _ := got["jti"].(string)
		if (jti == "") != (dialect == "mikrocloud") {
			t.Errorf("%s: jti %q", dialect, jti)
		}
		for _, name := range []string{"session", "iat", "exp", "auth_time", "jti"} {
			delete(got, name)
		}
		if len(got) != 0 {
			t.Errorf("%s: also %v", dialect, got)
		}
	}
}

func mustJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func number(v any) int64 {
	f, _ := v.(float64)
	return int64(f)
}

// Each kind of token at the doors for services, of its own realm and of another: an access
// credential alone is active, and whatever names a session ends it.
func TestThreat30_KindsAtServiceDoors(t *testing.T) {
	h := open(t)
	gates := map[string]string{hostOne: h.gate(t, hostOne), hostTwo: h.gate(t, hostTwo)}
	for i, kind := range kinds {
		if strings.Contains(kind.name, "bare") {
			continue // in a form, a token has no scheme in any case
		}
		home, away := hostOne, hostTwo
		if i%2 == 0 {
			home, away = away, home
		}
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			name := string(rune('a'+i)) + "da"
			h.account(t, home, name)
			h.account(t, away, name)
			var k, other tokens
			h.nomic(t, home, name, &other)
			kind.sign(h, t, home, name, &k)
			token, _, csrf := kind.show(&k)
			for range 2 { // whether or not it was seen before
				if a := h.serve(t, away, gates[away], "introspect", token, csrf); a.body != dead {
					t.Errorf("in the other realm: %d %s", a.StatusCode, a.body)
				}
				// Without a csrf, the one who asks compares it.
				active := strings.HasPrefix(kind.opens, general) || kind.name == "cloudio jwt alone"
				a := h.serve(t, home, gates[home], "introspect", token, csrf)
				if strings.HasPrefix(a.body, `{"active":true,`) != active || !active && a.body != dead || a.StatusCode != 200 {
					t.Errorf("introspected: %d %s", a.StatusCode, a.body)
				}
			}
			revoke := func(host string) {
				t.Helper()
				if a := h.serve(t, host, gates[host], "revoke", token, ""); a.StatusCode != 200 || a.body != "" {
					t.Errorf("revoked: %d %s", a.StatusCode, a.body)
				}
			}
			verified := func(k *tokens, status int) {
				t.Helper()
				for dialect, headers := range k.alive() {
					if a := h.ask(t, home, "GET", "/ostiary/verify", "", headers...); a.StatusCode != status {
						t.Errorf("%s: %d, want %d", dialect, a.StatusCode, status)
					}
				}
			}
			revoke(away)
			verified(&k, 200)
			revoke(home)
			verified(&other, 200)
			if !slices.Contains([]string{k.jwt, k.auth, k.nomic, k.id, k.access, k.refresh}, token) {
				verified(&k, 200)
				return
			}
			h.over(t, home, gates[home], &k)
		})
	}
}

// over checks that a login's tokens are nothing at any door.
func (h *house) over(t *testing.T, host, gate string, k *tokens) {
	t.Helper()
	for _, d := range doors {
		for dialect, headers := range k.alive() {
			if a := h.ask(t, host, d.method, d.path, d.body("x"), headers...); a.StatusCode != d.shut {
				t.Errorf("%s at %s: %d %s", dialect, d.name, a.StatusCode, a.body)
			}
		}
	}
	for _, token := range []string{k.jwt, k.auth, k.nomic, k.access, k.id, k.refresh} {
		if a := h.serve(t, host, gate, "introspect", token, ""); token != "" && a.body != dead {
			t.Errorf("introspected: %d %s", a.StatusCode, a.body)
		}
	}
	if a := h.ask(t, host, "POST", "/v1/auth/refreshtoken", object("refreshtoken")(k.refresh)); a.StatusCode != 400 {
		t.Errorf("refreshed: %d %s", a.StatusCode, a.body)
	}
}

// A refresh token that was spent long ago still names its session to who revokes it, and
// what came of it ends with it.
func TestRevoke_SpentRefreshToken(t *testing.T) {
	h := open(t)
	gate := h.gate(t, hostOne)
	h.account(t, hostOne, "ada")
	var k tokens
	h.senmo(t, hostOne, "ada", &k)
	spent := k.refresh
	for range 3 {
		a := h.ask(t, hostOne, "POST", "/v1/auth/refreshtoken", object("refreshtoken")(k.refresh))
		k.id, k.access, k.refresh = a.text(t, "tokens", "idToken"), a.text(t, "tokens", "accessToken"), a.text(t, "tokens", "refreshToken")
	}
	if a := h.serve(t, hostOne, gate, "revoke", spent, ""); a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	h.over(t, hostOne, gate, &k)
}

// The assertion for upstreams is no token of the server's, and the secret of a service opens
// nothing but the doors for services.
func TestThreat30_AssertionAndSecretAtServiceDoors(t *testing.T) {
	h := open(t)
	gate := h.gate(t, hostOne)
	h.account(t, hostOne, "ada")
	k := h.all(t, hostOne, "ada")
	for dialect, headers := range k.bearers() {
		assertion := h.ask(t, hostOne, "GET", "/ostiary/verify", "", headers...).Header.Get("Ostiary-Assertion")
		if assertion == "" {
			t.Fatalf("%s: no assertion", dialect)
		}
		if a := h.serve(t, hostOne, gate, "introspect", assertion, ""); a.body != dead {
			t.Errorf("%s: %s", dialect, a.body)
		}
		if a := h.serve(t, hostOne, gate, "revoke", assertion, ""); a.StatusCode != 200 {
			t.Errorf("%s: %d", dialect, a.StatusCode)
		}
		if a := h.ask(t, hostOne, "GET", "/ostiary/whoami", "", headers...); a.StatusCode != 200 {
			t.Errorf("%s: an assertion has revoked it", dialect)
		}
	}
	for _, header := range []string{gate, strings.Replace(gate, "Basic", "Bearer", 1)} {
		for _, path := range []string{"/ostiary/verify", "/ostiary/whoami"} {
			if a := h.ask(t, hostOne, "GET", path, "", header); a.StatusCode != 401 {
				t.Errorf("%s: %d", path, a.StatusCode)
			}
		}
	}
}
