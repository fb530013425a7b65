package mikrocloud

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/dialect/dialecttest"
	"github.com/ostiary/ostiary/internal/web"
)

func login(name, password string) dialecttest.Request {
	body, err := json.Marshal(map[string]string{"email": name, "password": password})
	if err != nil {
		panic(err)
	}
	return dialecttest.JSON("/user/login", string(body))
}

func shape(status int, body string) error {
	if status != http.StatusUnauthorized {
		var f failure
		if err := json.Unmarshal([]byte(body), &f); err != nil || f.Message == "" {
			return fmt.Errorf("%q has no message: %w", body, err)
		}
		return dialecttest.Members(body, "message")
	}
	for _, want := range []string{
		`{"mfa_enabled":false,"mfa_verified":false,"mfa_svg":null,"message":"Invalid email or password","token":null}`,
		`{"message":"Invalid token or code","auth_token":null}`,
	} {
		if body == want {
			return nil
		}
	}
	return errors.New(body)
}

var suite = dialecttest.Suite{
	Dialect: Dialect(),
	Login:   login,
	Routes: []dialecttest.Route{
		{
			Path: "/user/login", Body: web.BodyJSON, Fields: []string{"email", "password"},
			Good: func(testing.TB, *dialecttest.House) dialecttest.Request { return login("ada", dialecttest.Password) },
		},
		{
			Path: "/user/passport", Body: web.BodyJSON, Fields: []string{"totp", "token"},
			Good: func(t testing.TB, h *dialecttest.House) dialecttest.Request {
				ticket := h.Send(t, login("ada", dialecttest.Password)).Text(t, "token")
				return dialecttest.JSON("/user/passport", `{"totp":"","token":"`+ticket+`"}`)
			},
		},
	},
	Shape:          shape,
	TwoCredentials: http.StatusBadRequest,
}

func TestDialect(t *testing.T) { dialecttest.Run(t, suite) }

func TestThreat01_EnumerationByReply(t *testing.T) { dialecttest.EnumerationByReply(t, suite) }

func FuzzRequest(f *testing.F) { dialecttest.Fuzz(f, suite) }

// A Token belongs to another dialect, and beside a login it is a second credential.
func TestLogin_TwoCredentials(t *testing.T) {
	h := dialecttest.Open(t, dialecttest.Options{}, suite.Dialect)
	for _, name := range []string{"Authorization", "Authentication"} {
		for value, status := range map[string]int{"Token x": 400, "token": 400, "Bearer x": 200, "Basic x": 200, "x": 200} {
			h.Send(t, login("ada", dialecttest.Password).With(name, value)).Is(t, name+": "+value, status)
		}
		a := h.Send(t, dialecttest.JSON("/user/login", "{}").With(name, "Token x"))
		if a.Status != 400 || a.Text(t, "message") != "email and password are required" {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
}

// auth_token is a Bearer; bare it is nothing.
func TestAccess(t *testing.T) {
	h := dialecttest.Open(t, dialecttest.Options{}, suite.Dialect)
	bearer := h.Send(t, suite.Routes[1].Good(t, h)).Text(t, "auth_token")
	realm := h.RealmID(dialecttest.Realm)
	who, err := h.Service.Identify(t.Context(), realm, auth.Presented{Token: bearer})
	if err != nil || who.Account != h.Account("ada").ID || who.Subject != who.Account.String() || who.Dialect != "mikrocloud" {
		t.Errorf("%+v, %v", who, err)
	}
	for what, p := range map[string]auth.Presented{
		"bare": {Token: bearer, Bare: true}, "without padding": {Token: bearer[:43]}, "cut": {Token: bearer[:40]},
	} {
		if _, err := h.Service.Identify(t.Context(), realm, p); auth.CodeOf(err) != auth.CodeTokenInvalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	if suite.Dialect.Rules.Accept(nil, auth.Presented{}) == nil {
		t.Error("a JWT is accepted")
	}
}
