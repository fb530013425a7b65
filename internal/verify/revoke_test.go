package verify

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/token"
)

// gone checks that a session is over at every door of this process.
func (h *house) gone(t *testing.T, what string, gate caller, g *auth.Grant) {
	t.Helper()
	tok := h.token(t, g)
	headers := []string{"Authorization: Bearer " + tok, "X-CSRF-Token: " + csrfOf(g)}
	for _, door := range []string{"GET verify", "PUT verify/x", "GET whoami", "POST logout"} {
		method, path, _ := strings.Cut(door, " ")
		h.ask(t, method, "/ostiary/"+path, "", headers...).problem(t, what+" at "+door, 401, auth.CodeSessionEnded)
	}
	h.call(t, gate, "introspect", tok).is(t, what, 200, dead)
	refresh, err := h.svc.RefreshToken(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.svc.Refresh(t.Context(), g.Mount, refresh, auth.Client{}); auth.CodeOf(err) != auth.CodeTokenInvalid {
		t.Errorf("%s: refresh: %v", what, err)
	}
	if _, err := h.svc.Renew(t.Context(), g.Mount, auth.Presented{Token: tok, CSRF: csrfOf(g)}, auth.Client{}); auth.CodeOf(err) != auth.CodeSessionEnded {
		t.Errorf("%s: renewal: %v", what, err)
	}
}

func TestRevoke_EndsTheSession(t *testing.T) {
	h := build(t)
	gate := h.gate(t)
	ada := h.account(t, "one", "ada")
	refresh := func(g *auth.Grant) string {
		secret, err := h.svc.RefreshToken(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		return string(secret)
	}
	for _, c := range []struct {
		what    string
		dialect auth.Dialect
		show    func(g *auth.Grant) string
	}{
		{"access token", plain, func(g *auth.Grant) string { return h.token(t, g) }},
		{"id token", plain, func(g *auth.Grant) string { return h.sign(t, g, token.Claims{"token_use": "id"}) }},
		{"token with a csrf, without it", paired, func(g *auth.Grant) string { return h.token(t, g) }},
		{"opaque token", opaque, func(g *auth.Grant) string { return h.token(t, g) }},
		{"refresh token", plain, refresh},
		{"spent refresh token", plain, func(g *auth.Grant) string {
			spent := refresh(g)
			if _, err := h.svc.Refresh(t.Context(), g.Mount, auth.Secret(spent), auth.Client{}); err != nil {
				t.Fatal(err)
			}
			return spent
		}},
		{"long spent refresh token", plain, func(g *auth.Grant) string {
			for range 3 {
				next, err := h.svc.Refresh(t.Context(), g.Mount, auth.Secret(refresh(g)), auth.Client{})
				if err != nil {
					t.Fatal(err)
				}
				g = next
			}
			g.Session.Generation = 1
			return refresh(g)
		}},
	} {
		g, other := h.login(t, "one/"+string(c.dialect), "ada"), h.login(t, "one/opaque", "ada")
		tok := c.show(g)
		if a := h.call(t, gate, "introspect", h.token(t, g)); !strings.HasPrefix(a.body, `{"active":true,`) {
			t.Fatalf("%s: %s", c.what, a.body)
		}
		before := h.events(t, auth.AuditFilter{})
		for _, hint := range []string{"access_token", "refresh_token", "x"} { // whatever it says, and again
			a := h.call(t, gate, "revoke", tok, "token_type_hint", hint)
			a.is(t, c.what, 200, "")
			if a.Header.Get("Content-Type") != "" || a.ContentLength != 0 {
				t.Errorf("%s: %v", c.what, a.Header)
			}
		}
		events := h.events(t, auth.AuditFilter{})[len(before):]
		if len(events) != 1 {
			t.Fatalf("%s: %d events", c.what, len(events))
		}
		if e := events[0]; e.Kind != audit.SessionEnded || e.Actor != "service gate" || e.Account != ada.ID || e.Session != g.Session.ID ||
			e.Dialect != string(c.dialect) || e.Detail != "revoked" || e.Address != "127.0.0.1" {
			t.Errorf("%s: %+v", c.what, e)
		}
		h.gone(t, c.what, gate, g)
		if a := h.ask(t, "GET", "/ostiary/whoami", "", "Authorization: Bearer "+h.token(t, other)); a.StatusCode != 200 {
			t.Errorf("%s: the other session: %d", c.what, a.StatusCode)
		}
	}
}

// What is no token, or ends nothing any more, is revoked already.
func TestRevoke_Nothing(t *testing.T) {
	h := build(t)
	gate := h.gate(t)
	h.account(t, "one", "ada")
	h.account(t, "two", "ada")
	g, foreign := h.login(t, "one/plain", "ada"), h.login(t, "two/plain", "ada")
	jwt, secret := h.token(t, g), h.token(t, h.login(t, "one/opaque", "ada"))
	foreignRefresh, err := h.svc.RefreshToken(t.Context(), foreign)
	if err != nil {
		t.Fatal(err)
	}
	unknown, _ := token.NewOpaque()
	before := h.events(t, auth.AuditFilter{})
	_, vouched, err := h.svc.Vouch(t.Context(), h.one.ID, auth.Presented{Token: secret})
	if err != nil {
		t.Fatal(err)
	}
	for what, tok := range map[string]string{
		"unknown":         unknown,
		"garbage":         "\x00ä",
		"long":            strings.Repeat("x", 60_000),
		"dots":            strings.Repeat(".", 60_000),
		"truncated":       jwt[:len(jwt)-1],
		"changed":         strings.Replace(jwt, ".", ".e", 1),
		"session id":      g.Session.ID.String(),
		"jti":             token.JTI(g.Session.ID),
		"service secret":  gate.secret,
		"password":        pass,
		"unpadded":        strings.TrimRight(secret, "="),
		"foreign jwt":     h.token(t, foreign),
		"foreign opaque":  h.token(t, h.login(t, "two/opaque", "ada")),
		"foreign refresh": string(foreignRefresh),
		"assertion":       vouched,
	} {
		h.call(t, gate, "revoke", tok).is(t, what, 200, "")
	}
	if !slices.Equal(before, h.events(t, auth.AuditFilter{})) {
		t.Error("an event")
	}
	for _, host := range []string{"any.example.com", hostTwo} {
		tok := jwt
		if host == hostTwo {
			tok = h.token(t, foreign)
		}
		if a := h.ask(t, "GET", "/ostiary/whoami", "", "Authorization: Bearer "+tok, "Host: "+host); a.StatusCode != 200 {
			t.Errorf("%s: %d", host, a.StatusCode)
		}
	}
	h.clock.add(25 * time.Hour)
	for _, tok := range []string{jwt, secret} {
		h.call(t, gate, "revoke", tok).is(t, "expired", 200, "")
	}
	if n := len(h.events(t, auth.AuditFilter{})); n != len(before) {
		t.Errorf("%d events more", n-len(before))
	}
}

// That a session could not be ended is never told as success, nor what could not be asked
// as an answer.
func TestThreat39_RevocationErrorNotSwallowed(t *testing.T) {
	h := build(t)
	gate := h.gate(t)
	h.account(t, "one", "ada")
	g := h.login(t, "one/plain", "ada")
	refresh, err := h.svc.RefreshToken(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	tokens := map[string]string{
		"jwt": h.token(t, g), "opaque": h.token(t, h.login(t, "one/opaque", "ada")), "refresh": string(refresh),
	}
	h.call(t, gate, "introspect", tokens["jwt"]) // so that the caller and the keys are known
	h.store.Close()
	away := func(what, door string, c caller, tok string) {
		t.Helper()
		a := h.call(t, c, door, tok)
		a.problem(t, what+" at "+door, 503, auth.CodeUnavailable)
		if a.Header.Get("Retry-After") == "" || strings.Contains(a.body, `"error"`) {
			t.Errorf("%s at %s: %v %s", what, door, a.Header, a.body)
		}
	}
	for what, tok := range tokens {
		away(what, "revoke", gate, tok)
		if what == "opaque" { // the jwt is remembered, and a refresh token is dead in any case
			away(what, "introspect", gate, tok)
		}
	}
	robot := caller{gate.Account, token.ServicePrefix + strings.Repeat("A", 43)}
	h.clock.add(2 * time.Second) // and now neither the caller nor the session is remembered
	for _, door := range doors {
		for what, tok := range tokens {
			away(what, door, gate, tok)
		}
		away("an unknown token", door, gate, "x")
		away("a wrong secret", door, robot, tokens["jwt"])
		// What is no secret in any state of the store is told so.
		h.call(t, caller{gate.Account, pass}, door, tokens["jwt"]).noCaller(t, door)
	}
}
