package auth_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

// merged waits until the log has so many merges that were proven, and returns their entries.
func (w *world) merged(want int) (events []audit.Event) {
	w.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		var err error
		events, err = w.svc.ListAudit(w.ctx, w.realm.ID, auth.AuditFilter{Kinds: []audit.Kind{audit.AccountsMerged}, Limit: 10})
		if err != nil {
			w.t.Fatal(err)
		}
		if len(events) >= want || time.Now().After(deadline) {
			if len(events) != want {
				w.t.Fatalf("%d entries, want %d", len(events), want)
			}
			return events
		}
	}
}

// Who has the same password at two sources is one person: at the first login with it both
// become one account, with the session of that login.
func TestTwin_Proven(t *testing.T) {
	for _, first := range []auth.Dialect{"one", "two"} {
		t.Run(string(first), func(t *testing.T) {
			w := newWorld(t, threeDialects)
			keep, other := w.brought("ada", 7, "one", passOne, "", false), w.brought("ada.l", 8, "two", passOne, "old-8", true)
			g, err := w.svc.SignIn(w.ctx, w.mounted(first), creds("ada@example.com", passOne), client)
			if err != nil {
				t.Fatal(err)
			}
			if first == "two" && g.Account.ID != other.ID || first == "one" && g.Account.ID != keep.ID {
				t.Fatalf("signed in as %s", g.Account.ID)
			}
			events := w.merged(2)
			if events[0].Account != keep.ID || events[0].Detail != "proven with="+other.ID.String() || events[0].Address != "192.0.2.1" {
				t.Errorf("the log: %+v", events[0])
			}
			rec, err := w.store.SessionByID(w.ctx, w.realm.ID, g.Session.ID)
			if err != nil || rec.AccountID != keep.ID || !rec.EndedAt.IsZero() {
				t.Errorf("its session: %+v, %v", rec, err)
			}
			for _, p := range rec.Account.Passwords {
				if p.ProvenAt.IsZero() || !p.Joined {
					t.Errorf("a password: %+v", p)
				}
			}
			if id, subject := w.opens("two", "ada.l", passOne); id != keep.ID || subject != "old-8" {
				t.Errorf("in two: %s, %q", id, subject)
			}
		})
	}
}

// A login whose second step is still to come goes on after the merge.
func TestTwin_HalfDone(t *testing.T) {
	w := newWorld(t, threeDialects)
	keep := w.brought("ada", 7, "one", passOne, "", false)
	w.brought("ada.l", 8, "two", passOne, "", true)
	p, err := w.svc.BeginSignIn(w.ctx, w.two, creds("ada.l", passOne), client)
	if err != nil {
		t.Fatal(err)
	}
	w.merged(2)
	g, err := w.svc.CompleteSignIn(w.ctx, w.two, p.Ticket, "", client)
	if err != nil || g.Account.ID != keep.ID {
		t.Errorf("%+v, %v", g, err)
	}
}

// Other accounts than those of one person stay apart, whatever is tried, and a password is tried
// at another account once: nobody can try many so.
func TestThreat16_TwinIsNoOracle(t *testing.T) {
	w := newWorld(t, threeDialects, withBudgets)
	keep, other := w.brought("ada", 7, "one", passOne, "", false), w.brought("ada.l", 8, "two", passTwo, "", true)
	if id, _ := w.opens("two", "ada@example.com", passOne); id != uuid.Nil {
		t.Fatal("the password of another source")
	}
	for range 2 {
		if id, _ := w.opens("two", "ada.l", passTwo); id != other.ID {
			t.Fatal("not signed in")
		}
	}
	// The other one gets the same password now: it has been proven before, and so nobody looks.
	if err := w.store.InTx(w.ctx, func(tx auth.Tx) error {
		return tx.PutSource(w.ctx, w.realm.ID, keep.ID, auth.SourceHash{Source: "one", Hash: hashOf(t, w, passTwo), CreatedAt: w.clock(), ProvenAt: w.clock()})
	}); err != nil {
		t.Fatal(err)
	}
	if id, _ := w.opens("two", "ada.l", passTwo); id != other.ID {
		t.Fatal("not signed in")
	}
	if id, _ := w.opens("one", "ada", passTwo); id != keep.ID {
		t.Fatal("not signed in")
	}
	// With a second factor, or disabled, an account is nobody's twin.
	enrolled := w.brought("bob", 9, "three", passTwo, "", true)
	w.enroll(enrolled)
	w.opens("three", "bob", passTwo)
	time.Sleep(200 * time.Millisecond) // for what must not happen
	w.merged(0)
	for _, id := range []uuid.UUID{keep.ID, other.ID, enrolled.ID} {
		if budgets, err := w.svc.BudgetOf(w.ctx, w.realm.ID, id); err != nil || len(budgets) > 1 {
			t.Errorf("%+v, %v", budgets, err)
		}
	}
}

func TestJoin_Account(t *testing.T) {
	w := newWorld(t, threeDialects, func(o *auth.Options) { o.Budgets = &auth.Budgets{Account: auth.DefaultBudgets().Account} })
	keep, other := w.brought("ada", 7, "one", passOne, "", false), w.brought("ada.l", 8, "two", passTwo, "old-8", true)
	token := func() (auth.Presented, *auth.Grant) {
		m := w.mounted("one")
		m.Opaque = true
		g, err := w.svc.SignIn(w.ctx, m, creds("ada", passOne), client)
		if err != nil {
			t.Fatal(err)
		}
		return auth.Presented{Token: string(g.Bearer)}, g
	}
	p, _ := token()
	join := func(p auth.Presented, d auth.Dialect, name, pass string) error {
		return w.svc.Join(w.ctx, w.realm.ID, p, passOne, d, creds(name, pass), client)
	}
	w.wantCode(join(auth.Presented{Token: "nonsense"}, "two", "ada.l", passTwo), auth.CodeTokenInvalid)
	w.wantCode(join(p, "four", "ada.l", passTwo), auth.CodeInvalidInput)
	w.wantCode(join(p, "two", "ada.l", passOne), auth.CodeBadCredentials)
	w.wantCode(join(p, "one", "ada", passOne), auth.CodeConflict)
	budgets, err := w.svc.BudgetOf(w.ctx, w.realm.ID, other.ID)
	if err != nil || len(budgets) != 1 || budgets[0].Failures != 1 {
		t.Errorf("a wrong guess is counted at the other one: %+v, %v", budgets, err)
	}
	// Whoever has stolen the token joins nothing of his own.
	w.wantCode(w.svc.Join(w.ctx, w.realm.ID, p, passTwo, "two", creds("ada.l", passTwo), client), auth.CodeBadCredentials)
	budgets, err = w.svc.BudgetOf(w.ctx, w.realm.ID, keep.ID)
	if err != nil || len(budgets) != 1 || budgets[0].Failures != 1 {
		t.Errorf("a wrong guess is counted at the token's own account: %+v, %v", budgets, err)
	}
	p, g := token()
	if err := join(p, "two", "ada.l", passTwo); err != nil {
		t.Fatal(err)
	}
	if id, subject := w.opens("two", "ada.l", passOne); id != keep.ID || subject != "old-8" {
		t.Errorf("%s, %q", id, subject)
	}
	if rec, err := w.store.SessionByID(w.ctx, w.realm.ID, g.Session.ID); err != nil || !rec.EndedAt.IsZero() {
		t.Errorf("the session of the token: %+v, %v", rec, err)
	}
	if e := w.merged(2); e[0].Detail != "joined with="+other.ID.String() || e[0].Token == "" {
		t.Errorf("the log: %+v", e[0])
	}
	secured := w.brought("eve", 9, "two", passTwo, "", true)
	w.enroll(secured)
	p, _ = token()
	w.wantCode(join(p, "two", "eve", passTwo), auth.CodeBadCredentials)
	budgets, err = w.svc.BudgetOf(w.ctx, w.realm.ID, secured.ID)
	if err != nil || len(budgets) != 1 || budgets[0].Failures != 1 {
		t.Errorf("a right password that does not do by itself: %+v, %v", budgets, err)
	}
	if e := w.events(audit.FactorFailed); len(e) != 1 || e[0].Account != secured.ID {
		t.Errorf("the log: %+v", e)
	}
}
