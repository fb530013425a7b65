package senmo

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/dialect/dialecttest"
	"github.com/ostiary/ostiary/internal/token"
	"github.com/ostiary/ostiary/internal/web"
)

func login(name, password string) dialecttest.Request {
	body, err := json.Marshal(map[string]string{"username": name, "password": password})
	if err != nil {
		panic(err)
	}
	return dialecttest.JSON("/v1/auth", string(body))
}

func refresh(token string) dialecttest.Request {
	return dialecttest.JSON("/v1/auth/refreshtoken", `{"refreshtoken":"`+token+`"}`)
}

func shape(status int, body string) error {
	if body == `{"statusCode":400,"statusMessage":"Missing refresh token"}` && status == http.StatusBadRequest {
		return nil
	}
	var f failure
	if err := json.Unmarshal([]byte(body), &f); err != nil {
		return err
	}
	if f.StatusCode != status || f.StatusMessage == "" || f.Error == "" {
		return fmt.Errorf("%s at %d", body, status)
	}
	return dialecttest.Members(body, "statusCode", "statusMessage", "error")
}

var suite = dialecttest.Suite{
	Dialect: Dialect(),
	Login:   login,
	Routes: []dialecttest.Route{
		{
			Path: "/v1/auth", Body: web.BodyJSON, Fields: []string{"username", "password"},
			Good: func(testing.TB, *dialecttest.House) dialecttest.Request { return login("ada", dialecttest.Password) },
		},
		{
			Path: "/v1/auth/refreshtoken", Body: web.BodyJSON, Fields: []string{"refreshtoken"},
			Good: func(t testing.TB, h *dialecttest.House) dialecttest.Request {
				return refresh(h.Send(t, login("ada", dialecttest.Password)).Text(t, "tokens.refreshToken"))
			},
		},
	},
	Shape:          shape,
	TwoCredentials: http.StatusBadRequest,
}

func TestDialect(t *testing.T) { dialecttest.Run(t, suite) }

func TestThreat01_EnumerationByReply(t *testing.T) { dialecttest.EnumerationByReply(t, suite) }

func FuzzRequest(f *testing.F) { dialecttest.Fuzz(f, suite) }

// A Token belongs to another dialect, and beside a login it is a second credential even
// where that dialect is not served.
func TestLogin_TwoCredentials(t *testing.T) {
	h := dialecttest.Open(t, dialecttest.Options{}, suite.Dialect)
	good := login("ada", dialecttest.Password)
	for _, name := range []string{"Authorization", "Authentication"} {
		for value, status := range map[string]int{"Token x": 400, "token": 400, "Bearer x": 200, "Basic x": 200, "x": 200} {
			a := h.Send(t, good.With(name, value))
			a.Is(t, name+": "+value, status)
			if err := shape(a.Status, a.Body); status != 200 && err != nil {
				t.Error(err)
			}
		}
		a := h.Send(t, dialecttest.JSON("/v1/auth", "{}").With(name, "Token x"))
		if a.Status != 400 || a.Text(t, "error") != "username and password are required" {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
}

const (
	statusBroken = `{"statusCode":400,"statusMessage":"Failed to refresh token","error":"Invalid Refresh Token"}`
)

// The state machine of refresh tokens: a spent token is good again for a minute, as
// long as its successor has not been used, and any other use of it is a theft.
func TestThreat37_RefreshReuse(t *testing.T) {
	h := dialecttest.Open(t, dialecttest.Options{}, suite.Dialect)
	realm := h.RealmID(dialecttest.Realm)
	open := func() (r, access string) {
		a := h.Send(t, login("ada", dialecttest.Password))
		return a.Text(t, "tokens.refreshToken"), a.Text(t, "tokens.accessToken")
	}
	next := func(token string) (string, string) {
		t.Helper()
		a := h.Send(t, refresh(token))
		if a.Status != http.StatusOK {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		return a.Text(t, "tokens.refreshToken"), a.Text(t, "tokens.accessToken")
	}
	dead := func(what, token, access string) {
		t.Helper()
		a := h.Send(t, refresh(token))
		if a.Status != http.StatusBadRequest || a.Body != statusBroken {
			t.Errorf("%s: %d %s", what, a.Status, a.Body)
		}
		_, err := h.Service.Identify(t.Context(), realm, auth.Presented{Token: access})
		if auth.CodeOf(err) != auth.CodeSessionEnded {
			t.Errorf("%s: its access token: %v", what, err)
		}
	}

	one, _ := open()
	two, first := next(one)
	h.Clock.Advance(60 * time.Second)
	again, second := next(one) // the answer was lost, a minute ago
	if again != two || first == second {
		t.Errorf("the successor is %q, then %q; access tokens the same: %v", two, again, first == second)
	}
	three, access := next(two)
	dead("the grandparent", one, access)
	dead("the chain after the theft", three, access)

	one, access = open()
	two, _ = next(one)
	h.Clock.Advance(60*time.Second + time.Microsecond)
	dead("a moment too late", one, access)
	dead("the successor after the theft", two, access)

	// Other sessions of the account live on.
	one, access = open()
	other, _ := open()
	two, _ = next(one)
	next(two)
	dead("a theft", one, access)
	next(other)
}

func TestRefresh_RetryOff(t *testing.T) {
	h := dialecttest.Open(t, dialecttest.Options{Mount: func(m *auth.Mount) { m.RefreshRetry = 0 }}, suite.Dialect)
	one := h.Send(t, login("ada", dialecttest.Password)).Text(t, "tokens.refreshToken")
	two := h.Send(t, refresh(one)).Text(t, "tokens.refreshToken")
	h.Clock.Advance(time.Second)
	h.Send(t, refresh(one)).Is(t, "again", http.StatusBadRequest)
	h.Send(t, refresh(two)).Is(t, "its successor", http.StatusBadRequest)
}

// A session ends when it was not used for 30 days, and after 90 in any case.
func TestRefresh_Lifetimes(t *testing.T) {
	h := dialecttest.Open(t, dialecttest.Options{}, suite.Dialect)
	idle := h.Send(t, login("ada", dialecttest.Password)).Text(t, "tokens.refreshToken")
	used := h.Send(t, login("ada", dialecttest.Password)).Text(t, "tokens.refreshToken")
	for range 4 {
		h.Clock.Advance(22 * day)
		used = h.Send(t, refresh(used)).Text(t, "tokens.refreshToken")
	}
	h.Send(t, refresh(idle)).Is(t, "not used for 88 days", http.StatusBadRequest)
	h.Clock.Advance(2*day - time.Second)
	used = h.Send(t, refresh(used)).Text(t, "tokens.refreshToken")
	h.Clock.Advance(time.Second)
	h.Send(t, refresh(used)).Is(t, "after 90 days", http.StatusBadRequest)
}

// Only the access token opens doors, and only as a Bearer.
func TestAccess(t *testing.T) {
	h := dialecttest.Open(t, dialecttest.Options{}, suite.Dialect)
	a := h.Send(t, login("ada", dialecttest.Password))
	realm := h.RealmID(dialecttest.Realm)
	access := a.Text(t, "tokens.accessToken")
	who, err := h.Service.Identify(t.Context(), realm, auth.Presented{Token: access})
	if err != nil || who.Account != h.Account("ada").ID || who.Subject != who.Account.String() {
		t.Errorf("%+v, %v", who, err)
	}
	for what, p := range map[string]auth.Presented{
		"id": {Token: a.Text(t, "tokens.idToken")}, "refresh": {Token: a.Text(t, "tokens.refreshToken")}, "bare": {Token: access, Bare: true},
	} {
		if _, err := h.Service.Identify(t.Context(), realm, p); auth.CodeOf(err) != auth.CodeTokenInvalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	// The word of the dialect itself, whatever else the core asks of a token.
	for use, ok := range map[any]bool{"access": true, "id": false, "Access": false, "": false, nil: false, 1: false} {
		if err := suite.Dialect.Rules.Accept(token.Claims{"token_use": use}, auth.Presented{}); (err == nil) != ok {
			t.Errorf("token_use %v: %v", use, err)
		}
	}
	h.Clock.Advance(time.Hour)
	if _, err := h.Service.Identify(t.Context(), realm, auth.Presented{Token: access}); auth.CodeOf(err) != auth.CodeTokenInvalid {
		t.Errorf("after an hour: %v", err)
	}
}

// Roles and datasources stand in the access token by their names; a list that would make
// it too long is left out and named, so that no login fails for it.
func TestAccess_RolesAndDatasources(t *testing.T) {
	h := dialecttest.Open(t, dialecttest.Options{}, suite.Dialect)
	ada, err := h.Service.FindAccount(t.Context(), h.Mounts["senmo"].RealmID, "ada")
	if err != nil {
		t.Fatal(err)
	}
	realm := ada.RealmID
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	claims := func() map[string]any {
		t.Helper()
		_, payload, _ := strings.Cut(h.Send(t, login("ada", dialecttest.Password)).Text(t, "tokens.accessToken"), ".")
		payload, _, _ = strings.Cut(payload, ".")
		text, err := base64.RawURLEncoding.DecodeString(payload)
		do(err)
		var claims map[string]any
		do(json.Unmarshal(text, &claims))
		return claims
	}
	is := func(what, claim string, want any) {
		t.Helper()
		if diff := cmp.Diff(want, claims()[claim]); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	is("nothing", "roles", []any{})
	is("nothing", "datasources", []any{})
	for _, role := range []string{"writer", "reader"} {
		do(h.Service.CreateRole(t.Context(), realm, role, auth.Client{}))
		do(h.Service.AddRole(t.Context(), realm, ada.ID, role, auth.Client{}))
	}
	do(h.Service.CreateDatasource(t.Context(), realm, "sales", auth.Client{}))
	do(h.Service.GrantDatasource(t.Context(), realm, "reader", "sales", auth.Client{}))
	is("two roles", "roles", []any{"reader", "writer"})
	is("two roles", "datasources", []any{"sales"})
	is("two roles", "omitted", nil)
	for i := range 100 {
		name := fmt.Sprintf("%064d", i)
		do(h.Service.CreateDatasource(t.Context(), realm, name, auth.Client{}))
		do(h.Service.GrantDatasource(t.Context(), realm, "writer", name, auth.Client{}))
	}
	is("too many", "roles", []any{"reader", "writer"})
	is("too many", "datasources", nil)
	is("too many", "omitted", []any{"datasources"})
}
