package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// door is a place where some credential is taken.
type door struct {
	name, method, path string
	body               func(token string) string
	open, shut         int
}

func object(name string, more ...string) func(string) string {
	return func(token string) string {
		text, _ := json.Marshal(token)
		return `{"` + name + `":` + string(text) + strings.Join(more, "") + `}`
	}
}

func nothing(string) string { return "" }

// doors are in an order in which an opened one does not keep the next from opening.
var doors = []door{
	{"verify", "GET", "/ostiary/verify", nothing, 200, 401},
	{"verify below", "POST", "/ostiary/verify/some/path?role=x", nothing, 200, 401},
	{"whoami", "GET", "/ostiary/whoami", nothing, 200, 401},
	{"renew", "POST", "/api/auth/token", nothing, 200, 403},
	{"refresh", "POST", "/v1/auth/refreshtoken", object("refreshtoken"), 200, 400},
	{"passport", "POST", "/user/passport", object("token", `,"totp":""`), 200, 401},
	{"password", "POST", "/ostiary/password", func(string) string { return `{"current":"` + pass + `","new":"` + next + `"}` }, 204, 401},
	{"logout", "POST", "/ostiary/logout", nothing, 204, 401},
}

// kind is one way to present one kind of token, after a fresh login.
type kind struct {
	name  string
	opens string // names of doors
	sign  func(h *house, t *testing.T, host, name string, k *tokens)
	show  func(k *tokens) (token string, bare bool, csrf string)
}

const general = "verify, verify below, whoami, password, logout"

// of is one token of a kind, as a Bearer without a csrf.
func of(token func(*tokens) string) func(*tokens) (string, bool, string) {
	return func(k *tokens) (string, bool, string) { return token(k), false, "" }
}

func bare(token func(*tokens) string) func(*tokens) (string, bool, string) {
	return func(k *tokens) (string, bool, string) { return token(k), true, k.csrf }
}

func secret(*tokens) string { return pass }

var kinds = []kind{
	{"cloudio jwt with its csrf", general, (*house).cloudio, func(k *tokens) (string, bool, string) { return k.jwt, false, k.csrf }},
	{"cloudio jwt, bare", general, (*house).cloudio, bare(jwt)},
	{"cloudio jwt alone", "", (*house).cloudio, of(jwt)},
	{"cloudio jwt, bare and alone", "", (*house).cloudio, func(k *tokens) (string, bool, string) { return k.jwt, true, "" }},
	{"cloudio jwt with another csrf", "", twice, func(k *tokens) (string, bool, string) { return k.jwt, false, k.session }},
	{"cloudio jwt with its own text as csrf", "", (*house).cloudio, func(k *tokens) (string, bool, string) { return k.jwt, false, k.jwt }},
	{"cloudio csrf", "", (*house).cloudio, of(csrf)},
	{"cloudio csrf, bare", "", (*house).cloudio, bare(csrf)},
	{"cloudio session id", "", (*house).cloudio, of(session)},
	{"cloudio session id, bare", "", (*house).cloudio, bare(session)},
	{"mikrocloud ticket", "passport", (*house).ticket, of(ticket)},
	{"mikrocloud ticket, bare", "passport", (*house).ticket, bare(ticket)},
	{"mikrocloud ticket, spent", "", (*house).mikrocloud, of(ticket)},
	{"mikrocloud auth_token", general, (*house).mikrocloud, of(authToken)},
	{"mikrocloud auth_token, bare", "", (*house).mikrocloud, bare(authToken)},
	{"nomic jwt", general + ", renew", (*house).nomic, of(nomicJWT)},
	{"nomic jwt, bare", "", (*house).nomic, bare(nomicJWT)},
	{"senmo id token", "", (*house).senmo, of(id)},
	{"senmo id token, bare", "", (*house).senmo, bare(id)},
	{"senmo access token", general, (*house).senmo, of(access)},
	{"senmo access token, bare", "", (*house).senmo, bare(access)},
	{"senmo refresh token", "refresh", (*house).senmo, of(refresh)},
	{"senmo refresh token, bare", "refresh", (*house).senmo, bare(refresh)},
	{"the password", "", (*house).senmo, of(secret)},
}

// twice keeps the csrf of another session of the account in place of the session id.
func twice(h *house, t *testing.T, host, name string, k *tokens) {
	var other tokens
	h.cloudio(t, host, name, &other)
	h.cloudio(t, host, name, k)
	k.session = other.csrf
}
