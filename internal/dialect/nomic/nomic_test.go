package nomic

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/dialect/dialecttest"
	"github.com/ostiary/ostiary/internal/web"
)

const path = "/api/auth/token"

func login(name, password string) dialecttest.Request {
	return dialecttest.Request{Path: path}.With("Authorization", "Basic "+dialecttest.Basic(name, password))
}

func bearer(jwt string) dialecttest.Request {
	return dialecttest.Request{Path: path}.With("Authorization", "Bearer "+jwt)
}

func shape(status int, body string) error {
	if status >= 500 {
		return dialecttest.Members(body, "timestamp", "status", "error", "path")
	}
	if body != "" {
		return errors.New("the body is " + body)
	}
	return nil
}

var suite = dialecttest.Suite{
	Dialect: Dialect(),
	Login:   login,
	Routes: []dialecttest.Route{{
		Path: path, Body: web.BodyIgnored,
		Good: func(testing.TB, *dialecttest.House) dialecttest.Request { return login("ada", dialecttest.Password) },
	}},
	Shape:          shape,
	Scheme:         "Basic",
	TwoCredentials: http.StatusForbidden,
}

func TestDialect(t *testing.T) { dialecttest.Run(t, suite) }

func TestThreat01_EnumerationByReply(t *testing.T) { dialecttest.EnumerationByReply(t, suite) }

func FuzzRequest(f *testing.F) { dialecttest.Fuzz(f, suite) }

type claims struct {
	Sub, Iss, Jti string
	Iat, Nbf, Exp int64
	Aud           *string
}

func parse(t *testing.T, jwt string) (c claims) {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(jwt, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// A Bearer is answered with another token of the same session, until its end.
func TestRenew_UntilTheSessionEnds(t *testing.T) {
	h := dialecttest.Open(t, dialecttest.Options{}, suite.Dialect)
	realm := h.RealmID(dialecttest.Realm)
	jwt := h.Send(t, login("ada", dialecttest.Password)).Text(t, "token")
	first, err := h.Service.Identify(t.Context(), realm, auth.Presented{Token: jwt})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{jwt: true}
	for range 12 { // each an hour and 59 minutes later: 23 h 48 min in all
		h.Clock.Advance(2*time.Hour - time.Minute)
		old := jwt
		jwt = h.Send(t, bearer(old)).Text(t, "token")
		if seen[jwt] {
			t.Fatal("the same token again")
		}
		seen[jwt] = true
		if c := parse(t, jwt); c.Exp != c.Iat+7200 || c.Nbf != c.Iat || c.Iat != h.Clock.Now().Unix() || c.Sub != "1" {
			t.Errorf("%+v", c)
		}
		h.Send(t, bearer(old)).Is(t, "the older token, still alive", http.StatusOK)
		who, err := h.Service.Identify(t.Context(), realm, auth.Presented{Token: jwt})
		if err != nil || who.Session != first.Session {
			t.Fatalf("%+v, %v", who, err)
		}
		h.Clock.Advance(time.Minute)
		h.Send(t, bearer(old)).Is(t, "the older token, expired", http.StatusForbidden)
		h.Clock.Advance(-time.Minute)
	}
	h.Clock.Advance(13 * time.Minute)
	h.Send(t, bearer(jwt)).Is(t, "after 24 hours", http.StatusForbidden)
	if _, err := h.Service.Identify(t.Context(), realm, auth.Presented{Token: jwt}); auth.CodeOf(err) != auth.CodeSessionEnded {
		t.Errorf("a token outlives its session: %v", err)
	}
}

// What is no live token of this dialect renews nothing.
func TestRenew_Refuses(t *testing.T) {
	h := dialecttest.Open(t, dialecttest.Options{}, suite.Dialect)
	jwt := h.Send(t, login("ada", dialecttest.Password)).Text(t, "token")
	for _, r := range []dialecttest.Request{
		bearer(""), bearer("x"), bearer("a.b.c"), bearer(jwt[:len(jwt)-1]), bearer(jwt + "x"), bearer(jwt + ", Basic x"), bearer(" "),
		bearer(jwt).With("Authorization", "Bearer "+jwt), bearer(jwt).With("Authentication", "Bearer x"),
		dialecttest.Request{Path: path}.With("Authorization", jwt),
		dialecttest.Request{Path: path}.With("Authentication", "Bearer "+jwt),
		dialecttest.Request{Path: path}.With("Authorization", "Token "+dialecttest.Basic("ada", dialecttest.Password)),
		{Path: path + "?token=" + jwt},
		{Path: path, Body: `{"token":"` + jwt + `"}`},
		dialecttest.Request{Path: path}.With("Cookie", "token="+jwt),
	} {
		a := h.Send(t, r)
		a.Is(t, r.Header.Get("Authorization"), http.StatusForbidden)
		if err := shape(a.Status, a.Body); err != nil {
			t.Error(err)
		}
	}
	h.Send(t, bearer(jwt).With("X-Csrf-Token", "x")).Is(t, "with what is not for us", http.StatusOK)
	if _, err := h.Service.Identify(t.Context(), h.RealmID(dialecttest.Realm), auth.Presented{Token: jwt, Bare: true}); auth.CodeOf(err) != auth.CodeTokenInvalid {
		t.Errorf("bare: %v", err)
	}
}

// The subject is the account's number, or the alias that it has here.
func TestSubject_Alias(t *testing.T) {
	h := dialecttest.Open(t, dialecttest.Options{}, suite.Dialect)
	ctx, realm, ada := t.Context(), h.RealmID(dialecttest.Realm), h.Account("ada").ID
	if err := h.Service.SetAlias(ctx, realm, ada, "nomic", "4711", auth.Client{}); err != nil {
		t.Fatal(err)
	}
	jwt := h.Send(t, login("ada", dialecttest.Password)).Text(t, "token")
	if sub := parse(t, jwt).Sub; sub != "4711" {
		t.Errorf("sub is %q", sub)
	}
	who, err := h.Service.Identify(ctx, realm, auth.Presented{Token: jwt})
	if err != nil || who.Subject != "4711" || who.Account != ada {
		t.Errorf("%+v, %v", who, err)
	}
}

func TestToken_Audience(t *testing.T) {
	h := dialecttest.Open(t, dialecttest.Options{Mount: func(m *auth.Mount) { m.Audience = "game" }}, suite.Dialect)
	jwt := h.Send(t, login("ada", dialecttest.Password)).Text(t, "token")
	if aud := parse(t, jwt).Aud; aud == nil || *aud != "game" {
		t.Errorf("aud is %v", aud)
	}
	if _, err := h.Service.Identify(t.Context(), h.RealmID(dialecttest.Realm), auth.Presented{Token: jwt}); err != nil {
		t.Error(err)
	}
	h.Send(t, bearer(jwt)).Is(t, "renewal", http.StatusOK)
}
