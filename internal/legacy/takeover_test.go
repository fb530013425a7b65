package legacy_test

import (
	"encoding/base32"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/dialect"
	"github.com/ostiary/ostiary/internal/dialect/dialecttest"
	"github.com/ostiary/ostiary/internal/dialect/mikrocloud"
	"github.com/ostiary/ostiary/internal/legacy/legacytest"
	"github.com/ostiary/ostiary/internal/totp"
)

// takeover is a house whose one mount takes over from an old server.
type takeover struct {
	*dialecttest.House
	dialect auth.Dialect
	old     *legacytest.Server
}

func takeOver(t *testing.T, d dialect.Dialect, budgets *auth.Budgets, accounts ...legacytest.Account) *takeover {
	t.Helper()
	old := legacytest.Start(t, string(d.Name()), accounts)
	e := elder(t, d, old.URL, time.Minute)
	return &takeover{
		House:   dialecttest.Open(t, dialecttest.Options{Budgets: budgets, Mount: func(m *auth.Mount) { m.Elder = e }}, d),
		dialect: d.Name(), old: old,
	}
}

// login is the first request of a login, as a client of the dialect makes it.
func (h *takeover) login(t *testing.T, name, password string) dialecttest.Answer {
	t.Helper()
	text := func(v map[string]string) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	switch h.dialect {
	case "cloudio":
		return h.Send(t, dialecttest.JSON("/v1/auth", "{}").With("Authorization", "Token "+dialecttest.Basic(name, password)))
	case "nomic":
		return h.Send(t, dialecttest.Request{Path: "/api/auth/token"}.With("Authorization", "Basic "+dialecttest.Basic(name, password)))
	case "senmo":
		return h.Send(t, dialecttest.JSON("/v1/auth", text(map[string]string{"username": name, "password": password})))
	}
	return h.Send(t, dialecttest.JSON("/user/login", text(map[string]string{"email": name, "password": password})))
}

var refusals = map[auth.Dialect]int{"cloudio": 403, "nomic": 403, "senmo": 400, "mikrocloud": 401}

func (h *takeover) in(t *testing.T, what, name, password string) {
	t.Helper()
	if a := h.login(t, name, password); a.Status != http.StatusOK {
		t.Errorf("%s, %s: %d %s", h.dialect, what, a.Status, a.Body)
	}
}

func (h *takeover) refused(t *testing.T, what, name, password string) {
	t.Helper()
	if a := h.login(t, name, password); a.Status != refusals[h.dialect] {
		t.Errorf("%s, %s: %d %s", h.dialect, what, a.Status, a.Body)
	}
}

func TestTakeover_SecondLoginNeedsNobody(t *testing.T) {
	for _, d := range four {
		h := takeOver(t, d, nil, steve, other)
		h.refused(t, "a wrong password", "steve", "wrong")
		h.in(t, "the first login", "steve", word)
		if d.Name() == "senmo" || d.Name() == "cloudio" {
			h.in(t, "by address", "steve@example.com", word)
		}
		asked := h.old.Count(t)
		h.in(t, "the second login", "STEVE", word)
		h.refused(t, "a wrong password afterwards", "steve", "wrong")
		if n := h.old.Count(t); n != asked {
			t.Errorf("%s: the old server was asked %d times more", d.Name(), n-asked)
		}
		h.old.Stop()
		h.in(t, "without the old server", "steve", word)
		acc, err := h.Service.FindAccount(t.Context(), h.RealmID(dialecttest.Realm), "steve")
		if err != nil || acc.Origin != "takeover" || acc.EmailVerified {
			t.Errorf("%s: %+v, %v", d.Name(), acc, err)
		}
	}
}

// Whoever is here, was here, or may not sign in, is never asked for elsewhere.
func TestTakeover_NamesHereAreNotAskedFor(t *testing.T) {
	for _, d := range four {
		var there []legacytest.Account
		for _, name := range []string{"ada", "min", "gone", "nopass", "only@example.com"} {
			there = append(there, legacytest.Account{Username: name, Email: name, Password: "theirs"})
		}
		h := takeOver(t, d, dialecttest.NoBudgets(), there...)
		realm := h.RealmID(dialecttest.Realm)
		if err := h.Service.DeleteAccount(t.Context(), realm, h.Account("min").ID, auth.Client{}); err != nil {
			t.Fatal(err)
		}
		for _, a := range there {
			if d.Name() == "cloudio" || a.Username == "ada" || a.Username == "min" {
				h.refused(t, a.Username, a.Username, "theirs")
			}
		}
		h.in(t, "ours", "ada", dialecttest.Password)
		h.refused(t, "no name", "a b\x00", "theirs")
		if s := h.old.State(t); len(s.Requests) != 0 {
			t.Errorf("%s: asked for %q", d.Name(), s.Asked)
		}
	}
}

// While nobody can say whether a password is right, the answer is 503, and no guess is charged.
func TestTakeover_OldServerDown(t *testing.T) {
	for _, d := range four {
		h := takeOver(t, d, nil, steve, other)
		h.old.Fault(t, "down")
		attempts := 1
		if d.Name() == "nomic" {
			attempts = 8 // more than there are free guesses
		}
		for range attempts {
			a := h.login(t, "steve", word)
			retry := a.Header.Get("Retry-After")
			shaped := d.Name() == "mikrocloud" && strings.HasPrefix(a.Body, `{"message":`) || d.Name() == "nomic" && strings.HasPrefix(a.Body, `{"timestamp":`) ||
				d.Name() == "senmo" && strings.HasPrefix(a.Body, `{"statusCode":503,`) || d.Name() == "cloudio" && strings.HasPrefix(a.Body, `{"code":503,"status":"ERROR",`)
			if a.Status != http.StatusServiceUnavailable || !shaped || retry == "" || retry == "0" {
				t.Errorf("%s: %d %v %s", d.Name(), a.Status, a.Header, a.Body)
			}
		}
		if n := h.old.Count(t); n != min(attempts, 5) {
			t.Errorf("%s: a server that is down was asked %d times", d.Name(), n)
		}
		h.old.Fault(t, "")
		status := 0
		for end := time.Now().Add(time.Minute); status != http.StatusOK && time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
			a := h.login(t, "steve", word)
			if status = a.Status; status != http.StatusOK && status != http.StatusServiceUnavailable {
				t.Fatalf("%s: %d %s", d.Name(), a.Status, a.Body)
			}
		}
		if status != http.StatusOK {
			t.Errorf("%s: still %d", d.Name(), status)
		}
	}
}

// Guesses at the old server through us are within our budgets.
func TestTakeover_GuessesAreBounded(t *testing.T) {
	for _, d := range four {
		h := takeOver(t, d, nil, steve, other)
		last := 0
		for range 9 {
			last = h.login(t, "steve", "wrong").Status
		}
		if n := h.old.Count(t); last != http.StatusTooManyRequests || n > 7 {
			t.Errorf("%s: %d, after %d guesses", d.Name(), last, n)
		}
		if a := h.login(t, "steve", word); a.Status != http.StatusTooManyRequests {
			t.Errorf("%s: the right password after that: %d", d.Name(), a.Status)
		}
	}
}

// An answer that names another person lets nobody in, and makes no account.
func TestTakeover_AnotherUser(t *testing.T) {
	for _, d := range four {
		if d.Name() == "nomic" || d.Name() == "mikrocloud" {
			continue // they name nobody
		}
		taken := legacytest.Account{Username: "carl", Email: "ada@example.com", Password: word}
		h := takeOver(t, d, nil, steve, other, taken)
		h.refused(t, "an address that is somebody's", "carl", word)
		h.old.Fault(t, "other")
		h.refused(t, "another user", "steve", word)
		h.old.Fault(t, "")
		for _, name := range []string{"steve", "eve@example.com", "carl"} {
			if _, err := h.Service.FindAccount(t.Context(), h.RealmID(dialecttest.Realm), name); name != "eve@example.com" && auth.CodeOf(err) != auth.CodeNotFound {
				t.Errorf("%s: %s is here: %v", d.Name(), name, err)
			}
		}
		h.in(t, "himself", "steve", word)
	}
}

// A second factor of the old server is asked for there, until there is one here.
func TestTakeover_SecondFactorElsewhere(t *testing.T) {
	secret := []byte("12345678901234567890")
	with := steve
	with.TOTP = base32.StdEncoding.EncodeToString(secret)
	h := takeOver(t, mikrocloud.Dialect(), dialecttest.NoBudgets(), with)
	for round := range 2 { // from then on the account is here, and its factor is not
		a := h.login(t, "steve", word)
		if a.Status != http.StatusOK || !strings.HasPrefix(a.Body, `{"mfa_enabled":true,"mfa_verified":true,"mfa_svg":null,`) {
			t.Fatalf("%d: %d %s", round, a.Status, a.Body)
		}
		passport := func(code string) dialecttest.Answer {
			return h.Send(t, dialecttest.JSON("/user/passport", `{"totp":"`+code+`","token":"`+a.Text(t, "token")+`"}`))
		}
		if b := passport("000000"); b.Status != http.StatusUnauthorized {
			t.Errorf("%d: a wrong code: %d %s", round, b.Status, b.Body)
		}
		if b := passport(totp.Code(secret, totp.Step(time.Now()))); b.Status != http.StatusOK || b.Text(t, "auth_token") == h.old.Issued(t).Token {
			t.Errorf("%d: a right code: %d %s", round, b.Status, b.Body)
		}
	}
	h.refused(t, "a wrong password", "steve", "wrong")
}

// How long a refusal takes does not tell who is asked for elsewhere.
func TestTakeover_RefusalsTakeAsLong(t *testing.T) {
	h := takeOver(t, four[0], dialecttest.NoBudgets(), steve)
	delay := 1500
	h.old.Set(t, legacytest.Setting{Delay: &delay})
	h.refused(t, "elsewhere", "steve", "wrong") // whose time is not known before
	for _, name := range []string{"ada", "gone", "nopass"} {
		began := time.Now()
		h.refused(t, name, name, "wrong")
		if took := time.Since(began); took < 1300*time.Millisecond {
			t.Errorf("%s: refused after %v", name, took)
		}
	}
	if asked := h.old.State(t).Asked; len(asked) != 1 {
		t.Errorf("asked for %q", asked)
	}
}
