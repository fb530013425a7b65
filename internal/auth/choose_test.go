package auth_test

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/password"
)

func withRules(r password.Rules) func(*auth.Options) {
	return func(o *auth.Options) { o.Passwords = map[string]password.Rules{"default": r} }
}

// wantReason fails unless the error is for whom chose the password, and says so much.
func (w *world) wantReason(err error, reason string) {
	w.t.Helper()
	w.wantCode(err, auth.CodeInvalidInput)
	if detail := auth.AsError(err).Detail; !strings.Contains(detail, reason) {
		w.t.Fatalf("got %q, want %q", detail, reason)
	}
}

func (w *world) set(id uuid.UUID, p string) error {
	return w.svc.SetPassword(w.ctx, w.realm.ID, id, auth.Secret(p), client)
}

func TestChoose_EveryWay(t *testing.T) {
	w := newWorld(t, func(o *auth.Options) { o.TOTPIssuer = "Example Login" })
	person := auth.NewAccount{Username: "steve", Email: "s.wozniak@apple.example", DisplayName: "Stephen Gary", Org: "Homebrew Club", Password: goodPassword}
	a, err := w.create(person)
	if err != nil {
		t.Fatal(err)
	}
	own := auth.Presented{Token: string(w.mustPassport(w.ticket("steve"), "").Bearer)}
	for p, reason := range map[string]string{
		"fourteen signs":      "fewer than 15 characters",
		"Passw0rd!Passw0rd!":  "a repetition",
		"password-20242024":   "a common one",
		"a\xff b c d e f g h": "not valid UTF-8",
		"steve-steve-2024!":   "names or addresses",
		"Stephen-Wozniak-1":   "names or addresses",
		"stephen.gary.1950":   "names or addresses",
		"Homebrew Club 1975":  "names or addresses",
		"ostiary default 7!":  "names or addresses",
		"example login 2024":  "names or addresses",
	} {
		n := person
		n.Username, n.Password = "steve2", auth.Secret(p)
		_, err := w.create(n)
		if p != "steve-steve-2024!" { // which is not that account's name
			w.wantReason(err, reason)
		}
		w.wantReason(w.set(a.ID, p), reason)
		w.wantReason(w.svc.ChangePassword(w.ctx, w.realm.ID, own, goodPassword, auth.Secret(p), client), "new: the password ")
		w.wantReason(w.svc.ChangePassword(w.ctx, w.realm.ID, own, goodPassword, auth.Secret(p), client), reason)
		for _, told := range []error{w.set(a.ID, p), err} {
			if told != nil && (strings.Contains(told.Error(), p) || strings.Contains(strings.ToLower(told.Error()), "steve")) {
				t.Errorf("the error tells what only its owner knows: %v", told)
			}
		}
	}
	w.signIn("steve") // nothing has changed
	_, secret, err := w.svc.CreateAccount(w.ctx, w.realm.ID, auth.NewAccount{Username: "robot", Kind: auth.KindService}, client)
	if err != nil || secret == "" {
		t.Errorf("a generated secret is asked: %v", err)
	}
	if _, err := w.create(auth.NewAccount{Username: "imported", PasswordHash: "$1$abcdefgh$G//4keteveJp0qb8z2DxG/"}); err != nil {
		t.Errorf("an imported hash is asked: %v", err)
	}
}

// Eight characters are enough beside a second factor, once it is confirmed.
func TestChoose_BesideFactor(t *testing.T) {
	w := newWorld(t)
	a := w.account("steve")
	w.wantReason(w.set(a.ID, "eight ok"), "fewer than 15")
	if _, err := w.svc.EnrollFactor(w.ctx, w.realm.ID, a.ID, client); err != nil {
		t.Fatal(err)
	}
	w.wantReason(w.set(a.ID, "eight ok"), "fewer than 15")
	w.enroll(a)
	if err := w.set(a.ID, "eight ok"); err != nil {
		t.Error(err)
	}
	w.wantReason(w.set(a.ID, "seven ."), "fewer than 8")
	if err := w.svc.ResetFactor(w.ctx, w.realm.ID, a.ID, client); err != nil {
		t.Fatal(err)
	}
	w.wantReason(w.set(a.ID, "eight no"), "fewer than 15")
}

// Whoever has a token alone learns nothing by the rules of what only its owner may know.
func TestChangePassword_CurrentFirst(t *testing.T) {
	w := newWorld(t, withRules(password.Rules{Past: 3}))
	a := w.account("steve")
	if err := w.set(a.ID, "the second password"); err != nil {
		t.Fatal(err)
	}
	p, err := w.svc.BeginSignIn(w.ctx, w.two, creds("steve", "the second password"), client)
	if err != nil {
		t.Fatal(err)
	}
	own := auth.Presented{Token: string(w.mustPassport(p.Ticket, "").Bearer)}
	for _, next := range []auth.Secret{"short", "steve steve 2024", goodPassword, "the second password", "password password"} {
		w.wantCode(w.svc.ChangePassword(w.ctx, w.realm.ID, own, "a wrong password", next, client), auth.CodeBadCredentials)
		w.wantCode(w.svc.ChangePassword(w.ctx, w.realm.ID, own, "the second password", next, client), auth.CodeInvalidInput)
	}
}

func TestChoose_LastThree(t *testing.T) {
	w := newWorld(t, withRules(password.Rules{Past: 3}))
	a := w.account("steve")
	p := func(n int) string { return fmt.Sprintf("%s number %d", goodPassword, n) }
	const past = "the present one, or one of the last"
	w.wantReason(w.set(a.ID, goodPassword), past)
	for n := range 4 {
		if err := w.set(a.ID, p(n)); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 4 { // the present one, and three before
		w.wantReason(w.set(a.ID, p(n)), past)
	}
	g, err := w.svc.SignIn(w.ctx, w.one, creds("steve", p(3)), client)
	if err != nil {
		t.Fatal(err)
	}
	jwt, err := w.svc.Sign(w.ctx, g, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.wantReason(w.svc.ChangePassword(w.ctx, w.realm.ID, auth.Presented{Token: jwt}, auth.Secret(p(3)), auth.Secret(p(0)), client), past)
	if err := w.set(a.ID, goodPassword); err != nil {
		t.Errorf("the fourth before: %v", err)
	}
	if err := w.set(a.ID, p(0)); err != nil {
		t.Errorf("it has been forgotten: %v", err)
	}
	if list, err := w.store.PastPasswords(w.ctx, a.ID); err != nil || len(list) != 3 {
		t.Errorf("%d are remembered: %v", len(list), err)
	}
	if err := w.svc.DeleteAccount(w.ctx, w.realm.ID, a.ID, client); err != nil {
		t.Fatal(err)
	}
	if list, err := w.store.PastPasswords(w.ctx, a.ID); err != nil || len(list) != 0 {
		t.Errorf("%d outlive the account: %v", len(list), err)
	}
}

// Where earlier passwords may come again, none is kept.
func TestChoose_NoHistoryWithoutNeed(t *testing.T) {
	w := newWorld(t)
	a := w.account("steve")
	for _, p := range []string{"the second password", goodPassword, goodPassword} {
		if err := w.set(a.ID, p); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := w.store.PastPasswords(w.ctx, a.ID); err != nil || len(list) != 0 {
		t.Errorf("%d are remembered: %v", len(list), err)
	}
}

// A hash of another system is compared too, and one that can't be read bars nothing.
func TestChoose_PastOfOtherFormats(t *testing.T) {
	w := newWorld(t, withRules(password.Rules{Past: 3}))
	const old = "quiet otters juggle lanterns"
	a, err := w.create(auth.NewAccount{Username: "steve", PasswordHash: "$1$saltsalt$MKi9DaO0nuB.eK90alxw1/"})
	if err != nil {
		t.Fatal(err)
	}
	w.wantReason(w.set(a.ID, old), "the present one")
	if err := w.set(a.ID, goodPassword); err != nil {
		t.Fatal(err)
	}
	w.wantReason(w.set(a.ID, old), "one of the last")
	err = w.store.InTx(w.ctx, func(tx auth.Tx) error {
		_, err := tx.SetPassword(w.ctx, a.ID, 2, "$9$unreadable", w.now)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.set(a.ID, "the next password"); err != nil {
		t.Error(err)
	}
}

// Of parallel resets to one password, one may be it: the others come after it.
func TestChoose_RaceOfTheSame(t *testing.T) {
	w := newWorld(t, withRules(password.Rules{Past: 3}))
	a := w.account("steve")
	for round := range 3 {
		next := fmt.Sprintf("the password of round %d", round)
		var mu sync.Mutex
		var set, barred int
		var group sync.WaitGroup
		for range 5 {
			group.Go(func() {
				err := w.set(a.ID, next)
				mu.Lock()
				defer mu.Unlock()
				switch auth.CodeOf(err) {
				case "":
					set++
				case auth.CodeInvalidInput, auth.CodeConflict:
					barred++
				default:
					t.Error(err)
				}
			})
		}
		group.Wait()
		if set != 1 || barred != 4 {
			t.Errorf("set %d times, barred %d times", set, barred)
		}
	}
	if n := len(w.events(audit.PasswordChanged)); n != 3 {
		t.Errorf("%d changes in the audit log", n)
	}
}

// A reset that meets another change is judged and made again.
func TestChoose_ResetMeanwhile(t *testing.T) {
	w := newWorld(t, withRules(password.Rules{Past: 3}))
	a := w.account("steve")
	var group sync.WaitGroup
	for i := range 3 {
		group.Go(func() {
			if err := w.set(a.ID, fmt.Sprintf("a password of operator %d", i)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if list, err := w.store.PastPasswords(w.ctx, a.ID); err != nil || len(list) != 3 {
		t.Errorf("%d are remembered: %v", len(list), err)
	}
}

func TestChoose_Breached(t *testing.T) {
	const stolen = "correct horse battery stolen"
	path := filepath.Join(t.TempDir(), "pwned.txt")
	if err := os.WriteFile(path, fmt.Appendf(nil, "%X:12\n", sha1.Sum([]byte(stolen))), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, withRules(password.Rules{Breached: password.NewBreached(path)}))
	a := w.account("steve")
	w.wantReason(w.set(a.ID, stolen), "data breach")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	err := w.set(a.ID, "a password that is good")
	w.wantCode(err, auth.CodeUnavailable)
	if e := auth.AsError(err); !errors.Is(err, password.ErrBreachedFile) || !strings.Contains(e.Cause.Error(), path) || strings.Contains(e.Detail, path) || e.RetryAfter <= 0 {
		t.Errorf("%+v", e)
	}
	_, err = w.create(auth.NewAccount{Username: "tim", Password: "a password that is good"})
	w.wantCode(err, auth.CodeUnavailable)
	w.signIn("steve") // who does not choose one does not notice
}
