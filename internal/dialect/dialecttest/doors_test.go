package dialecttest_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/dialect"
	"github.com/ostiary/ostiary/internal/dialect/cloudio"
	. "github.com/ostiary/ostiary/internal/dialect/dialecttest"
	"github.com/ostiary/ostiary/internal/dialect/mikrocloud"
	"github.com/ostiary/ostiary/internal/dialect/nomic"
	"github.com/ostiary/ostiary/internal/dialect/senmo"
)

// four are the dialects among which the tests of this package hold.
var four = []dialect.Dialect{cloudio.Dialect(), mikrocloud.Dialect(), nomic.Dialect(), senmo.Dialect()}

// oneStep are the logins of the dialects that have no step for a second factor.
var oneStep = map[auth.Dialect]func(name, password string) Request{
	"cloudio": token, "nomic": basic, "senmo": login,
}

func token(name, password string) Request {
	return JSON("/v1/auth", "{}").With("Authorization", "Token "+Basic(name, password))
}

func basic(name, password string) Request {
	return Request{Path: "/api/auth/token"}.With("Authorization", "Basic "+Basic(name, password))
}

func renew(jwt string) Request {
	return Request{Path: "/api/auth/token"}.With("Authorization", "Bearer "+jwt)
}

func login(name, password string) Request {
	return JSON("/v1/auth", fmt.Sprintf(`{"username":%q,"password":%q}`, name, password))
}

func refresh(token string) Request {
	return JSON("/v1/auth/refreshtoken", fmt.Sprintf(`{"refreshtoken":%q}`, token))
}

func first(name, password string) Request {
	return JSON("/user/login", fmt.Sprintf(`{"email":%q,"password":%q}`, name, password))
}

func passport(ticket, code string) Request {
	return JSON("/user/passport", fmt.Sprintf(`{"totp":%q,"token":%q}`, code, ticket))
}

// ticket does the first step of mikrocloud.
func ticket(t *testing.T, h *House, name string) string {
	t.Helper()
	return h.Send(t, first(name, Password)).Text(t, "token")
}

// access opens a session in each dialect, and returns an access credential of each.
func access(t *testing.T, h *House, name string) map[auth.Dialect]auth.Presented {
	t.Helper()
	c := h.Send(t, token(name, Password))
	return map[auth.Dialect]auth.Presented{
		"cloudio":    {Token: c.Text(t, "jwt"), CSRF: c.Text(t, "csrf")},
		"mikrocloud": {Token: h.Send(t, passport(ticket(t, h, name), "")).Text(t, "auth_token")},
		"nomic":      {Token: h.Send(t, basic(name, Password)).Text(t, "token")},
		"senmo":      {Token: h.Send(t, login(name, Password)).Text(t, "tokens.accessToken")},
	}
}

// identify is what a verifier is told about a credential.
func identify(t *testing.T, h *House, p auth.Presented) auth.Code {
	t.Helper()
	_, err := h.Service.Identify(t.Context(), h.RealmID(Realm), p)
	return auth.CodeOf(err)
}

// appending takes codes after passwords.
func appending(m *auth.Mount) { m.AppendCode = true }

// together sends n requests at once, and counts the statuses of the answers.
func together(t *testing.T, h *House, n int, request func(i int) Request) ([]Answer, map[int]int) {
	t.Helper()
	answers := make([]Answer, n)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		r := request(i)
		all.Go(func() {
			<-start
			answers[i] = h.Send(t, r)
		})
	}
	close(start)
	all.Wait()
	statuses := map[int]int{}
	for _, a := range answers {
		statuses[a.Status]++
	}
	return answers, statuses
}

// once checks that one of the answers is a success, and the others are all refusals.
func once(t *testing.T, what string, answers []Answer) {
	t.Helper()
	passed := 0
	for _, a := range answers {
		switch a.Status {
		case http.StatusOK:
			passed++
		case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		default:
			t.Errorf("%s: %d %s", what, a.Status, a.Body)
		}
	}
	if passed != 1 {
		t.Errorf("%s: %d of %d passed, want 1", what, passed, len(answers))
	}
}
