package declared_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/dialect"
	"github.com/ostiary/ostiary/internal/dialect/cloudio"
	"github.com/ostiary/ostiary/internal/dialect/declared"
	"github.com/ostiary/ostiary/internal/dialect/dialecttest"
	"github.com/ostiary/ostiary/internal/dialect/mikrocloud"
	"github.com/ostiary/ostiary/internal/dialect/nomic"
	"github.com/ostiary/ostiary/internal/dialect/senmo"
	"github.com/ostiary/ostiary/internal/web"
)

const examples = "../../../docs/dialects/"

func load(t testing.TB, path string) dialect.Dialect {
	t.Helper()
	d, err := declared.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return d.Dialect()
}

func form(pairs ...string) dialecttest.Request {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	return dialecttest.Request{
		Path: "/oauth/token", Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, Body: values.Encode(),
	}
}

func login(name, password string) dialecttest.Request {
	return form("grant_type", "password", "username", name, "password", password)
}

func example(t testing.TB) dialecttest.Suite {
	return dialecttest.Suite{
		Dialect: load(t, examples+"example.toml"),
		Login:   login,
		Routes: []dialecttest.Route{{
			Path: "/oauth/token", Body: web.BodyForm, Fields: []string{"username", "password", "grant_type"},
			Good: func(testing.TB, *dialecttest.House) dialecttest.Request { return login("ada", dialecttest.Password) },
		}},
		Shape: func(_ int, body string) error {
			return dialecttest.Members(body, "error", "error_description")
		},
		TwoCredentials: http.StatusBadRequest,
		Goldens:        "testdata/example",
	}
}

func TestExample(t *testing.T) { dialecttest.Run(t, example(t)) }

func TestThreat01_EnumerationByReply(t *testing.T) { dialecttest.EnumerationByReply(t, example(t)) }

func FuzzRequest(f *testing.F) { dialecttest.Fuzz(f, example(f)) }

// A token of a declared dialect is nothing at the doors of the others, nor theirs at its.
func TestThreat30_KindsCrossed(t *testing.T) {
	h := dialecttest.Open(t, dialecttest.Options{Budgets: dialecttest.NoBudgets()},
		cloudio.Dialect(), mikrocloud.Dialect(), nomic.Dialect(), senmo.Dialect(), load(t, examples+"example.toml"))
	own := h.Send(t, login("ada", dialecttest.Password))
	body, err := json.Marshal(map[string]string{"username": "ada", "password": dialecttest.Password})
	if err != nil {
		t.Fatal(err)
	}
	other := h.Send(t, dialecttest.JSON("/v1/auth", string(body)))
	basic := h.Send(t, dialecttest.Request{Path: "/api/auth/token"}.With("Authorization", "Basic "+dialecttest.Basic("ada", dialecttest.Password)))
	bearer := func(path, token string) dialecttest.Request {
		return dialecttest.Request{Path: path}.With("Authorization", "Bearer "+token)
	}
	for what, r := range map[string]dialecttest.Request{
		"refresh by senmo's":        form("grant_type", "refresh_token", "refresh_token", other.Text(t, "tokens.refreshToken")),
		"refresh by its own access": form("grant_type", "refresh_token", "refresh_token", own.Text(t, "access_token")),
		"logout by senmo's":         bearer("/oauth/logout", other.Text(t, "tokens.accessToken")),
		"logout by nomic's":         bearer("/oauth/logout", basic.Text(t, "token")),
		"logout by its refresh":     bearer("/oauth/logout", own.Text(t, "refresh_token")),
		"logout, no scheme":         dialecttest.Request{Path: "/oauth/logout"}.With("Authorization", own.Text(t, "access_token")),
		"logout, another scheme":    dialecttest.Request{Path: "/oauth/logout"}.With("Authorization", "Digest "+own.Text(t, "access_token")),
		"senmo by its refresh":      dialecttest.JSON("/v1/auth/refreshtoken", `{"refreshtoken":"`+own.Text(t, "refresh_token")+`"}`),
	} {
		h.Send(t, r).Is(t, what, http.StatusBadRequest)
	}
	h.Send(t, bearer("/api/auth/token", own.Text(t, "access_token"))).Is(t, "nomic by its access", http.StatusForbidden)
	realm := h.RealmID(dialecttest.Realm)
	for token, dialect := range map[string]auth.Dialect{own.Text(t, "access_token"): "example", other.Text(t, "tokens.accessToken"): "senmo"} {
		who, err := h.Service.Identify(t.Context(), realm, auth.Presented{Token: token})
		if err != nil || who.Dialect != dialect {
			t.Errorf("%s: %+v, %v", dialect, who, err)
		}
		if _, err := h.Service.Identify(t.Context(), realm, auth.Presented{Token: token, Bare: true}); auth.CodeOf(err) != auth.CodeTokenInvalid {
			t.Errorf("%s, bare: %v", dialect, err)
		}
	}
}

// A login in one step can give an opaque token; a second factor is no way round it.
func TestOpaque_OneStep(t *testing.T) {
	d, err := declared.Parse("opaque.toml", []byte(`
name = "opaque"
[[route]]
path = "/in"
body = "form"
flow = "sign_in"
username = { member = "user" }
password = { member = "word" }
answer = { json = '{"token": "${bearer}"}' }
[[error]]
codes = ["bad_credentials", "factor_required", "factor_invalid"]
json = ""
[[error]]
codes = "*"
json = ""
`))
	if err != nil {
		t.Fatal(err)
	}
	h := dialecttest.Open(t, dialecttest.Options{Mount: func(m *auth.Mount) { m.AppendCode = true }}, d.Dialect())
	in := func(name, word string) dialecttest.Request {
		return dialecttest.Request{Path: "/in", Body: url.Values{"user": {name}, "word": {word}}.Encode()}
	}
	h.Send(t, in("joan", dialecttest.Password)).Is(t, "no code", http.StatusUnauthorized)
	seen := map[string]bool{}
	for name, word := range map[string]string{"ada": dialecttest.Password, "joan": dialecttest.Password + h.Code("joan", 0)} {
		token := h.Send(t, in(name, word)).Text(t, "token")
		who, err := h.Service.Identify(t.Context(), h.RealmID(dialecttest.Realm), auth.Presented{Token: token})
		if err != nil || who.Username != name || who.Subject != who.Account.String() || len(token) != 44 || seen[token] {
			t.Errorf("%s: %q: %+v, %v", name, token, who, err)
		}
		seen[token] = true
	}
}
