package verify

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/token"
)

// stepped is the bearer of a login with a second factor that another server has asked for.
func (h *house) stepped(t *testing.T, a auth.Account, at time.Time) string {
	t.Helper()
	text, hash := token.NewOpaque()
	err := h.store.InTx(t.Context(), func(tx auth.Tx) error {
		return tx.InsertSession(t.Context(), auth.Session{
			ID: uuid.Must(uuid.NewV7()), RealmID: h.one.ID, AccountID: a.ID, Dialect: "opaque", AMR: []string{"pwd", "mfa"},
			AuthTime: at, LastUsedAt: at, ExpiresAt: at.Add(time.Hour), Generation: 1,
		}, hash[:])
	})
	if err != nil {
		t.Fatal(err)
	}
	return "Authorization: Bearer " + text
}

func TestFactor_Refused(t *testing.T) {
	h := build(t)
	a := h.account(t, "one", "ada")
	now := h.clock.Now()
	fresh, old := h.stepped(t, a, now), h.stepped(t, a, now.Add(-11*time.Minute))
	plain := "Authorization: Bearer " + string(h.login(t, "one/opaque", "ada").Bearer)
	for _, c := range []struct {
		what, body, bearer string
		status             int
		code               auth.Code
	}{
		{"a password alone", "{}", plain, 403, auth.CodeForbidden},
		{"a password alone, and a code", `{"code":"000000"}`, plain, 403, auth.CodeForbidden},
		{"too long ago", "{}", old, 403, auth.CodeForbidden},
		{"nothing to confirm", `{"code":"000000"}`, fresh, 404, auth.CodeNotFound},
		{"a number", `{"code":1}`, fresh, 400, auth.CodeInvalidInput},
		{"twice", `{"code":"1","code":"1"}`, fresh, 400, auth.CodeInvalidInput},
	} {
		h.ask(t, "POST", "/ostiary/factor", c.body, c.bearer, "Content-Type: application/json").problem(t, c.what, c.status, c.code)
	}
	h.ask(t, "POST", "/ostiary/factor", "").refused(t, "nothing", challengeNone)
	h.ask(t, "GET", "/ostiary/factor", "", fresh).problem(t, "GET", 405, auth.CodeMethodNotAllowed)

	var started struct {
		Confirmed *bool
		URI, SVG  string
	}
	r := h.ask(t, "POST", "/ostiary/factor", "", fresh)
	if err := json.Unmarshal([]byte(r.body), &started); err != nil || r.StatusCode != 200 || started.Confirmed == nil || *started.Confirmed ||
		!strings.HasPrefix(started.URI, "otpauth://totp/") || !strings.HasPrefix(started.SVG, "<svg ") {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	if r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the secret may be kept: %v", r.Header)
	}
	h.ask(t, "POST", "/ostiary/factor", `{"code":"000000"}`, fresh, "Content-Type: application/json").problem(t, "a wrong code", 403, auth.CodeFactorInvalid)
}
