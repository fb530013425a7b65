package cloudio

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/dialect/dialecttest"
	"github.com/ostiary/ostiary/internal/token"
	"github.com/ostiary/ostiary/internal/web"
)

func login(name, password string) dialecttest.Request {
	return dialecttest.JSON("/v1/auth", "{}").With("Authorization", "Token "+dialecttest.Basic(name, password))
}

func shape(status int, body string) error {
	if err := dialecttest.Members(body, "code", "status", "title", "message"); err != nil {
		return err
	}
	var f failure
	if err := json.Unmarshal([]byte(body), &f); err != nil {
		return err
	}
	if f.Code != status || f.Status != "ERROR" || f.Title == "" || f.Message == "" {
		return fmt.Errorf("%s at %d", body, status)
	}
	return nil
}

var suite = dialecttest.Suite{
	Dialect: Dialect(),
	Login:   login,
	Routes: []dialecttest.Route{{
		Path: "/v1/auth", Body: web.BodyEmpty,
		Good: func(testing.TB, *dialecttest.House) dialecttest.Request { return login("ada", dialecttest.Password) },
	}},
	Shape:          shape,
	Scheme:         "Token",
	TwoCredentials: http.StatusBadRequest,
}

func TestDialect(t *testing.T) { dialecttest.Run(t, suite) }

func TestThreat01_EnumerationByReply(t *testing.T) { dialecttest.EnumerationByReply(t, suite) }

func FuzzRequest(f *testing.F) { dialecttest.Fuzz(f, suite) }

// A login in the body beside a Token is a second credential; anything else there is not.
func TestLogin_TwoCredentials(t *testing.T) {
	h := dialecttest.Open(t, dialecttest.Options{}, suite.Dialect)
	for body, status := range map[string]int{
		`{"username":"ada","password":"x"}`:                  400,
		`{"username":"","password":""}`:                      400,
		`{"username":"ada","password":null}`:                 200,
		`{"username":"ada"}`:                                 200,
		`{"password":"x"}`:                                   200,
		`{"username":1,"password":["x"]}`:                    200,
		`{"user":{"username":"ada","password":"x"}}`:         200,
		`{"Username":"ada","Password":"x"}`:                  200,
		`{"username":"ada","password":"x","username":"ada"}`: 400,
	} {
		a := h.Send(t, login("ada", dialecttest.Password).WithBody(body))
		a.Is(t, body, status)
		if err := shape(a.Status, a.Body); status != 200 && err != nil {
			t.Error(err)
		}
	}
}

// Without a Token there is one credential at the most, and none that is good.
func TestLogin_NoToken(t *testing.T) {
	h := dialecttest.Open(t, dialecttest.Options{}, suite.Dialect)
	for _, value := range []string{"", "Basic YWRhOng", "Bearer x", "x"} {
		r := login("ada", dialecttest.Password).WithBody(`{"username":"ada","password":"x"}`).Without("Authorization")
		if value != "" {
			r = r.With("Authorization", value)
		}
		h.Send(t, r).Is(t, value, 403)
	}
}

// A JWT is a credential with its own csrf alone, bare or as Bearer.
func TestAccess_CSRF(t *testing.T) {
	h := dialecttest.Open(t, dialecttest.Options{}, suite.Dialect)
	a := h.Send(t, login("ada", dialecttest.Password))
	b := h.Send(t, login("ada", dialecttest.Password))
	jwt, csrf := a.Text(t, "jwt"), a.Text(t, "csrf")
	if csrf == b.Text(t, "csrf") || a.Text(t, "sessionId") == b.Text(t, "sessionId") {
		t.Error("two logins share a csrf or a session")
	}
	for _, bare := range []bool{false, true} {
		who, err := h.Service.Identify(t.Context(), h.RealmID(dialecttest.Realm), auth.Presented{Token: jwt, Bare: bare, CSRF: csrf})
		if err != nil || who.Account != h.Account("ada").ID || who.Session.String() != a.Text(t, "sessionId") || who.Org != "acme" {
			t.Errorf("bare %v: %+v, %v", bare, who, err)
		}
		for _, wrong := range []string{"", b.Text(t, "csrf"), csrf[:35], csrf + " ", "\x00"} {
			_, err := h.Service.Identify(t.Context(), h.RealmID(dialecttest.Realm), auth.Presented{Token: jwt, Bare: bare, CSRF: wrong})
			if auth.CodeOf(err) != auth.CodeTokenInvalid {
				t.Errorf("bare %v, csrf %q: %v", bare, wrong, err)
			}
		}
	}
	// A JWT without a csrf is no credential with an empty one.
	for _, claims := range []token.Claims{{}, {"csrf": ""}, {"csrf": 1}, {"csrf": nil}, {"csrf": []any{"x"}}} {
		if suite.Dialect.Rules.Accept(claims, auth.Presented{}) == nil {
			t.Errorf("%v is accepted", claims)
		}
	}
}

func TestClaims(t *testing.T) {
	for _, c := range []struct {
		header http.Header
		want   bool
	}{
		{http.Header{}, false},
		{http.Header{"Authorization": {"Token"}}, true},
		{http.Header{"Authorization": {"tOKEN x"}}, true},
		{http.Header{"Authentication": {"Token x"}}, true},
		{http.Header{"Authentication": {"Token"}}, true},
		{http.Header{"Authorization": {"Bearer x"}, "Authentication": {"Token x"}}, true},
		{http.Header{"Authorization": {"Bearer x", "Token x"}}, true},
		{http.Header{"Authorization": {"Bearer Token"}}, false},
		{http.Header{"Authorization": {"Tokens x"}}, false},
		{http.Header{"Authorization": {"x Token"}}, false},
		{http.Header{"X-Authorization": {"Token x"}}, false},
	} {
		if got := claims(c.header); got != c.want {
			t.Errorf("%v: %v", c.header, got)
		}
	}
}
