package openapi_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/token"
)

// exchange is a request, and what it is an example of.
type exchange struct {
	operation string // "GET /ostiary/whoami", the path as it is described
	status    int
	request   request
}

// People and services of the tests.
type cast struct {
	h      *house
	ids    map[string]uuid.UUID
	code   map[string]func(int64) string // of a second factor
	boss   string                        // Authorization of a service that may do all
	none   string                        // and of one that may do nothing,
	secret string                        // whose secret this is
}

func newCast(t *testing.T, h *house) *cast {
	t.Helper()
	c := &cast{h: h, ids: map[string]uuid.UUID{}, code: map[string]func(int64) string{}}
	for _, err := range []error{
		h.svc.CreateRole(t.Context(), h.realm.ID, "billing", auth.Client{}),
		h.svc.CreateDatasource(t.Context(), h.realm.ID, "ledger", auth.Client{}),
		h.svc.GrantDatasource(t.Context(), h.realm.ID, "billing", "ledger", auth.Client{}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"ada", "bob", "max", "kim", "mia", "eve", "zoe", "lea", "joan"} {
		c.ids[name], _ = h.account(t, name, auth.KindPerson, "billing")
	}
	for _, name := range []string{"eve", "mia", "zoe"} {
		c.code[name] = h.enroll(t, c.ids[name])
	}
	for _, name := range []string{"mia", "zoe"} {
		if err := h.svc.ConfirmFactor(t.Context(), h.realm.ID, c.ids[name], auth.Secret(c.code[name](0)), auth.Client{}); err != nil {
			t.Fatal(err)
		}
	}
	var roles []string
	for i := range 80 { // more than a header or an access token holds
		roles = append(roles, fmt.Sprintf("role-%02d-%s", i, strings.Repeat("x", 56)))
		if err := h.svc.CreateRole(t.Context(), h.realm.ID, roles[i], auth.Client{}); err != nil {
			t.Fatal(err)
		}
	}
	h.account(t, "ivy", auth.KindPerson, roles...)
	_, secret := h.account(t, "gate", auth.KindService, auth.RoleIntrospect, auth.RoleRevoke)
	c.boss = "Authorization: Basic " + basic("gate", secret)
	_, c.secret = h.account(t, "idle", auth.KindService)
	c.none = "Authorization: Basic " + basic("idle", c.secret)
	return c
}

// member is one of a good answer, by its path.
func (c *cast) member(t *testing.T, r request, path ...string) string {
	t.Helper()
	a := c.h.ask(t, r)
	var v any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%d %s: %v", a.StatusCode, a.body, err)
	}
	for _, name := range path {
		o, _ := v.(object)
		v = o[name]
	}
	s, ok := v.(string)
	if !ok {
		t.Fatalf("%s %s: %d %s", r.method, r.path, a.StatusCode, a.body)
	}
	return s
}

const (
	jsonType = "Content-Type: application/json"
	formType = "Content-Type: application/x-www-form-urlencoded"
)

func post(path, body string, headers ...string) request {
	if strings.HasPrefix(body, "{") {
		headers = append(headers, jsonType)
	}
	return request{"POST", path, body, headers}
}

func form(path, token string, headers ...string) request {
	return request{"POST", path, url.Values{"token": {token}}.Encode(), append(headers, formType)}
}

func (c *cast) login(name string) request {
	return post("/user/login", fmt.Sprintf(`{"email":%q,"password":%q}`, name, pass))
}

func (c *cast) passport(t *testing.T, name, code string) request {
	t.Helper()
	return post("/user/passport", fmt.Sprintf(`{"totp":%q,"token":%q}`, code, c.member(t, c.login(name), "token")))
}

// stepped is a bearer of a login with a second factor that another server has asked for.
func (c *cast) stepped(t *testing.T, name string) string {
	t.Helper()
	text, hash := token.NewOpaque()
	now := time.Now()
	err := c.h.store.InTx(t.Context(), func(tx auth.Tx) error {
		return tx.InsertSession(t.Context(), auth.Session{
			ID: uuid.Must(uuid.NewV7()), RealmID: c.h.realm.ID, AccountID: c.ids[name], Dialect: "mikrocloud", AMR: []string{"pwd", "mfa"},
			AuthTime: now, LastUsedAt: now, ExpiresAt: now.Add(time.Hour), Generation: 1,
		}, hash[:])
	})
	if err != nil {
		t.Fatal(err)
	}
	return "Authorization: Bearer " + text
}

// relayed is the like for an account whose second factor that server asks for still.
func (c *cast) relayed(t *testing.T, name string) string {
	t.Helper()
	err := c.h.store.InTx(t.Context(), func(tx auth.Tx) error {
		return tx.SetElsewhere(t.Context(), c.h.realm.ID, c.ids[name], "mikrocloud", false, time.Now())
	})
	if err != nil {
		t.Fatal(err)
	}
	return c.stepped(t, name)
}

// bearer signs in by mikrocloud.
func (c *cast) bearer(t *testing.T, name string) string {
	t.Helper()
	return "Authorization: Bearer " + c.member(t, c.passport(t, name, ""), "auth_token")
}

func senmoLogin(prefix, name string) request {
	return post(prefix+"/v1/auth", fmt.Sprintf(`{"username":%q,"password":%q}`, name, pass))
}

func (c *cast) refresh(t *testing.T) request {
	t.Helper()
	return post("/v1/auth/refreshtoken", fmt.Sprintf(`{"refreshtoken":%q}`, c.member(t, senmoLogin("", "ada"), "tokens", "refreshToken")))
}

func (c *cast) cloudio(t *testing.T) (jwt, csrf string) {
	t.Helper()
	a := c.h.ask(t, post("/v1/auth", "{}", "Authorization: Token "+basic("ada", pass)))
	var s struct{ JWT, CSRF string }
	if err := json.Unmarshal([]byte(a.body), &s); err != nil || s.JWT == "" {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	return s.JWT, s.CSRF
}

// good are exchanges that work, or do not for a reason of the request's own.
func (c *cast) good(t *testing.T) []exchange {
	t.Helper()
	jwt, csrf := c.cloudio(t)
	paired, bare := []string{"Authorization: Bearer " + jwt, "X-CSRF-Token: " + csrf}, []string{"Authorization: " + jwt, "X-CSRF-Token: " + csrf}
	nomic := c.member(t, post("/api/auth/token", "", "Authorization: Basic "+basic("ada", pass)), "token")
	senmo := c.member(t, senmoLogin("", "ada"), "tokens", "accessToken")
	bearer := c.bearer(t, "ada")
	opaque := strings.TrimPrefix(bearer, "Authorization: Bearer ")
	change := fmt.Sprintf(`{"current":%q,"new":"another horse battery"}`, pass)
	const token = "Authorization: Token "
	get := func(path string, headers ...string) request { return request{"GET", path, "", headers} }
	fresh := c.stepped(t, "lea")
	list := []exchange{
		{"GET /.well-known/jwks.json", 200, get("/.well-known/jwks.json")},
		{"GET /ostiary/openapi.json", 200, get("/ostiary/openapi.json")},
		{"GET /ostiary/healthz", 200, get("/ostiary/healthz")},
		{"GET /ostiary/healthz", 503, get("/ostiary/healthz", bearer, bearer)},
		{"GET /ostiary/readyz", 200, get("/ostiary/readyz")},
		{"GET /ostiary/verify", 200, get("/ostiary/verify", bearer)},
		{"GET /ostiary/verify", 200, get("/ostiary/verify?role=billing&datasource=ledger", paired...)},
		{"GET /ostiary/verify", 200, get("/ostiary/verify", bare...)},
		{"GET /ostiary/verify", 200, get("/ostiary/verify", "Authorization: Bearer "+nomic)},
		{"GET /ostiary/verify", 200, get("/ostiary/verify", "Authorization: Bearer "+senmo)},
		{"GET /ostiary/verify", 200, get("/ostiary/verify", c.bearer(t, "ivy"))},
		{"GET /ostiary/verify", 401, get("/ostiary/verify")},
		{"GET /ostiary/verify", 401, get("/ostiary/verify", bare[0])},
		{"GET /ostiary/verify", 403, get("/ostiary/verify?role=support", bearer)},
		{"GET /ostiary/verify", 403, get("/ostiary/verify", bearer, "X-Original-URI: /public/../admin")},
		{"GET /ostiary/verify/{path}", 200, get("/ostiary/verify/reports/7?role=support", bearer)},
		{"GET /ostiary/verify/{path}", 401, get("/ostiary/verify/reports", bearer+"x")},
		{"GET /ostiary/verify/{path}", 403, get("/ostiary/verify/public%2f..%2fadmin", bearer)},
		{"GET /ostiary/whoami", 200, get("/ostiary/whoami", paired...)},
		{"GET /ostiary/whoami", 200, get("/ostiary/whoami", bearer)},
		{"GET /ostiary/sessions", 200, get("/ostiary/sessions", bearer)},
		{"GET /ostiary/sessions", 200, get("/ostiary/sessions", c.crowd(t))},
		{"GET /ostiary/sessions", 200, get("/ostiary/sessions?after="+c.session(t, bearer), bearer)},
		{"DELETE /ostiary/sessions/{session}", 404, request{"DELETE", "/ostiary/sessions/" + uuid.NewString(), "", []string{bearer}}},
		{"DELETE /ostiary/sessions/{session}", 204, request{"DELETE", "/ostiary/sessions/" + c.session(t, c.bearer(t, "ada")), "", []string{bearer}}},
		{"DELETE /ostiary/sessions", 204, request{"DELETE", "/ostiary/sessions", "", []string{c.bearer(t, "max")}}},
		{"POST /ostiary/logout", 204, post("/ostiary/logout", "", c.bearer(t, "ada"))},
		{"POST /ostiary/password", 204, post("/ostiary/password", change, c.bearer(t, "bob"))},
		{"POST /ostiary/password", 400, post("/ostiary/password", fmt.Sprintf(`{"current":%q,"new":"short"}`, pass), bearer)},
		{"POST /ostiary/password", 403, post("/ostiary/password", `{"current":"wrong","new":"another horse battery"}`, bearer)},
		{"POST /ostiary/password", 409, post("/ostiary/password", change, c.relayed(t, "lea"))},
		{"POST /ostiary/factor", 404, post("/ostiary/factor", `{"code":"000000"}`, fresh)},
		{"POST /ostiary/factor", 200, post("/ostiary/factor", "", fresh)},
		{"POST /ostiary/factor", 200, post("/ostiary/factor", `{"code":""}`, fresh)},
		{"POST /ostiary/factor", 403, post("/ostiary/factor", `{"code":"000000"}`, fresh)},
		{"POST /ostiary/factor", 403, post("/ostiary/factor", "{}", bearer)},
		{"POST /ostiary/factor", 409, post("/ostiary/factor", "", c.stepped(t, "zoe"))},
		{"POST /ostiary/join", 204, post("/ostiary/join", c.brought(t), c.bearer(t, "joan"))},
		{"POST /ostiary/join", 400, post("/ostiary/join", fmt.Sprintf(`{"current":%q,"username":"max","password":"x","dialect":"none"}`, pass), bearer)},
		{"POST /ostiary/join", 403, post("/ostiary/join", fmt.Sprintf(`{"current":%q,"username":"max","password":"wrong","dialect":"senmo"}`, pass), bearer)},
		{"POST /ostiary/join", 403, post("/ostiary/join", fmt.Sprintf(`{"current":%q,"username":"mia","password":%[1]q,"dialect":"senmo"}`, pass), bearer)},
		{"POST /ostiary/join", 409, post("/ostiary/join", fmt.Sprintf(`{"current":%q,"username":"max","password":%[1]q,"dialect":"senmo"}`, pass), bearer)},
		{"POST /ostiary/introspect", 200, form("/ostiary/introspect", opaque, c.boss)},
		{"POST /ostiary/introspect", 200, form("/ostiary/introspect", jwt, c.boss)},
		{"POST /ostiary/introspect", 200, form("/ostiary/introspect", nomic, c.boss)},
		{"POST /ostiary/introspect", 200, form("/ostiary/introspect", senmo, c.boss)},
		{"POST /ostiary/introspect", 200, form("/ostiary/introspect", "dead", c.boss)},
		{"POST /ostiary/revoke", 200, form("/ostiary/revoke", strings.TrimPrefix(c.bearer(t, "ada"), "Authorization: Bearer "), c.boss)},
		{"POST /ostiary/revoke", 200, form("/ostiary/revoke", "dead", c.boss)},
		{"POST /v1/auth", 200, post("/v1/auth", "{}", token+basic("ada", pass))},
		{"POST /v1/auth", 200, post("/v1/auth", "", "Authentication: Token "+basic("ada", pass))},
		{"POST /v1/auth", 403, post("/v1/auth", "{}", token+basic("ada", "wrong"))},
		{"POST /v1/auth", 200, senmoLogin("", "ada")},
		{"POST /v1/auth", 200, senmoLogin("", "ivy")},
		{"POST /v1/auth", 400, post("/v1/auth", `{"username":"ada","password":"wrong"}`)},
		{"POST /v1/auth/refreshtoken", 200, c.refresh(t)},
		{"POST /v1/auth/refreshtoken", 400, post("/v1/auth/refreshtoken", "")},
		{"POST /v1/auth/refreshtoken", 400, post("/v1/auth/refreshtoken", `{"refreshtoken":"x"}`)},
		{"POST /user/login", 200, c.login("ada")},
		{"POST /user/login", 200, c.login("eve")},
		{"POST /user/login", 200, c.login("mia")},
		{"POST /user/login", 401, post("/user/login", `{"email":"ada","password":"wrong"}`)},
		{"POST /user/passport", 200, c.passport(t, "ada", "")},
		{"POST /user/passport", 200, c.passport(t, "mia", c.code["mia"](1))},
		{"POST /user/passport", 401, post("/user/passport", `{"token":"x","totp":null}`)},
		{"POST /api/auth/token", 200, post("/api/auth/token", "", "Authorization: Basic "+basic("ada", pass))},
		{"POST /api/auth/token", 200, post("/api/auth/token", "", "Authorization: Bearer "+nomic)},
		{"POST /api/auth/token", 400, post("/api/auth/token", "breaks off", "Break: off")},
		{"POST /api/auth/token", 403, post("/api/auth/token", "")},
	}
	for _, name := range []string{"introspect", "revoke"} {
		path := "/ostiary/" + name
		list = append(list,
			exchange{"POST " + path, 401, form(path, opaque)},
			exchange{"POST " + path, 403, form(path, opaque, c.none)},
			exchange{"POST " + path, 400, request{"POST", path, "", []string{c.boss}}},
			exchange{"POST " + path, 400, request{"POST", path, "token=a&token=b", []string{c.boss, formType}}},
		)
	}
	return list
}

// brought makes an account that a server of senmo has known, and returns what joins it.
func (c *cast) brought(t *testing.T) string {
	t.Helper()
	name := "brought-" + uuid.NewString()[:8]
	a, _, err := c.h.svc.CreateAccount(t.Context(), c.h.realm.ID, auth.NewAccount{Username: name, NoPassword: true}, auth.Client{})
	if err != nil {
		t.Fatal(err)
	}
	hash, err := c.h.options.Hasher.Hash(t.Context(), pass)
	if err == nil {
		err = c.h.store.InTx(t.Context(), func(tx auth.Tx) error {
			return tx.PutSource(t.Context(), c.h.realm.ID, a.ID, auth.SourceHash{Source: "senmo", Hash: hash, CreatedAt: time.Now()})
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`{"current":%q,"username":%q,"password":%[1]q,"dialect":"senmo"}`, pass, name)
}

// crowd opens more sessions than one answer lists; a service's secret is checked fast.
func (c *cast) crowd(t *testing.T) (bearer string) {
	t.Helper()
	for range 101 {
		bearer = "Authorization: Bearer " + c.member(t, post("/api/auth/token", "", c.none), "token")
	}
	return bearer
}

func (c *cast) session(t *testing.T, bearer string) string {
	t.Helper()
	return c.member(t, request{"GET", "/ostiary/whoami", "", []string{bearer}}, "session")
}

// bad are requests that no operation takes, by what is wrong with them: for each operation
// whatever it describes of another method, no credential, two, a body that is too large,
// broken, or of another type.
func (c *cast) bad(t *testing.T, d *description) (list []exchange) {
	t.Helper()
	bearer := c.bearer(t, "ada")
	for _, operation := range d.operations() {
		method, template, _ := strings.Cut(operation, " ")
		path := strings.NewReplacer("{path}", "x", "{session}", uuid.NewString()).Replace(template)
		credential := bearer
		if path == "/ostiary/introspect" || path == "/ostiary/revoke" {
			credential = c.boss
		}
		add := func(status int, method, body string, headers ...string) {
			if d.has(t, pointer(operation)+fmt.Sprintf("/responses/%d", status)) {
				list = append(list, exchange{operation, status, request{method, path, body, headers}})
			}
		}
		large := jsonType
		if credential == c.boss {
			large = formType
		}
		add(405, "PATCH", "")
		add(413, method, strings.Repeat(" ", 65<<10), credential, large)
		if credential == bearer && !strings.HasPrefix(path, "/user/") { // whose credential is in the body
			add(401, method, "{}", jsonType)
		}
		add(415, method, "hello", credential, "Content-Type: text/plain")
		if path != "/api/auth/token" { // where two are 403
			add(400, method, "", bearer, bearer)
		}
		switch path {
		case "/v1/auth":
			token := "Authorization: Token " + basic("ada", pass)
			add(400, method, "[]", token, jsonType)
			add(405, "PATCH", "", token)
			add(413, method, strings.Repeat(" ", 65<<10), token, jsonType)
			add(415, method, "hello", token, "Content-Type: text/plain")
		case "/user/login", "/user/passport", "/v1/auth/refreshtoken", "/ostiary/password", "/ostiary/factor", "/ostiary/join":
			add(400, method, "[]", credential, jsonType)
		}
	}
	return list
}
