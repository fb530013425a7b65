package verify

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/ostiary/ostiary/internal/auth"
)

const next = "another horse battery"

func (h *house) canSignIn(t *testing.T, name, password string) bool {
	t.Helper()
	_, err := h.svc.SignIn(t.Context(), h.mounts["one/plain"], auth.Credentials{Name: name, Password: auth.Secret(password)}, auth.Client{})
	if err != nil && auth.CodeOf(err) != auth.CodeBadCredentials {
		t.Fatal(err)
	}
	return err == nil
}

func TestPassword_Change(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	g, other := h.login(t, "one/paired", "ada"), h.login(t, "one/opaque", "ada")
	headers := []string{"Authorization: " + h.token(t, g), "X-CSRF-Token: " + csrfOf(g), "Content-Type: application/json"}
	body := `{"current":"` + pass + `","new":"` + next + `","extra":1}`
	if r := h.ask(t, "POST", "/ostiary/password", body, headers...); r.StatusCode != 204 || r.body != "" {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	if r := h.ask(t, "GET", "/ostiary/verify", "", headers...); r.StatusCode != 200 {
		t.Errorf("the own session: %d", r.StatusCode)
	}
	h.ask(t, "GET", "/ostiary/verify", "", "Authorization: Bearer "+string(other.Bearer)).problem(t, "the other session", 401, auth.CodeSessionEnded)
	if h.canSignIn(t, "ada", pass) || !h.canSignIn(t, "ada", next) {
		t.Error("the password is not the new one")
	}
}

func TestPassword_Refused(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	bearer := "Authorization: Bearer " + string(h.login(t, "one/opaque", "ada").Bearer)
	right := `{"current":"` + pass + `","new":"` + next + `"}`
	for _, c := range []struct {
		what, body string
		status     int
		code       auth.Code
	}{
		{"wrong", `{"current":"wrong horse battery","new":"` + next + `"}`, 403, auth.CodeBadCredentials},
		{"missing current", `{"new":"` + next + `"}`, 403, auth.CodeBadCredentials},
		{"null current", `{"current":null,"new":"` + next + `"}`, 403, auth.CodeBadCredentials},
		{"short", `{"current":"` + pass + `","new":"short"}`, 400, auth.CodeInvalidInput},
		{"missing new", `{"current":"` + pass + `"}`, 400, auth.CodeInvalidInput},
		{"names in another case", `{"Current":"` + pass + `","New":"` + next + `"}`, 400, auth.CodeInvalidInput},
		{"twice", `{"current":"` + pass + `","new":"` + next + `","new":"` + next + `"}`, 400, auth.CodeInvalidInput},
		{"a number", `{"current":"` + pass + `","new":1234567890}`, 400, auth.CodeInvalidInput},
		{"lone surrogate", `{"current":"` + pass + `","new":"\ud800aaaaaaaaaaaa"}`, 400, auth.CodeInvalidInput},
		{"no body", ``, 400, auth.CodeInvalidInput},
		{"trailing data", right + "{}", 400, auth.CodeInvalidInput},
		{"too large", `{"current":"` + strings.Repeat("x", 64<<10) + `"}`, 413, auth.CodeTooLarge},
	} {
		r := h.ask(t, "POST", "/ostiary/password", c.body, bearer, "Content-Type: application/json")
		r.problem(t, c.what, c.status, c.code)
		if strings.Contains(r.body, pass) || strings.Contains(r.body, next) {
			t.Errorf("%s: %s", c.what, r.body)
		}
	}
	r := h.ask(t, "POST", "/ostiary/password", `{"current":"`+pass+`","new":"short"}`, bearer)
	if !strings.Contains(r.body, `"detail":"new: `) {
		t.Errorf("no reason: %s", r.body)
	}
	h.ask(t, "POST", "/ostiary/password", right, bearer, "Content-Type: text/plain").problem(t, "text", 415, auth.CodeUnsupportedType)
	for what, header := range map[string]string{"nothing": "X: y", "a cookie": "Cookie: session=" + strings.TrimPrefix(bearer, "Authorization: Bearer ")} {
		h.ask(t, "POST", "/ostiary/password", right, header).refused(t, what, challengeNone)
	}
	h.ask(t, "POST", "/ostiary/password", right, "Authorization: Basic YWRhOmNvcnJlY3QgaG9yc2UgYmF0dGVyeQ==").refused(t, "Basic", challengeNone)
	if !h.canSignIn(t, "ada", pass) {
		t.Error("the password has changed")
	}
}

func TestPassword_GuessesCount(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	bearer := "Authorization: Bearer " + string(h.login(t, "one/opaque", "ada").Bearer)
	for i := range 7 {
		r := h.ask(t, "POST", "/ostiary/password", `{"current":"wrong horse","new":"`+next+`"}`, bearer)
		if r.StatusCode == http.StatusTooManyRequests && r.Header.Get("Retry-After") != "" {
			if i < 5 {
				t.Errorf("refused at guess %d", i+1)
			}
			return
		}
		r.problem(t, "a guess", 403, auth.CodeBadCredentials)
	}
	t.Error("guesses at the current password do not count")
}

func TestPassword_Service(t *testing.T) {
	h := build(t)
	_, secret, err := h.svc.CreateAccount(t.Context(), h.one.ID, auth.NewAccount{Username: "robot", Kind: auth.KindService}, auth.Client{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := h.svc.SignIn(t.Context(), h.mounts["one/plain"], auth.Credentials{Name: "robot", Password: secret}, auth.Client{})
	if err != nil {
		t.Fatal(err)
	}
	r := h.ask(t, "POST", "/ostiary/password", `{"current":"`+string(secret)+`","new":"`+next+`"}`, "Authorization: Bearer "+h.token(t, g))
	r.problem(t, "a service", 400, auth.CodeInvalidInput)
}

// A reset that comes while the current password is being checked must stand: whoever
// knew the old password would else undo it.
func TestPassword_ResetMeanwhile(t *testing.T) {
	h := build(t)
	for round := range 6 {
		name := "ada" + string(rune('a'+round))
		a := h.account(t, "one", name)
		bearer := "Authorization: Bearer " + string(h.login(t, "one/opaque", name).Bearer)
		var group sync.WaitGroup
		group.Go(func() {
			h.ask(t, "POST", "/ostiary/password", `{"current":"`+pass+`","new":"`+next+`"}`, bearer)
		})
		if err := h.svc.SetPassword(context.Background(), h.one.ID, a.ID, "what the operator chose", auth.Client{}); err != nil {
			t.Fatal(err)
		}
		group.Wait()
		if h.canSignIn(t, name, next) || !h.canSignIn(t, name, "what the operator chose") {
			t.Error("a change undid a reset")
		}
	}
}

// Of parallel changes with one current password, one wins.
func TestPassword_ParallelChanges(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	bearer := "Authorization: Bearer " + string(h.login(t, "one/opaque", "ada").Bearer)
	var group sync.WaitGroup
	var mu sync.Mutex
	won := map[int]int{}
	for i := range 6 {
		group.Go(func() {
			body := `{"current":"` + pass + `","new":"` + next + string(rune('a'+i)) + `"}`
			r := h.ask(t, "POST", "/ostiary/password", body, bearer)
			mu.Lock()
			defer mu.Unlock()
			won[r.StatusCode]++
		})
	}
	group.Wait()
	if won[204] != 1 || won[403] != 5 {
		t.Errorf("%v", won)
	}
}
