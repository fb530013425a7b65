package e2e_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

// tight are budgets that are soon spent; a wait is over before anybody looks.
func tight(o *auth.Options) {
	b := auth.DefaultBudgets()
	for _, p := range []*int{&b.Account.Free, &b.Known.Free} {
		*p = 2
	}
	b.Account.First, b.Account.Max, b.Account.Wall = time.Nanosecond, time.Nanosecond, 3
	b.Known.First, b.Known.Max, b.Known.Wall = time.Nanosecond, time.Nanosecond, 3
	o.Budgets = &b
}

// An account that is disabled in the middle of a flow can't finish it, at any door.
func TestThreat06_DisabledMidFlow(t *testing.T) {
	h := open(t)
	h.hire(t)
	id := h.account(t, hostOne, "ada")
	k := h.all(t, hostOne, "ada")
	h.ticket(t, hostOne, "ada", k)
	service := "Authorization: Basic " + basic(gateway, h.staff[hostOne].secret)
	h.is(t, "introspection by the service", 200, "POST", "/ostiary/introspect", "token=x", service, form)
	gate, err := h.svc.FindAccount(t.Context(), h.realms[hostOne].ID, gateway)
	if err != nil {
		t.Fatal(err)
	}
	for _, account := range []uuid.UUID{id, gate.ID} {
		if err := h.svc.SetDisabled(t.Context(), h.realms[hostOne].ID, account, true, auth.Client{}); err != nil {
			t.Fatal(err)
		}
	}
	h.is(t, "passport", 401, "POST", "/user/passport", `{"totp":null,"token":"`+k.ticket+`"}`)
	h.is(t, "refresh", 400, "POST", "/v1/auth/refreshtoken", `{"refreshtoken":"`+k.refresh+`"}`)
	h.is(t, "renewal", 403, "POST", "/api/auth/token", "", "Authorization: Bearer "+k.nomic)
	for name, bearer := range k.bearers() {
		h.is(t, name+" at verification", 401, "GET", "/ostiary/verify", "", bearer...)
		h.is(t, name+" at password", 401, "POST", "/ostiary/password", `{"current":"`+pass+`","new":"`+next+`"}`, append(bearer, "Content-Type: application/json")...)
	}
	for _, door := range []string{"introspect", "revoke"} {
		h.is(t, door+" by the service", 401, "POST", "/ostiary/"+door, "token="+k.access, service, form)
	}
	h.is(t, "cloudio", 403, "POST", "/v1/auth", "", "Authorization: Token "+basic("ada", pass))
	h.is(t, "mikrocloud", 401, "POST", "/user/login", `{"email":"ada","password":"`+pass+`"}`)
	h.is(t, "nomic", 403, "POST", "/api/auth/token", "", "Authorization: Basic "+basic("ada", pass))
	h.is(t, "senmo", 400, "POST", "/v1/auth", `{"username":"ada","password":"`+pass+`"}`)
}

// The wall that strangers have built stands before each door that a password is proven at:
// also before the second step of a login whose first was made before. Tokens are no guesses.
func TestThreat06_WallMidFlow(t *testing.T) {
	h := open(t, tight)
	id := h.account(t, hostOne, "ada")
	k := new(tokens)
	h.ticket(t, hostOne, "ada", k) // makes nobody known yet
	for range 3 {
		h.is(t, "a guess", 403, "POST", "/api/auth/token", "", "Authorization: Basic "+basic("ada", "wrong"))
		time.Sleep(time.Millisecond) // the wait of a nanosecond
	}
	doors := func(what string, want [4]int) {
		t.Helper()
		h.is(t, what+", cloudio", want[0], "POST", "/v1/auth", "", "Authorization: Token "+basic("ada", pass))
		h.is(t, what+", mikrocloud", want[1], "POST", "/user/login", `{"email":"ada@example.com","password":"`+pass+`"}`)
		h.is(t, what+", nomic", want[2], "POST", "/api/auth/token", "", "Authorization: Basic "+basic("ada", pass))
		h.is(t, what+", senmo", want[3], "POST", "/v1/auth", `{"username":"ADA","password":"`+pass+`"}`)
	}
	const no = http.StatusTooManyRequests
	doors("behind the wall", [4]int{no, no, no, no})
	h.is(t, "passport", no, "POST", "/user/passport", `{"totp":null,"token":"`+k.ticket+`"}`)
	realm := h.realms[hostOne].ID
	if err := h.svc.Unlock(t.Context(), realm, id, auth.Client{}); err != nil {
		t.Fatal(err)
	}
	h.is(t, "passport, once it is unlocked", 200, "POST", "/user/passport", `{"totp":null,"token":"`+k.ticket+`"}`)
	// From here on this source is known. It comes to its own wall by its own guesses, at a
	// door that has a live token to show as well; what it has opened stays open.
	k = h.all(t, hostOne, "ada")
	mine := []string{"Authorization: Bearer " + k.access, "Content-Type: application/json"}
	for range 3 {
		h.is(t, "a guess at the current password", 403, "POST", "/ostiary/password", `{"current":"wrong","new":"`+next+`"}`, mine...)
		time.Sleep(time.Millisecond)
	}
	h.is(t, "the right one", no, "POST", "/ostiary/password", `{"current":"`+pass+`","new":"`+next+`"}`, mine...)
	doors("a known source behind its own wall", [4]int{no, no, no, no})
	for name, bearer := range k.bearers() {
		h.is(t, name, 200, "GET", "/ostiary/verify", "", bearer...)
	}
	h.is(t, "refresh", 200, "POST", "/v1/auth/refreshtoken", `{"refreshtoken":"`+k.refresh+`"}`)
	if err := h.svc.SetPassword(t.Context(), realm, id, pass, auth.Client{}); err != nil {
		t.Fatal(err)
	}
	doors("after a reset", [4]int{200, 200, 200, 200})
}

// One budget for all mounts of a realm, and another for each realm.
func TestThreat03_MountsOfARealm(t *testing.T) {
	h := open(t, tight, func(o *auth.Options) {
		for _, m := range o.Mounts[:len(o.Mounts):len(o.Mounts)] {
			if m.Host == "" && m.Dialect == "senmo" {
				other := *m
				other.Prefix = "/again"
				o.Mounts = append(o.Mounts, &other)
			}
		}
	})
	delete(h.at, hostOne) // whose mounts are in two places
	for _, host := range []string{hostOne, hostTwo} {
		h.account(t, host, "ada")
	}
	login := func(host, prefix, password string) int {
		return h.ask(t, host, "POST", prefix+"/v1/auth", `{"username":"ada","password":"`+password+`"}`).StatusCode
	}
	for i, prefix := range []string{"", "/again", ""} {
		if status := login(hostOne, prefix, "wrong"); status != 400 {
			t.Errorf("guess %d: %d", i+1, status)
		}
		time.Sleep(time.Millisecond)
	}
	for _, prefix := range []string{"", "/again"} {
		if status := login(hostOne, prefix, pass); status != 429 {
			t.Errorf("at %q: %d", prefix, status)
		}
	}
	if status := login(hostTwo, "", pass); status != 200 {
		t.Errorf("ada of the other realm: %d", status)
	}
}

// is asks the first realm's place, and checks the status.
func (h *house) is(t *testing.T, what string, status int, method, path, body string, headers ...string) {
	t.Helper()
	if a := h.ask(t, hostOne, method, path, body, headers...); a.StatusCode != status {
		t.Errorf("%s: %d %.200s, want %d", what, a.StatusCode, a.body, status)
	}
}
