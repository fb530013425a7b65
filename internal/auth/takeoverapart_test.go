package auth_test

import (
	"slices"
	"strings"
	"testing"
	"time"

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

// TestTakeover_ApartJoined: a password that is the same at both tells nothing, since it may have been
// chosen for that; whoever shows both is one person.
func TestTakeover_ApartJoined(t *testing.T) {
	w := newWorld(t, threeDialects)
	two, old := w.elderOf("two")
	ada := w.brought("ada", 7, "one", passOne, "", false)
	old.old.createWith("ada", passOne)
	m := *two
	m.Opaque = true
	g, err := w.svc.SignIn(w.ctx, &m, creds("ada", passOne), client)
	if err != nil || g.Account.ID == ada.ID {
		t.Fatalf("%+v, %v", g, err)
	}
	time.Sleep(200 * time.Millisecond) // for what must not happen
	w.merged(0)
	if err := w.svc.Join(w.ctx, w.realm.ID, auth.Presented{Token: string(g.Bearer)}, passOne, "one", creds("ada", passOne), client); err != nil {
		t.Fatal(err)
	}
	for _, d := range []auth.Dialect{"one", "two", "three"} {
		if id, _ := w.opens(d, "ada", passOne); id != ada.ID {
			t.Errorf("in %s: %s", d, id)
		}
	}
}

// TestTakeover_ApartTakesNoOtherName: of the names that the old server tells, none may be that of somebody
// who has a password here, or of a service.
func TestTakeover_ApartTakesNoOtherName(t *testing.T) {
	w := newWorld(t, threeDialects)
	two, old := w.elderOf("two")
	w.brought("ada", 7, "one", passOne, "", false)
	carl := w.createWith("carl", goodPassword)
	svc, secret, err := w.svc.CreateAccount(w.ctx, w.realm.ID, auth.NewAccount{Username: "svc", Kind: auth.KindService}, client)
	if err != nil {
		t.Fatal(err)
	}
	old.old.createWith("ada", passTwo)
	for asked, change := range map[string]func(n *auth.Newcomer){
		"ada":             func(n *auth.Newcomer) { n.Email, n.Subject = "carl@example.com", "old-two" },
		"ada@example.com": func(n *auth.Newcomer) { n.Username, n.Subject = "svc", "old-two" },
	} {
		old.change = change
		_, err := w.svc.SignIn(w.ctx, two, creds(asked, passTwo), client)
		w.wantCode(err, auth.CodeBadCredentials)
	}
	if got := w.details(audit.AdoptionRefused); !slices.Equal(slices.Sorted(slices.Values(got)), []string{"email_in_use", "username_in_use"}) {
		t.Errorf("the log has %q", got)
	}
	for c, want := range map[auth.Credentials]uuid.UUID{creds("carl@example.com", goodPassword): carl.ID, creds("svc", string(secret)): svc.ID} {
		if g, err := w.svc.SignIn(w.ctx, two, c, client); err != nil || g.Account.ID != want {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
}

// TestTakeover_ApartNoMore: who gets a password of his own while the old server is asked about his name
// keeps the name to himself.
func TestTakeover_ApartNoMore(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		w := newWorld(t, threeDialects)
		two, old := w.elderOf("two")
		ada := w.brought("ada", 7, "one", passOne, "", false)
		old.old.createWith("ada", passTwo)
		old.change = func(n *auth.Newcomer) { n.Subject = "old-two" }
		old.before = func() {
			if old.before = nil; w.set(ada.ID, goodPassword) != nil {
				t.Error("no password")
			}
		}
		_, err := w.svc.SignIn(w.ctx, two, creds("ada", passTwo), client)
		w.wantCode(err, auth.CodeBadCredentials)
		if id, _ := w.opens("two", "ada", goodPassword); id != ada.ID {
			t.Error("her own password is not good there")
		}
	})
}

// TestTakeover_ApartDeleted: who was deleted does not come back, whatever becomes of the other one
// of the name.
func TestTakeover_ApartDeleted(t *testing.T) {
	w := newWorld(t, threeDialects)
	two, old := w.elderOf("two")
	ada := w.brought("ada", 7, "one", passOne, "", false)
	old.old.createWith("ada", passTwo)
	g, err := w.svc.SignIn(w.ctx, two, creds("ada", passTwo), client)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.svc.DeleteAccount(w.ctx, w.realm.ID, g.Account.ID, client); err != nil {
		t.Fatal(err)
	}
	name := "Ada L"
	for range 2 {
		_, err := w.svc.SignIn(w.ctx, two, creds("ada", passTwo), client)
		w.wantCode(err, auth.CodeBadCredentials)
		if _, err := w.svc.UpdateAccount(w.ctx, w.realm.ID, ada.ID, auth.AccountChange{DisplayName: &name}, client); err != nil {
			t.Fatal(err)
		}
	}
	if old.questions() != 1 {
		t.Errorf("asked %d times", old.questions())
	}
	three, third := w.elderOf("three")
	third.old.createWith("ada", "another one, at a third")
	if _, err := w.svc.SignIn(w.ctx, three, creds("ada", "another one, at a third"), client); err != nil {
		t.Errorf("somebody else at a third server: %v", err)
	}
}

// TestTakeover_ApartWrittenBack: an old system is told that the name is not its own.
func TestTakeover_ApartWrittenBack(t *testing.T) {
	w := newWorld(t, threeDialects, func(o *auth.Options) {
		o.Writebacks = map[string]auth.Writeback{"default": {Format: "ssha512", Until: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}}
	})
	two, old := w.elderOf("two")
	w.brought("ada", 7, "one", passOne, "", false)
	old.old.createWith("ada", passTwo)
	g, err := w.svc.SignIn(w.ctx, two, creds("ada", passTwo), client)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.set(g.Account.ID, goodPassword); err != nil {
		t.Fatal(err)
	}
	all, err := w.svc.WaitingWritebacks(w.ctx, w.realm.ID, 10)
	if err != nil || len(all) != 1 || !strings.Contains(string(all[0].Line), `"apart":"two"`) {
		t.Errorf("%+v, %v", all, err)
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

// TestThreat16_ApartGuesses: guesses at the password of the old server count for whoever has the name
// here, as those of strangers: no login takes them away, and an operator can.
func TestThreat16_ApartGuesses(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		w := newWorld(t, threeDialects, withBudgets)
		two, old := w.elderOf("two")
		ada := w.brought("ada", 7, "one", passOne, "", false)
		old.old.createWith("ada", passTwo)
		wrong := 0
		for range 10 {
			if id, _ := w.opens("one", "ada", passOne); id != ada.ID { // and the source is known
				t.Fatal("not signed in")
			}
			for _, name := range []string{"ada", "ada@example.com", "ada", "ADA"} {
				if _, err := w.svc.SignIn(w.ctx, two, creds(name, "wrong"), client); auth.CodeOf(err) == auth.CodeBadCredentials {
					wrong++
				}
			}
		}
		if wrong != 5 || old.questions() != 5 {
			t.Errorf("%d wrong guesses, %d of them asked", wrong, old.questions())
		}
		if err := w.svc.Unlock(w.ctx, w.realm.ID, ada.ID, client); err != nil {
			t.Fatal(err)
		}
		if _, err := w.svc.SignIn(w.ctx, two, creds("ada", passTwo), client); err != nil {
			t.Error(err)
		}
	})
}

// TestThreat01_ApartIsNotTold: how guesses at several mounts are counted does not tell whether a name is
// somebody's.
func TestThreat01_ApartIsNotTold(t *testing.T) {
	for _, first := range []auth.Dialect{"one", "two"} {
		w := newWorld(t, threeDialects, withBudgets)
		two, _ := w.elderOf("two")
		w.brought("ada", 7, "one", passOne, "", false)
		mounts := map[auth.Dialect]*auth.Mount{"one": w.mounted("one"), "two": two}
		second := map[auth.Dialect]auth.Dialect{"one": "two", "two": "one"}[first]
		var codes [2][]auth.Code
		for i, name := range []string{"ada", "nobody"} {
			for n := range 7 {
				m := mounts[first]
				if n > 4 {
					m = mounts[second]
				}
				_, err := w.svc.SignIn(w.ctx, m, creds(name, "wrong"), client)
				codes[i] = append(codes[i], auth.CodeOf(err))
			}
		}
		if !slices.Equal(codes[0], codes[1]) {
			t.Errorf("first at %s: %v and %v", first, codes[0], codes[1])
		}
	}
}

// TestTakeover_ApartInTwoSteps: a second factor of the old server is that of the account that is apart.
func TestTakeover_ApartInTwoSteps(t *testing.T) {
	w := newWorld(t, threeDialects)
	old := newWorld(t)
	w.two.Elder, w.two.Apart = &elder{old: old, mount: old.two}, true
	ada := w.brought("ada", 7, "one", passOne, "", false)
	uri := old.enroll(old.createWith("ada", passTwo))
	for range 2 {
		p, err := w.svc.BeginSignIn(w.ctx, w.two, creds("ada", passTwo), client)
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.svc.CompleteSignIn(w.ctx, w.two, p.Ticket, "000000", client)
		w.wantCode(err, auth.CodeFactorInvalid)
		old.advance(time.Minute)
		g, err := w.svc.CompleteSignIn(w.ctx, w.two, p.Ticket, old.code(uri), client)
		if err != nil || g.Account.ID == ada.ID || w.record(g.Account.ID, "two").Apart != "two" {
			t.Fatalf("%+v, %v", g, err)
		}
	}
	if b, err := w.svc.BudgetOf(w.ctx, w.realm.ID, ada.ID); err != nil || len(b) != 0 {
		t.Errorf("counted for the other one: %+v, %v", b, err)
	}
}

// TestTakeover_ApartNameOfAnImport: a name that an import has given somebody in the very dialect is taken.
func TestTakeover_ApartNameOfAnImport(t *testing.T) {
	w := newWorld(t, threeDialects)
	two, old := w.elderOf("two")
	w.imports(`{"username":"ada","source":"one","password_hash":"`+bcryptOf+`","names":[{"name":"ada.l","dialect":"two"}]}`, auth.ImportOptions{})
	old.old.createWith("ada.l", passTwo)
	_, err := w.svc.SignIn(w.ctx, two, creds("ada.l", passTwo), client)
	w.wantCode(err, auth.CodeBadCredentials)
	if got := w.details(audit.AdoptionRefused); len(got) != 1 || got[0] != "username_in_use" || old.questions() != 1 {
		t.Errorf("the log has %q, after %d questions", got, old.questions())
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

// TestUpdate_ApartHidesNobody: a new name of an account that is apart is not one by which somebody else
// signs in there.
func TestUpdate_ApartHidesNobody(t *testing.T) {
	w := newWorld(t, threeDialects)
	w.account("boss")
	w.brought("bob", 6, "one", passOne, "", false)
	apart := w.broughtAs("other@example.com", "bob", 7, "two", passTwo, "", true)
	rename := func(name string) error {
		_, err := w.svc.UpdateAccount(w.ctx, w.realm.ID, apart.ID, auth.AccountChange{Username: &name}, client)
		return err
	}
	w.wantCode(rename("BOSS"), auth.CodeInvalidInput)
	if err := rename("Bob"); err != nil { // as it was
		t.Error(err)
	}
	if id, _ := w.opens("two", "boss", goodPassword); id == uuid.Nil {
		t.Error("boss is hidden")
	}
}

// TestEachByPrefix_Apart: all accounts of a name are found by its beginning, each once.
func TestEachByPrefix_Apart(t *testing.T) {
	w := newWorld(t, threeDialects)
	base := w.brought("ada", 6, "three", passOne, "", false)
	keep, other := w.brought("ada", 7, "two", passOne, "", true), w.brought("ada", 8, "one", passTwo, "", true)
	found := func(want ...uuid.UUID) {
		t.Helper()
		var got []uuid.UUID
		if err := w.svc.EachByPrefix(w.ctx, w.realm.ID, "AD", func(a auth.Account) error { got = append(got, a.ID); return nil }); err != nil || !slices.Equal(got, want) {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	}
	found(base.ID, other.ID, keep.ID)
	w.merge(keep, other, auth.PreferNone)
	found(base.ID, keep.ID)
}

// TestThreat16_NewcomersOtherName: guesses at any name of somebody who is not here yet count for the
// account, once it is.
func TestThreat16_NewcomersOtherName(t *testing.T) {
	w := newWorld(t, threeDialects, withBudgets)
	two, old := w.elderOf("two")
	old.old.createWith("ada", passTwo)
	for _, name := range []string{"ada", "ada@example.com"} {
		for range 2 {
			_, err := w.svc.SignIn(w.ctx, two, creds(name, "wrong"), at("198.51.100.7"))
			w.wantCode(err, auth.CodeBadCredentials)
		}
	}
	g, err := w.svc.SignIn(w.ctx, two, creds("ada", passTwo), client)
	if err != nil {
		t.Fatal(err)
	}
	b, err := w.svc.BudgetOf(w.ctx, w.realm.ID, g.Account.ID)
	if err != nil || len(b) != 1 || b[0].Failures != 4 {
		t.Errorf("%+v, %v", b, err)
	}
}
