package e2e_test

import (
	"encoding/json"
	"net/url"
	"strconv"
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
		a := h.ask(t, hostOne, "POST", "/v1/auth/refreshtoken", fields("refreshtoken", k.refresh))
		k.id, k.access, k.refresh = a.text(t, "tokens", "idToken"), a.text(t, "tokens", "accessToken"), a.text(t, "tokens", "refreshToken")
	}
	if a := h.serve(t, hostOne, gate, "revoke", spent, ""); a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if a := h.ask(t, hostOne, "GET", "/ostiary/whoami", "", k.bearers()["senmo"]...); a.StatusCode != 401 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if a := h.serve(t, hostOne, gate, "introspect", k.access, ""); a.body != dead {
		t.Errorf("introspected: %d %s", a.StatusCode, a.body)
	}
	if a := h.ask(t, hostOne, "POST", "/v1/auth/refreshtoken", fields("refreshtoken", k.refresh)); a.StatusCode != 400 {
		t.Errorf("refreshed: %d %s", a.StatusCode, a.body)
	}
}
