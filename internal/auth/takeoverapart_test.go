package auth_test

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

// elderOf makes a mount of a dialect take over from a server of its own, and keep apart whose names came
// from elsewhere.
func (w *world) elderOf(d auth.Dialect) (*auth.Mount, *elder) {
	w.t.Helper()
	m, old := w.mounted(d), newWorld(w.t)
	e := &elder{old: old, mount: old.one}
	m.Elder, m.Apart = e, true
	return m, e
}

func (w *world) createWith(name, pass string) auth.Account {
	w.t.Helper()
	a, _, err := w.svc.CreateAccount(w.ctx, w.realm.ID, auth.NewAccount{Username: name, Email: name + "@example.com", Password: auth.Secret(pass)}, client)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// TestTakeover_Apart: whoever has an account at each of two old servers signs in at both mounts with
// the password of each, and is two accounts until it is known that both are one person's.
func TestTakeover_Apart(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		w := newWorld(t, threeDialects, withBudgets)
		one, oldOne := w.elderOf("one")
		two, oldTwo := w.elderOf("two")
		oldOne.old.createWith("ada", passOne)
		oldTwo.old.createWith("ada", passTwo)
		oldTwo.change = func(n *auth.Newcomer) { n.Subject = "old-two" }
		in := func(m *auth.Mount, pass string, want auth.Code) *auth.Grant {
			t.Helper()
			g, err := w.svc.SignIn(w.ctx, m, creds("ada", pass), client)
			w.wantCode(err, want)
			return g
		}
		first := in(one, passOne, "")
		in(two, passOne, auth.CodeBadCredentials) // there it is another one
		second := in(two, passTwo, "")
		if second.Account.ID == first.Account.ID || second.Subject != "old-two" || second.Account.Username != "ada" || w.record(second.Account.ID, "two").Apart != "two" {
			t.Fatalf("got %+v and %+v", first.Account, second.Account)
		}
		questions := [2]int{oldOne.questions(), oldTwo.questions()}
		for range 2 {
			if g := in(one, passOne, ""); g.Account.ID != first.Account.ID {
				t.Error("another account in the first dialect")
			}
			if g := in(two, passTwo, ""); g.Account.ID != second.Account.ID {
				t.Error("another account in the second dialect")
			}
		}
		in(one, passTwo, auth.CodeBadCredentials)
		in(two, passOne, auth.CodeBadCredentials)
		if now := [2]int{oldOne.questions(), oldTwo.questions()}; now != questions {
			t.Errorf("asked again: %v, %v", questions, now)
		}
		if got := w.details(audit.AccountAdopted); !slices.Equal(got, []string{"", "apart"}) {
			t.Errorf("the log has %q", got)
		}
		if got := w.details(audit.SignInFailed); !slices.Equal(got, []string{"legacy_refused", "wrong_password", "wrong_password"}) {
			t.Errorf("the log has %q", got)
		}
	})
}

// TestTakeover_ApartByAddress: so is who comes by a name of its own, with the address of somebody
// from elsewhere.
func TestTakeover_ApartByAddress(t *testing.T) {
	w := newWorld(t, threeDialects)
	two, old := w.elderOf("two")
	ada := w.brought("ada", 7, "one", passOne, "", false)
	old.old.createWith("ada.l", passTwo)
	old.change = func(n *auth.Newcomer) { n.Email = "ada@example.com" }
	g, err := w.svc.SignIn(w.ctx, two, creds("ada.l", passTwo), client)
	if err != nil || g.Account.ID == ada.ID || w.record(g.Account.ID, "two").Apart != "two" {
		t.Fatalf("got %+v, %v", g, err)
	}
	if again, err := w.svc.SignIn(w.ctx, two, creds("ada@example.com", passTwo), client); err != nil || again.Account.ID != g.Account.ID {
		t.Errorf("by the address: %v", err)
	}
	if id, _ := w.opens("one", "ada@example.com", passOne); id != ada.ID {
		t.Error("the address is not the first one's any more, in its dialect")
	}
}

// TestTakeover_ApartProven: with one password and one address at both, they are one person.
func TestTakeover_ApartProven(t *testing.T) {
	w := newWorld(t, threeDialects)
	two, old := w.elderOf("two")
	ada := w.brought("ada", 7, "one", passOne, "", false)
	old.old.createWith("ada", passOne)
	g, err := w.svc.SignIn(w.ctx, two, creds("ada", passOne), client)
	if err != nil {
		t.Fatal(err)
	}
	if events := w.merged(2); events[0].Account != ada.ID {
		t.Errorf("the log: %+v", events)
	}
	rec, err := w.store.SessionByID(w.ctx, w.realm.ID, g.Session.ID)
	if err != nil || rec.AccountID != ada.ID || !rec.EndedAt.IsZero() {
		t.Errorf("its session: %+v, %v", rec, err)
	}
}

// TestTakeover_NotApart: nobody but who is known by other old servers alone shares a name so, and
// nobody who was deleted comes back.
func TestTakeover_NotApart(t *testing.T) {
	w := newWorld(t, threeDialects)
	two, old := w.elderOf("two")
	for _, name := range []string{"own", "bare", "reset", "disabled", "gone", "svc", "joined"} {
		old.old.createWith(name, passTwo)
	}
	w.createWith("own", passOne)
	w.bare("bare")
	if _, _, err := w.svc.CreateAccount(w.ctx, w.realm.ID, auth.NewAccount{Username: "svc", Kind: auth.KindService}, client); err != nil {
		t.Fatal(err)
	}
	by := map[string]uuid.UUID{}
	for i, name := range []string{"reset", "disabled", "gone", "joined"} {
		by[name] = w.broughtAs(name+"@example.com", name, int64(20+i), "one", passOne, "", false).ID
	}
	if err := w.set(by["reset"], goodPassword); err != nil {
		t.Fatal(err)
	}
	if err := w.svc.SetDisabled(w.ctx, w.realm.ID, by["disabled"], true, client); err != nil {
		t.Fatal(err)
	}
	if err := w.svc.DeleteAccount(w.ctx, w.realm.ID, by["gone"], client); err != nil {
		t.Fatal(err)
	}
	w.tx(func(tx auth.Tx) error { _, err := tx.JoinSource(w.ctx, by["joined"], "one", true); return err })
	for _, name := range []string{"own", "bare", "reset", "disabled", "gone", "svc", "joined"} {
		_, err := w.svc.SignIn(w.ctx, two, creds(name, passTwo), client)
		w.wantCode(err, auth.CodeBadCredentials)
	}
	if old.questions() != 0 {
		t.Errorf("the old server was asked for %q", old.asked)
	}
}

// TestThreat16_ApartForgetsNothing: who gets in by a name of somebody else does not take that one's
// wrong guesses away, from whatever address.
func TestThreat16_ApartForgetsNothing(t *testing.T) {
	w := newWorld(t, threeDialects, withBudgets)
	two, old := w.elderOf("two")
	ada := w.brought("ada", 7, "one", passOne, "", false)
	old.old.createWith("ada", passTwo)
	if id, _ := w.opens("one", "ada", passOne); id != ada.ID { // the source is known from now on
		t.Fatal("not signed in")
	}
	for range 3 {
		w.opens("one", "ada", "wrong")
	}
	failures := func() int {
		t.Helper()
		b, err := w.svc.BudgetOf(w.ctx, w.realm.ID, ada.ID)
		if err != nil || len(b) != 1 || b[0].Kind != auth.BudgetKnown {
			t.Fatalf("%+v, %v", b, err)
		}
		return b[0].Failures
	}
	before := failures()
	if _, err := w.svc.SignIn(w.ctx, two, creds("ada", passTwo), client); err != nil {
		t.Fatal(err)
	}
	if after := failures(); before != 3 || after != 3 {
		t.Errorf("%d wrong guesses before, %d after", before, after)
	}
}
