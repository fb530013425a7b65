package openapi_test

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
)

// faults are good requests, for servers that can't answer them.
func (c *cast) faults(t *testing.T) []exchange {
	t.Helper()
	// A JWT, since a key is needed to verify it.
	jwt := c.member(t, post("/api/auth/token", "", "Authorization: Basic "+basic("ada", pass)), "token")
	bearer := "Authorization: Bearer " + jwt
	return []exchange{
		{"GET /.well-known/jwks.json", 0, request{"GET", "/.well-known/jwks.json", "", nil}},
		{"GET /ostiary/whoami", 0, request{"GET", "/ostiary/whoami", "", []string{bearer}}},
		{"POST /ostiary/logout", 0, post("/ostiary/logout", "", bearer)},
		{"POST /ostiary/password", 0, post("/ostiary/password", fmt.Sprintf(`{"current":%q,"new":"another horse battery"}`, pass), bearer)},
		{"POST /ostiary/factor", 0, post("/ostiary/factor", "{}", c.stepped(t, "lea"))},
		{"POST /ostiary/join", 0, post("/ostiary/join", fmt.Sprintf(`{"current":%q,"username":"max","password":%[1]q,"dialect":"senmo"}`, pass), bearer)},
		{"GET /ostiary/sessions", 0, request{"GET", "/ostiary/sessions", "", []string{bearer}}},
		{"DELETE /ostiary/sessions", 0, request{"DELETE", "/ostiary/sessions", "", []string{bearer}}},
		{"DELETE /ostiary/sessions/{session}", 0, request{"DELETE", "/ostiary/sessions/" + uuid.NewString(), "", []string{bearer}}},
		{"POST /ostiary/introspect", 0, form("/ostiary/introspect", jwt, c.boss)},
		{"POST /ostiary/revoke", 0, form("/ostiary/revoke", jwt, c.boss)},
		{"POST /v1/auth", 0, post("/v1/auth", "{}", "Authorization: Token "+basic("ada", pass))},
		{"POST /v1/auth", 0, senmoLogin("", "ada")},
		{"POST /v1/auth/refreshtoken", 0, c.refresh(t)},
		{"POST /user/login", 0, c.login("eve")},
		{"POST /user/passport", 0, c.passport(t, "zoe", c.code["zoe"](1))},
		{"POST /api/auth/token", 0, post("/api/auth/token", "", "Authorization: Basic "+basic("ada", pass))},
	}
}

// verdicts are questions to which any fault is answered with 503.
func (c *cast) verdicts(t *testing.T) []exchange {
	t.Helper()
	bearer := "Authorization: Bearer " + c.member(t, post("/api/auth/token", "", "Authorization: Basic "+basic("ada", pass)), "token")
	return []exchange{
		{"GET /ostiary/readyz", 0, request{"GET", "/ostiary/readyz", "", nil}},
		{"GET /ostiary/verify", 0, request{"GET", "/ostiary/verify", "", []string{bearer}}},
		{"GET /ostiary/verify/{path}", 0, request{"GET", "/ostiary/verify/x", "", []string{bearer}}},
	}
}

// of gives exchanges the status that they have at a server.
func of(status int, list []exchange) []exchange {
	list = append([]exchange(nil), list...)
	for i := range list {
		list[i].status = status
	}
	return list
}

// guesses are wrong ones, at a server that forgives one.
func (c *cast) guesses(t *testing.T) []exchange {
	t.Helper()
	wrong := post("/v1/auth", "{}", "Authorization: Token "+basic("max", "wrong"))
	bearer := c.bearer(t, "kim")
	password := post("/ostiary/password", `{"current":"wrong","new":"yet another battery"}`, bearer)
	fresh := c.stepped(t, "lea")
	// The secret of another service.
	service := "Authorization: Basic " + basic("gate", c.secret)
	code := func() request { return c.passport(t, "zoe", "000000") }
	return []exchange{
		{"POST /v1/auth", 403, wrong},
		{"POST /v1/auth", 429, wrong},
		{"POST /v1/auth", 429, senmoLogin("", "max")},
		{"POST /user/login", 429, c.login("max")},
		{"POST /api/auth/token", 429, post("/api/auth/token", "", "Authorization: Basic "+basic("max", pass))},
		{"POST /ostiary/password", 403, password},
		{"POST /ostiary/password", 429, password},
		{"POST /ostiary/factor", 200, post("/ostiary/factor", "{}", fresh)},
		{"POST /ostiary/factor", 403, post("/ostiary/factor", `{"code":"000000"}`, fresh)},
		{"POST /ostiary/factor", 429, post("/ostiary/factor", `{"code":"000000"}`, fresh)},
		{"POST /ostiary/join", 429, post("/ostiary/join", fmt.Sprintf(`{"current":%q,"username":"max","password":%[1]q,"dialect":"senmo"}`, pass), bearer)},
		{"POST /ostiary/introspect", 401, form("/ostiary/introspect", "x", service)},
		{"POST /ostiary/introspect", 429, form("/ostiary/introspect", "x", service)},
		{"POST /ostiary/revoke", 429, form("/ostiary/revoke", "x", service)},
		{"POST /user/passport", 401, code()},
		{"POST /user/passport", 429, code()},
	}
}
