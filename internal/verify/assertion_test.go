package verify

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/ostiary/ostiary/internal/auth"
)

// verdict asks for one, and returns its assertion.
func (h *house) verdict(t testing.TB, headers ...string) (answered, string) {
	t.Helper()
	r := h.ask(t, "GET", "/ostiary/verify", "", headers...)
	if r.StatusCode != 200 || len(r.Header["Ostiary-Assertion"]) != 1 {
		t.Fatalf("%d %v %s", r.StatusCode, r.Header, r.body)
	}
	return r, r.Header.Get("Ostiary-Assertion")
}

// opened verifies an assertion by the published keys, and returns its header and claims.
func (h *house) opened(t testing.TB, assertion string) (header, claims map[string]any) {
	t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(h.ask(t, "GET", "/.well-known/jwks.json", "").body), &set); err != nil {
		t.Fatal(err)
	}
	jws, err := jose.ParseSignedCompact(assertion, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	keys := set.Key(jws.Signatures[0].Protected.KeyID)
	if len(keys) != 1 {
		t.Fatalf("%d keys of that name", len(keys))
	}
	payload, err := jws.Verify(keys[0])
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(assertion, ".")
	raw, _ := base64.RawURLEncoding.DecodeString(first)
	for text, v := range map[string]*map[string]any{string(raw): &header, string(payload): &claims} {
		if err := json.Unmarshal([]byte(text), v); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

// equip gives an account a role that opens a datasource.
func (h *house) equip(t testing.TB, a auth.Account, role, datasource string) {
	t.Helper()
	none, realm := auth.Client{}, a.RealmID
	for _, err := range []error{
		h.svc.CreateRole(t.Context(), realm, role, none), h.svc.CreateDatasource(t.Context(), realm, datasource, none),
		h.svc.GrantDatasource(t.Context(), realm, role, datasource, none), h.svc.AddRole(t.Context(), realm, a.ID, role, none),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestAssertion_Claims(t *testing.T) {
	h := build(t)
	a := h.account(t, "one", "ada")
	h.equip(t, a, "admin", "sales:eu")
	*h.mounts["one/paired"] = func(m auth.Mount) auth.Mount {
		m.AssertionAudience, m.Audience = "https://api.example.com", ""
		return m
	}(*h.mounts["one/paired"])
	h.mounts["one/opaque"].Audience = "app"
	for d, more := range map[auth.Dialect]map[string]any{
		plain: {"sub": "nada"}, paired: {"aud": "https://api.example.com"}, opaque: {"client_id": "app"},
	} {
		g := h.login(t, "one/"+string(d), "ada")
		h.clock.add(time.Second)
		now := h.clock.Now().Unix()
		credential := []string{"Authorization: Bearer " + h.token(t, g), "X-CSRF-Token: " + csrfOf(g)}
		_, assertion := h.verdict(t, credential...)
		header, claims := h.opened(t, assertion)
		if len(header) != 3 || header["alg"] != "ES256" || header["typ"] != "at+jwt" || header["kid"] == "" {
			t.Errorf("header %v", header)
		}
		want := map[string]any{
			"iss": "urn:ostiary:one:" + string(d), "sub": a.ID.String(), "aud": "urn:ostiary:one", "client_id": string(d),
			"iat": now, "exp": now + 300, "jti": claims["jti"], "auth_time": now - 1, "amr": []string{"pwd"},
			"account": a.ID.String(), "username": "ada", "org": "Ärzte, 100%", "roles": []string{"admin"}, "datasources": []string{"sales:eu"},
			"dialect": string(d), "session": g.Session.ID.String(),
		}
		maps.Copy(want, more)
		wanted, _ := json.Marshal(want)
		if got, _ := json.Marshal(claims); string(got) != string(wanted) || claims["jti"] == "" {
			t.Errorf("%s\n%s", got, wanted)
		}
		// Envoy appends the path, and gets the same.
		if r := h.ask(t, "POST", "/ostiary/verify/a/b?role=x", "", credential...); r.Header.Get("Ostiary-Assertion") != assertion {
			t.Errorf("%s: another one where a path is appended: %v", d, r.Header)
		}
		for _, refused := range []string{"?role=nothing", "?x"} {
			if r := h.ask(t, "GET", "/ostiary/verify"+refused, "", credential...); r.StatusCode != 403 || r.Header["Ostiary-Assertion"] != nil || r.Header["Ostiary-Subject"] != nil {
				t.Errorf("%d %v", r.StatusCode, r.Header)
			}
		}
	}
	bob := h.account(t, "two", "bob") // without anything: empty lists, never null
	g := h.login(t, "two/opaque", "bob")
	_, assertion := h.verdict(t, "Host: "+hostTwo, "Authorization: Bearer "+h.token(t, g))
	part, _ := base64.RawURLEncoding.DecodeString(strings.Split(assertion, ".")[1])
	for _, member := range []string{`"roles":[]`, `"datasources":[]`, `"aud":"urn:ostiary:two"`, `"iss":"urn:ostiary:two:opaque"`, bob.ID.String()} {
		if !strings.Contains(string(part), member) {
			t.Errorf("%s lacks %s", part, member)
		}
	}
}

// An assertion is given out again for a minute, and while nothing of it changes.
func TestAssertion_Reuse(t *testing.T) {
	h := build(t)
	a := h.account(t, "one", "ada")
	h.equip(t, a, "admin", "sales")
	g := h.login(t, "one/plain", "ada")
	bearer := "Authorization: Bearer " + h.token(t, g)
	_, first := h.verdict(t, bearer)
	for _, c := range []struct {
		what   string
		change func() error
		same   bool
	}{
		{"at once", nil, true},
		{"when the view is old", func() error { h.clock.add(3 * time.Second); return nil }, true},
		{"after 59 s", func() error { h.clock.add(56 * time.Second); return nil }, true},
		{"after a minute", func() error { h.clock.add(time.Second); return nil }, false},
		{"without the role", func() error { return h.svc.RemoveRole(t.Context(), h.one.ID, a.ID, "admin", auth.Client{}) }, false},
		{"with it", func() error { return h.svc.AddRole(t.Context(), h.one.ID, a.ID, "admin", auth.Client{}) }, false},
		{"without the grant", func() error {
			return h.svc.RevokeDatasource(t.Context(), h.one.ID, "admin", "sales", auth.Client{})
		}, false},
		{"with another org", func() error {
			org := "acme"
			_, err := h.svc.UpdateAccount(t.Context(), h.one.ID, a.ID, auth.AccountChange{Org: &org}, auth.Client{})
			return err
		}, false},
		{"with what is not in it changed", func() error {
			name := "Ada"
			_, err := h.svc.UpdateAccount(t.Context(), h.one.ID, a.ID, auth.AccountChange{DisplayName: &name}, auth.Client{})
			return err
		}, true},
		{"with an alias in another dialect", func() error {
			return h.svc.SetAlias(t.Context(), h.one.ID, a.ID, opaque, "new", auth.Client{})
		}, true},
	} {
		if c.change != nil {
			if err := c.change(); err != nil {
				t.Fatal(err)
			}
		}
		r, next := h.verdict(t, bearer)
		if (first == next) != c.same {
			t.Errorf("%s: same is %v", c.what, first == next)
		}
		_, claims := h.opened(t, next)
		roles, _ := json.Marshal(claims["roles"])
		if want := strings.Trim(string(roles), `[]"`); r.Header.Get("Ostiary-Roles") != want || claims["sub"] != "nada" || r.Header.Get("Ostiary-Subject") != "nada" {
			t.Errorf("%s: %v, and %v", c.what, claims, r.Header)
		}
		first = next
	}
}

// A key that is refused from now on signs no assertion, and none that it signed is given
// out again.
func TestAssertion_KeyKilled(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	bearer := "Authorization: Bearer " + h.token(t, h.login(t, "one/opaque", "ada"))
	_, before := h.verdict(t, bearer)
	old, _ := h.opened(t, before)
	rotation := auth.KeyRotation{Algorithm: auth.AssertionAlgorithm, TokenLife: time.Hour}
	if _, err := h.svc.RotateKey(t.Context(), h.one.ID, rotation, auth.Client{}); err != nil {
		t.Fatal(err)
	}
	if _, next := h.verdict(t, bearer); next != before {
		t.Error("an assertion of a key that is still good is thrown away")
	}
	rotation.Now = true
	key, err := h.svc.RotateKey(t.Context(), h.one.ID, rotation, auth.Client{})
	if err != nil {
		t.Fatal(err)
	}
	_, after := h.verdict(t, bearer)
	if header, _ := h.opened(t, after); header["kid"] != key.Kid || header["kid"] == old["kid"] {
		t.Errorf("after %s and %s came %s", old["kid"], key.Kid, header["kid"])
	}
}

// Ostiary takes its own assertions for nothing, at no door.
func TestAssertion_NoCredential(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	for _, d := range []auth.Dialect{plain, paired, opaque} {
		g := h.login(t, "one/"+string(d), "ada")
		credential := []string{"Authorization: Bearer " + h.token(t, g), "X-CSRF-Token: " + csrfOf(g)}
		_, assertion := h.verdict(t, credential...)
		for _, headers := range [][]string{
			{"Authorization: Bearer " + assertion}, {"Authorization: Bearer " + assertion, "X-CSRF-Token: " + csrfOf(g)},
			{"Authorization: " + assertion}, {"Authorization: " + assertion, "X-CSRF-Token: " + csrfOf(g)},
		} {
			for _, door := range bearerDoors {
				method, path, _ := strings.Cut(door, " ")
				h.ask(t, method, path, `{"current":"`+pass+`","new":"another horse battery"}`, headers...).refused(t, door, challengeInvalid)
			}
		}
		h.ask(t, "GET", "/ostiary/verify", "", "Ostiary-Assertion: "+assertion).refused(t, "in its header", challengeNone)
		if _, err := h.svc.Refresh(t.Context(), g.Mount, auth.Secret(assertion), auth.Client{}); auth.CodeOf(err) != auth.CodeTokenInvalid {
			t.Errorf("refresh: %v", err)
		}
		if _, err := h.svc.Introspect(t.Context(), h.one.ID, auth.Presented{Token: assertion, AnyCSRF: true}); auth.CodeOf(err) != auth.CodeTokenInvalid {
			t.Errorf("introspection: %v", err)
		}
		if err := h.svc.Revoke(t.Context(), h.one.ID, assertion, auth.Client{}); err != nil {
			t.Errorf("revocation: %v", err)
		}
		if _, err := h.svc.Renew(t.Context(), g.Mount, auth.Presented{Token: assertion}, auth.Client{}); auth.CodeOf(err) != auth.CodeTokenInvalid {
			t.Errorf("renewal: %v", err)
		}
		h.verdict(t, credential...) // and the session lives on
	}
}

// bearerDoors are all that a bearer's token opens.
var bearerDoors = []string{
	"GET /ostiary/verify", "GET /ostiary/verify/a", "GET /ostiary/whoami", "POST /ostiary/logout", "POST /ostiary/password",
	"GET /ostiary/sessions", "DELETE /ostiary/sessions", "DELETE /ostiary/sessions/019a0b5e-7e3b-7c11-8d7c-0f5b8e7a4c21",
}

// A session's assertion is as its mount says: two mounts may take turns with a session.
func TestAssertion_PerMount(t *testing.T) {
	h := build(t)
	other := *h.mounts["one/plain"]
	other.Issuer, other.AssertionAudience, other.Host = "urn:other", "https://other.example.com", "other.example.com"
	h.options.Mounts = append(h.options.Mounts, &other)
	h.start(t)
	h.account(t, "one", "ada")
	g := h.login(t, "one/plain", "ada")
	moved := *g
	moved.Mount = &other
	for range 2 {
		for aud, g := range map[string]*auth.Grant{"urn:ostiary:one": g, other.AssertionAudience: &moved} {
			_, assertion := h.verdict(t, "Authorization: Bearer "+h.token(t, g))
			if _, claims := h.opened(t, assertion); claims["aud"] != aud {
				t.Errorf("aud %v, want %s", claims["aud"], aud)
			}
		}
	}
}

func TestHeaderList_Cut(t *testing.T) {
	for _, c := range []struct{ names, length int }{
		{0, 64}, {1, 64}, {2, 64}, {15, 64}, {16, 64}, {17, 64}, {100, 64}, {1100, 64}, {512, 1}, {513, 1}, {514, 1}, {5000, 1}, {93, 10}, {94, 10}, {102, 9}, {103, 9}, {1, 1024}, {2, 2000},
	} {
		var names []string
		for i := range c.names {
			names = append(names, fmt.Sprintf("%0*d", c.length, i%10))
		}
		got, whole := headerList(names), strings.Join(names, ",")
		kept, marker, cut := strings.Cut(got, "+")
		left := 0
		if _, err := fmt.Sscan(marker, &left); cut && err != nil {
			t.Fatal(err)
		}
		list := strings.Split(strings.TrimSuffix(kept, ","), ",")
		if kept == "" {
			list = nil
		}
		switch {
		case len(whole) <= maxList && got != whole:
			t.Errorf("%+v: cut to %d bytes", c, len(got))
		case len(whole) > maxList && (!cut || left == 0 || kept != "" && !strings.HasSuffix(kept, ",")):
			t.Errorf("%+v: %s", c, got)
		case len(got) > maxList || len(list)+left != c.names || !slices.Equal(list, names[:len(list)]):
			t.Errorf("%+v: %d bytes, %d names and %d more", c, len(got), len(list), left)
		case cut && len(strings.Join(names[:len(list)+1], ","))+len(fmt.Sprintf(",+%d", left-1)) <= maxList:
			t.Errorf("%+v: one more has room", c)
		}
	}
}

// The headers are cut; what else tells of the names is not, nor is what is asked of them.
func TestVerify_LongLists(t *testing.T) {
	h := build(t)
	a := h.account(t, "one", "ada")
	const count = 40
	name := func(i int) string { return fmt.Sprintf("%s:%02d", strings.Repeat("x", 60), i) }
	for i := range count {
		h.equip(t, a, name(i), name(i))
	}
	bearer := "Authorization: Bearer " + h.token(t, h.login(t, "one/opaque", "ada"))
	r, assertion := h.verdict(t, bearer)
	for _, header := range []string{"Ostiary-Roles", "Ostiary-Datasources"} {
		if got := r.Header.Get(header); len(got) > 1024 || !strings.HasSuffix(got, ","+name(14)+",+25") {
			t.Errorf("%s: %s", header, got)
		}
	}
	_, claims := h.opened(t, assertion)
	who := h.ask(t, "GET", "/ostiary/whoami", "", bearer).body
	if roles := claims["roles"].([]any); len(roles) != count || strings.Count(who, `"`+name(39)+`"`) != 2 {
		t.Errorf("%d roles, %s", len(roles), who)
	}
	if r := h.ask(t, "GET", "/ostiary/verify?role="+name(39)+"&datasource="+name(38), "", bearer); r.StatusCode != 200 {
		t.Errorf("%d", r.StatusCode)
	}
}
