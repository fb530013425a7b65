package auth_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/password"
)

// A password of a source is good in its dialect alone, where the account's own is not; one
// that is joined is good in all of them, and the account's own with it.
func TestSource_WhereItIsGood(t *testing.T) {
	w := newWorld(t)
	a := w.account("ada")
	w.put(a, auth.SourceHash{Source: "one", Hash: w.hash("of one, quite long")})
	w.put(a, auth.SourceHash{Source: "three", Hash: w.hash("of three, quite long")})
	good := func(what string, want map[string][]string) {
		t.Helper()
		for _, m := range []*auth.Mount{w.one, w.two} {
			for _, text := range []string{goodPassword, "of one, quite long", "of three, quite long"} {
				_, err := w.svc.BeginSignIn(w.ctx, m, creds("ada", text), client)
				if slices.Contains(want[string(m.Dialect)], text) != (err == nil) {
					t.Errorf("%s: %q at %s: %v", what, text, m.Dialect, err)
				}
			}
		}
	}
	join := func(d auth.Dialect) {
		w.tx(func(tx auth.Tx) error { _, err := tx.JoinSource(w.ctx, a.ID, d, true); return err })
	}
	good("apart", map[string][]string{"one": {"of one, quite long"}, "two": {goodPassword}})
	join("three")
	good("three is joined", map[string][]string{"one": {"of one, quite long", "of three, quite long", goodPassword}, "two": {"of three, quite long", goodPassword}})
	join("one")
	all := []string{goodPassword, "of one, quite long", "of three, quite long"}
	good("both are joined", map[string][]string{"one": all, "two": all})
	// All of them are tried under one guess, and a reset removes them all.
	for name, change := range map[string]func() error{
		"reset": func() error { return w.svc.SetPassword(w.ctx, w.realm.ID, a.ID, "a new one, quite long", client) },
		"change": func() error {
			g, err := w.svc.SignIn(w.ctx, w.one, creds("ada", "of one, quite long"), client)
			if err != nil {
				return err
			}
			token, err := w.svc.Sign(w.ctx, g, nil)
			if err != nil {
				return err
			}
			return w.svc.ChangePassword(w.ctx, w.realm.ID, auth.Presented{Token: token}, "of one, quite long", "a new one, quite long", client)
		},
	} {
		w.put(a, auth.SourceHash{Source: "one", Hash: w.hash("of one, quite long")})
		w.put(a, auth.SourceHash{Source: "two"})
		if err := change(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		good(name, nil)
		if rec := w.record(a.ID, ""); len(rec.Passwords) != 0 {
			t.Errorf("%s: %+v is left", name, rec.Passwords)
		}
		w.one.Elder = nil
		if _, err := w.svc.SignIn(w.ctx, w.one, creds("ada", "a new one, quite long"), client); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A reset ends what a legacy server still takes: it is not asked again.
func TestSource_ResetEndsPending(t *testing.T) {
	w, one, _ := takenOver(t, newWorld)
	one.old.account("ada")
	a := w.bare("ada")
	w.put(a, auth.SourceHash{Source: "one"})
	if err := w.svc.SetPassword(w.ctx, w.realm.ID, a.ID, "a new one, quite long", client); err != nil {
		t.Fatal(err)
	}
	_, err := w.svc.SignIn(w.ctx, w.one, creds("ada", goodPassword), client)
	w.wantCode(err, auth.CodeBadCredentials)
	if one.questions() != 0 {
		t.Error("the legacy server was asked for a password that was reset here")
	}
}

// The current password of a change is that of the session's dialect, and what was replaced
// is remembered.
func TestSource_ChangePassword(t *testing.T) {
	w, one, _ := takenOver(t, newWorld, func(o *auth.Options) {
		o.Passwords = map[string]password.Rules{"default": {Past: 3}}
	})
	one.old.account("ada")
	token, err := w.svc.Sign(w.ctx, w.signIn("ada"), nil)
	if err != nil {
		t.Fatal(err)
	}
	change := func(current, next auth.Secret) error {
		return w.svc.ChangePassword(w.ctx, w.realm.ID, auth.Presented{Token: token}, current, next, client)
	}
	w.wantCode(change("wrong", "a new one, quite long"), auth.CodeBadCredentials)
	w.wantCode(change(goodPassword, goodPassword), auth.CodeInvalidInput)
	if err := change(goodPassword, "a new one, quite long"); err != nil {
		t.Fatal(err)
	}
	w.wantCode(change("a new one, quite long", goodPassword), auth.CodeInvalidInput)
}

// At the first right login a source's hash is made anew, as any other, and is noted as proven.
func TestSource_Rehash(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		w := newWorld(t)
		a := w.account("ada")
		const old, horse = "$1$saltsalt$BsXyQbZiQujHkdhwPwdol.", "correct horse battery staple"
		w.put(a, auth.SourceHash{Source: "one", Hash: old})
		w.put(a, auth.SourceHash{Source: "two", Hash: w.hash(horse)})
		w.tx(func(tx auth.Tx) error { return tx.CountScheme(w.ctx, w.realm.ID, "md5crypt", 1) })
		if _, err := w.svc.SignIn(w.ctx, w.one, creds("ada", horse), client); err != nil {
			t.Fatal(err)
		}
		if _, err := w.svc.BeginSignIn(w.ctx, w.two, creds("ada", horse), client); err != nil {
			t.Fatal(err)
		}
		for _, p := range w.record(a.ID, "").Passwords {
			if !strings.HasPrefix(p.Hash, "$argon2id$v=19$m=19456,t=2,p=1$") || !p.ProvenAt.Equal(w.clock()) {
				t.Errorf("got %+v", p)
			}
		}
		if got := w.details(audit.PasswordRehashed); !slices.Equal(got, []string{"md5crypt"}) {
			t.Errorf("the log has %q", got)
		}
		if schemes, err := w.store.HashSchemes(w.ctx, w.realm.ID); err != nil || len(schemes) != 0 {
			t.Errorf("%q are counted, %v", schemes, err)
		}
		if _, err := w.svc.SignIn(w.ctx, w.one, creds("ada", horse), client); err != nil {
			t.Error(err)
		}
	})
}

func (w *world) setPending(id uuid.UUID, d auth.Dialect, pending bool) error {
	_, err := w.svc.UpdateAccount(w.ctx, w.realm.ID, id, auth.AccountChange{}, client, auth.PendingChange{Dialect: d, Pending: pending})
	return err
}

// An operator has the legacy server asked at the next login, or not.
func TestSource_SetPending(t *testing.T) {
	w, one, _ := takenOver(t, newWorld)
	one.old.account("ada")
	const old = "$1$saltsalt$BsXyQbZiQujHkdhwPwdol." // of another password
	a, _, err := w.svc.CreateAccount(w.ctx, w.realm.ID, auth.NewAccount{Username: "ada", PasswordHash: old}, client)
	if err != nil {
		t.Fatal(err)
	}
	set := func(d auth.Dialect, pending bool) error {
		return w.setPending(a.ID, d, pending)
	}
	counted := func(what string, want ...string) {
		t.Helper()
		if got, err := w.store.HashSchemes(w.ctx, w.realm.ID); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	w.wantCode(set("one", false), auth.CodeNotFound)
	for _, err := range []error{set("one", true), set("two", true), set("two", false)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	counted("pending", "md5crypt")
	w.signIn("ada")
	w.wantCode(set("one", false), auth.CodeNotFound) // it is known now
	if err := set("one", true); err != nil {         // and is asked for again
		t.Fatal(err)
	}
	w.signIn("ada")
	if n := one.questions(); n != 2 {
		t.Errorf("%d questions", n)
	}
	if got := w.details(audit.AccountUpdated); !slices.Equal(got, []string{"pending one", "pending two", "not pending two", "pending one"}) {
		t.Errorf("the log has %q", got)
	}
	if err := w.svc.SetPassword(w.ctx, w.realm.ID, a.ID, "a new one, quite long", client); err != nil {
		t.Fatal(err)
	}
	counted("reset")
	service, _, err := w.svc.CreateAccount(w.ctx, w.realm.ID, auth.NewAccount{Username: "svc", Kind: auth.KindService}, client)
	if err != nil {
		t.Fatal(err)
	}
	w.wantCode(w.setPending(service.ID, "one", true), auth.CodeInvalidInput)
}

// Guesses at a name before its account was taken over count against the account.
func TestThreat04_GuessesBeforeTheAccount(t *testing.T) {
	w, one, _ := takenOver(t, newWorld, withBudgets)
	one.old.account("ada")
	for range 4 {
		w.wantCode(w.guess("ada", at("198.51.100.7")), auth.CodeBadCredentials)
	}
	if _, err := w.svc.SignIn(w.ctx, w.one, creds("ada", goodPassword), client); err != nil {
		t.Fatal(err)
	}
	w.wantCode(w.guess("ada", at("198.51.100.8")), auth.CodeBadCredentials)
	w.wantCode(w.guess("ADA", at("198.51.100.9")), auth.CodeThrottled)
}

// The legacy server sees no more guesses than the budgets allow, however many come at once
// and whoever hangs up before the answer.
func TestThreat03_GuessesThroughUs(t *testing.T) {
	w, one, _ := takenOver(t, newWorld, withBudgets)
	one.old.account("ada")
	parallel(20, func() error { return w.guess("ada", client) })
	if n := one.questions(); n > 5 {
		t.Errorf("%d guesses at a name that is not here", n)
	}
	if state := w.guess("ada", client); auth.CodeOf(state) != auth.CodeThrottled {
		t.Errorf("the next: %v", state)
	}
	one.old.account("bob")
	asked := one.questions()
	for range 9 {
		ctx, hangUp := context.WithCancel(w.ctx)
		one.before = hangUp
		_, _ = w.svc.SignIn(ctx, w.one, creds("bob", "a guess"), client)
		hangUp()
	}
	if n := one.questions() - asked; n != 5 {
		t.Errorf("%d guesses of clients that hung up", n)
	}
}

// Where an Elder is asked, the answer to a wrong password is the same, and takes as long, for
// whoever is known here, pending, disabled, deleted, known there alone, and nowhere.
func TestThreat02_ElderAsked(t *testing.T) {
	w, one, _ := takenOver(t, newWorld)
	one.floor = 300 * time.Millisecond
	one.before = func() { time.Sleep(100 * time.Millisecond) }
	one.old.account("there")
	w.account("known")
	w.bare("bare")
	w.put(w.bare("pending"), auth.SourceHash{Source: "one"})
	disabled, deleted := w.bare("disabled"), w.bare("deleted")
	if err := w.svc.SetDisabled(w.ctx, w.realm.ID, disabled.ID, true, client); err != nil {
		t.Fatal(err)
	}
	if err := w.svc.DeleteAccount(w.ctx, w.realm.ID, deleted.ID, client); err != nil {
		t.Fatal(err)
	}
	w.svc.Warm(w.ctx, w.realm.ID)
	for _, name := range []string{"known", "bare", "pending", "disabled", "deleted", "there", "nowhere"} {
		began := time.Now()
		err := w.guess(name, client)
		took := time.Since(began)
		if e := auth.AsError(err); e.Code != auth.CodeBadCredentials || e.Detail != "" || e.RetryAfter != 0 {
			t.Errorf("%s: %+v", name, e)
		}
		if took < one.floor { // the floor, whether it was asked or not
			t.Errorf("%s was answered after %s", name, took)
		}
	}
	if n := one.questions(); n != 3 {
		t.Errorf("%d questions: %q", n, one.asked)
	}
}
