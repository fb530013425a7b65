package auth_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/password"
	"github.com/ostiary/ostiary/internal/totp"
)

// threeDialects are those of accounts that come from two servers.
func threeDialects(o *auth.Options) {
	o.Dialects = map[auth.Dialect]auth.Rules{"one": {Subject: func(a auth.Account) string { return strconv.FormatInt(a.Number, 10) }}, "two": {}, "three": {}}
}

// hashOf is a hash as another system makes it.
func hashOf(t *testing.T, w *world, pass string) string {
	t.Helper()
	hash, err := password.New(1, time.Minute).Hash(w.ctx, pass)
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

// brought stores an account that a server of a dialect has known: with a password that is good
// there alone, and with names that are, if it is apart.
func (w *world) brought(name string, number int64, d auth.Dialect, pass, subject string, apart bool) auth.Account {
	w.t.Helper()
	return w.broughtAs("ada@example.com", name, number, d, pass, subject, apart)
}

func (w *world) broughtAs(email, name string, number int64, d auth.Dialect, pass, subject string, apart bool) auth.Account {
	w.t.Helper()
	id := uuid.Must(uuid.NewV7())
	rec := auth.AccountRecord{Version: 1, Account: auth.Account{
		ID: id, RealmID: w.realm.ID, Number: number, Kind: auth.KindPerson, Username: name, Email: email,
		Origin: auth.OriginImport, CreatedAt: w.clock(), UpdatedAt: w.clock(),
	}}
	if apart {
		rec.Apart = d
	}
	err := w.store.InTx(w.ctx, func(tx auth.Tx) error {
		if err := tx.InsertAccount(w.ctx, rec, []string{name, rec.Email}); err != nil {
			return err
		}
		if subject != "" {
			if err := tx.SetAlias(w.ctx, w.realm.ID, id, d, subject); err != nil {
				return err
			}
		}
		return tx.PutSource(w.ctx, w.realm.ID, id, auth.SourceHash{Source: d, Hash: hashOf(w.t, w, pass), CreatedAt: w.clock()})
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return rec.Account
}

// mounted is a mount of a dialect without a second step.
func (w *world) mounted(d auth.Dialect) *auth.Mount {
	m := *w.one
	m.Dialect, m.Issuer = d, "urn:"+string(d)
	return &m
}

// opens tells whether a name and a password open a session in a dialect, and whose.
func (w *world) opens(d auth.Dialect, name, pass string) (id uuid.UUID, subject string) {
	w.t.Helper()
	g, err := w.svc.SignIn(w.ctx, w.mounted(d), creds(name, pass), client)
	if auth.CodeOf(err) == auth.CodeBadCredentials {
		return uuid.Nil, ""
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return g.Account.ID, g.Subject
}

func (w *world) merge(keep, other auth.Account, prefer auth.Prefer) uuid.UUID {
	w.t.Helper()
	id, err := w.svc.Merge(w.ctx, w.realm.ID, keep.ID, other.ID, prefer, client)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

const (
	passOne = "the password of the first server"
	passTwo = "the password of the second server"
)

// A person with an account on each of two servers has one here after a merge: both passwords
// are good everywhere, the clients of both know it as before, and its sessions go on.
func TestMerge_Whole(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		w := newWorld(t, threeDialects)
		keep := w.brought("ada", 7, "one", passOne, "", false)
		other := w.brought("ada.l", 8, "two", passTwo, "old-8", true)
		for _, role := range []string{"admin", "reader"} {
			if err := w.svc.CreateRole(w.ctx, w.realm.ID, role, client); err != nil {
				t.Fatal(err)
			}
		}
		for id, role := range map[uuid.UUID]string{keep.ID: "reader", other.ID: "admin"} {
			if err := w.svc.AddRole(w.ctx, w.realm.ID, id, role, client); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct {
			d          auth.Dialect
			name, pass string
			want       uuid.UUID
		}{
			{"one", "ada", passOne, keep.ID}, {"one", "ada@example.com", passTwo, uuid.Nil}, {"two", "ada@example.com", passTwo, other.ID}, {"two", "ada.l", passTwo, other.ID},
			{"two", "ada@example.com", passOne, uuid.Nil}, {"three", "ada.l", passTwo, uuid.Nil}, {"three", "ada", passOne, uuid.Nil},
		} {
			if got, _ := w.opens(c.d, c.name, c.pass); got != c.want {
				t.Errorf("before, %s as %s: %s", c.d, c.name, got)
			}
		}
		g, err := w.svc.SignIn(w.ctx, w.mounted("two"), creds("ada.l", passTwo), client)
		if err != nil {
			t.Fatal(err)
		}
		id := w.merge(keep, other, auth.PreferNone)
		for _, c := range []struct {
			d             auth.Dialect
			name, subject string
		}{{"one", "ada", "7"}, {"one", "ada@example.com", "7"}, {"two", "ada@example.com", "old-8"}, {"two", "ada.l", "old-8"}, {"two", "ada", "old-8"}, {"three", "ada", keep.ID.String()}} {
			for _, pass := range []string{passOne, passTwo} {
				if got, subject := w.opens(c.d, c.name, pass); got != keep.ID || subject != c.subject {
					t.Errorf("after, %s as %s with %q: %s, %q", c.d, c.name, pass, got, subject)
				}
			}
		}
		rec, err := w.store.SessionByID(w.ctx, w.realm.ID, g.Session.ID)
		if err != nil || rec.AccountID != keep.ID || rec.Account.Subject != "old-8" || !slices.Equal(rec.Account.Roles, []string{"admin", "reader"}) || rec.Account.Apart != "" {
			t.Errorf("its session: %+v, %v", rec, err)
		}
		if _, err := w.store.AccountByID(w.ctx, w.realm.ID, other.ID, ""); !errors.Is(err, auth.ErrNotFound) {
			t.Errorf("the other account: %v", err)
		}
		events, err := w.svc.ListAudit(w.ctx, w.realm.ID, auth.AuditFilter{Kinds: []audit.Kind{audit.AccountsMerged}, Limit: 10})
		if err != nil || len(events) != 2 || events[0].Account != keep.ID || events[0].Detail != "by_operator with="+other.ID.String() || events[1].Account != other.ID {
			t.Errorf("the log: %+v, %v", events, err)
		}

		// Changing its names leaves those of the other one.
		display := "Ada"
		if _, err := w.svc.UpdateAccount(w.ctx, w.realm.ID, keep.ID, auth.AccountChange{DisplayName: &display}, client); err != nil {
			t.Fatal(err)
		}
		if got, _ := w.opens("two", "ada.l", passOne); got != keep.ID {
			t.Errorf("after a change of its names: %s", got)
		}
		if gone, err := w.store.NameGone(w.ctx, w.realm.ID, "ada.l", "one"); err != nil || gone {
			t.Errorf("its other name is gone: %v", err)
		}

		// And back: each has its own again.
		if err := w.svc.UndoMerge(w.ctx, w.realm.ID, id, client); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			d                   auth.Dialect
			name, pass, subject string
			want                uuid.UUID
		}{
			{"one", "ada", passOne, "7", keep.ID}, {"one", "ada", passTwo, "", uuid.Nil}, {"two", "ada.l", passTwo, "old-8", other.ID}, {"two", "ada@example.com", passTwo, "old-8", other.ID},
			{"two", "ada.l", passOne, "", uuid.Nil}, {"three", "ada", passOne, "", uuid.Nil}, {"two", "ada", passTwo, "", uuid.Nil},
		} {
			if got, subject := w.opens(c.d, c.name, c.pass); got != c.want || subject != c.subject {
				t.Errorf("undone, %s as %s: %s %q", c.d, c.name, got, subject)
			}
		}
		rec, err = w.store.SessionByID(w.ctx, w.realm.ID, g.Session.ID)
		if err != nil || rec.AccountID != other.ID || !rec.EndedAt.IsZero() || !slices.Equal(rec.Account.Roles, []string{"admin"}) || rec.Account.Apart != "two" || rec.Account.Number != 8 {
			t.Errorf("its session, undone: %+v, %v", rec, err)
		}
		back, err := w.store.AccountByID(w.ctx, w.realm.ID, keep.ID, "two")
		if err != nil || !slices.Equal(back.Roles, []string{"reader"}) || back.Subject != "" || len(back.Passwords) != 1 || back.Passwords[0].Joined {
			t.Errorf("the account that was kept: %+v, %v", back, err)
		}
		live, err := w.svc.ListSessions(w.ctx, w.realm.ID, keep.ID, uuid.Nil, 100)
		if err != nil || len(live) != 2 { // of before the merge, and of just now
			t.Errorf("%d sessions, %v", len(live), err)
		}
		if err := w.svc.UndoMerge(w.ctx, w.realm.ID, id, client); auth.CodeOf(err) != auth.CodeConflict {
			t.Errorf("undone twice: %v", err)
		}
	})
}

// A reset removes all passwords, and an undo gives none of them back.
func TestMerge_Reset(t *testing.T) {
	w := newWorld(t, threeDialects)
	keep, other := w.brought("ada", 7, "one", passOne, "", false), w.brought("ada.l", 8, "two", passTwo, "", true)
	id := w.merge(keep, other, auth.PreferNone)
	if err := w.svc.SetPassword(w.ctx, w.realm.ID, keep.ID, "a new one that nobody had", client); err != nil {
		t.Fatal(err)
	}
	for _, d := range []auth.Dialect{"one", "two", "three"} {
		for pass, want := range map[string]uuid.UUID{passOne: uuid.Nil, passTwo: uuid.Nil, "a new one that nobody had": keep.ID} {
			if got, _ := w.opens(d, "ada", pass); got != want {
				t.Errorf("%s with %q: %s", d, pass, got)
			}
		}
	}
	p, err := w.svc.PlanUndo(w.ctx, w.realm.ID, id)
	if err != nil || len(p.Conflicts) > 0 || !strings.Contains(strings.Join(p.Steps, "\n"), "it has no password: that of account") {
		t.Errorf("the plan: %+v, %v", p, err)
	}
	if err := w.svc.UndoMerge(w.ctx, w.realm.ID, id, client); err != nil {
		t.Fatal(err)
	}
	if got, _ := w.opens("two", "ada.l", passTwo); got != uuid.Nil {
		t.Error("an old password is good again")
	}
	if got, _ := w.opens("one", "ada", "a new one that nobody had"); got != keep.ID {
		t.Error("the new password is good no more")
	}
	// Nor is what was its own password given to the other one, if it is a new one by now.
	own := w.account("own")
	id = w.merge(keep, own, auth.PreferOther)
	if err := w.svc.SetPassword(w.ctx, w.realm.ID, keep.ID, "yet another new one", client); err != nil {
		t.Fatal(err)
	}
	if err := w.svc.UndoMerge(w.ctx, w.realm.ID, id, client); err != nil {
		t.Fatal(err)
	}
	for _, pass := range []string{goodPassword, "yet another new one"} {
		if got, _ := w.opens("one", "own", pass); got != uuid.Nil {
			t.Errorf("%q opens the other one", pass)
		}
	}
}

func TestMerge_Conflicts(t *testing.T) {
	w := newWorld(t, threeDialects)
	ada := w.brought("ada", 7, "one", passOne, "", false)
	twin := w.brought("ada.l", 8, "two", passTwo, "", true)
	own, disabled, again := w.account("own"), w.account("disabled"), w.account("again")
	service, _, err := w.svc.CreateAccount(w.ctx, w.realm.ID, auth.NewAccount{Username: "job", Kind: auth.KindService}, client)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.svc.SetDisabled(w.ctx, w.realm.ID, disabled.ID, true, client); err != nil {
		t.Fatal(err)
	}
	pending := w.broughtAs("pending@example.com", "pending", 9, "two", passTwo, "", true)
	if err := w.store.InTx(w.ctx, func(tx auth.Tx) error {
		return tx.PutSource(w.ctx, w.realm.ID, pending.ID, auth.SourceHash{Source: "two", CreatedAt: w.clock()})
	}); err != nil {
		t.Fatal(err)
	}
	both := w.account("both")
	for _, a := range []auth.Account{own, both} {
		w.enroll(a)
	}
	for i, c := range []struct {
		keep, other auth.Account
		prefer      auth.Prefer
		want        string
	}{
		{ada, service, "", "only people are merged"},
		{ada, disabled, "", "is disabled"},
		{again, both, "", "both have a password of its own"},
		{own, both, auth.PreferKeep, "both have a second factor"},
		{twin, ada, "", "the other way round"},
		{ada, pending, "", "still known to the legacy server of two alone"},
		{ada, auth.Account{ID: uuid.Must(uuid.NewV7())}, "", "not_found"},
		{ada, ada, "", "two names of one account"},
	} {
		_, err := w.svc.Merge(w.ctx, w.realm.ID, c.keep.ID, c.other.ID, c.prefer, client)
		if err == nil || !strings.Contains(err.Error(), c.want) && string(auth.CodeOf(err)) != c.want {
			t.Errorf("%d: %v", i, err)
		}
	}
	// Clients of a dialect that know both: one is lost, and somebody says which.
	for name, pass := range map[string]string{"ada": passOne, "again": goodPassword} {
		if _, err := w.svc.SignIn(w.ctx, w.one, creds(name, pass), client); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.svc.Merge(w.ctx, w.realm.ID, ada.ID, again.ID, "", client); err == nil || !strings.Contains(err.Error(), `clients of one know one as "7"`) {
		t.Errorf("two subjects: %v", err)
	}
	id := w.merge(ada, again, auth.PreferOther)
	if id, subject := w.opens("one", "again", passOne); id != ada.ID || subject != strconv.FormatInt(again.Number, 10) {
		t.Errorf("%s, %q", id, subject)
	}
	live, err := w.svc.ListSessions(w.ctx, w.realm.ID, ada.ID, uuid.Nil, 10)
	if err != nil || len(live) != 2 { // the one of again, and of just now: what was known by the other subject has ended
		t.Errorf("%d sessions, %v", len(live), err)
	}
	if err := w.svc.UndoMerge(w.ctx, w.realm.ID, id, client); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][2]string{"ada": {passOne, "7"}, "again": {goodPassword, strconv.FormatInt(again.Number, 10)}} {
		if _, subject := w.opens("one", name, want[0]); subject != want[1] {
			t.Errorf("undone, %s is %q", name, subject)
		}
	}
}

// Recovery codes belong to the factor: those that were made since a merge go back with it.
func TestMerge_NewCodesUndone(t *testing.T) {
	w := newWorld(t, threeDialects)
	ada, twin := w.brought("ada", 7, "one", passOne, "", false), w.brought("ada.l", 8, "two", passTwo, "", true)
	w.enroll(twin)
	id := w.merge(ada, twin, auth.PreferNone)
	codes, err := w.svc.NewRecoveryCodes(w.ctx, w.realm.ID, ada.ID, client)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.svc.UndoMerge(w.ctx, w.realm.ID, id, client); err != nil {
		t.Fatal(err)
	}
	if n, err := w.store.RecoveryCodes(w.ctx, ada.ID); err != nil || n != 0 {
		t.Errorf("%d codes of an account without a factor: %v", n, err)
	}
	p, err := w.svc.BeginSignIn(w.ctx, w.two, creds("ada.l", passTwo), client)
	if err != nil {
		t.Fatal(err)
	}
	if g, err := w.svc.CompleteSignIn(w.ctx, w.two, p.Ticket, auth.Secret(codes[0]), client); err != nil || g.Account.ID != twin.ID {
		t.Errorf("a code: %v", err)
	}
}

// Whoever was shut out after a merge is not let in by undoing it.
func TestMerge_UndoneStaysDisabled(t *testing.T) {
	w := newWorld(t, threeDialects)
	ada, twin := w.brought("ada", 7, "one", passOne, "", false), w.brought("ada.l", 8, "two", passTwo, "", true)
	id := w.merge(ada, twin, auth.PreferNone)
	if err := w.svc.SetDisabled(w.ctx, w.realm.ID, ada.ID, true, client); err != nil {
		t.Fatal(err)
	}
	if err := w.svc.UndoMerge(w.ctx, w.realm.ID, id, client); err != nil {
		t.Fatal(err)
	}
	_, err := w.svc.BeginSignIn(w.ctx, w.two, creds("ada.l", passTwo), client)
	w.wantCode(err, auth.CodeBadCredentials)
	if all := w.events(audit.AccountDisabled); len(all) != 2 || all[1].Account != twin.ID {
		t.Errorf("the log has %+v", all)
	}
}

// The second factor of one covers both: sessions without it end, and so do logins half done;
// an undo gives it back.
func TestMerge_SecondFactor(t *testing.T) {
	w := newWorld(t, threeDialects)
	ada, twin := w.brought("ada", 7, "one", passOne, "", false), w.brought("ada.l", 8, "two", passTwo, "", true)
	g, err := w.svc.SignIn(w.ctx, w.one, creds("ada", passOne), client)
	if err != nil {
		t.Fatal(err)
	}
	uri := w.enroll(twin)
	code := func() auth.Secret {
		w.advance(time.Minute)
		return w.code(uri)
	}
	codes, err := w.svc.NewRecoveryCodes(w.ctx, w.realm.ID, twin.ID, client)
	if err != nil {
		t.Fatal(err)
	}
	pending, err := w.svc.BeginSignIn(w.ctx, w.two, creds("ada.l", passTwo), client)
	if err != nil {
		t.Fatal(err)
	}
	without, err := w.svc.BeginSignIn(w.ctx, w.mounted("one"), creds("ada", passOne), client)
	if err != nil {
		t.Fatal(err)
	}
	id := w.merge(ada, twin, auth.PreferNone)
	if rec, err := w.store.SessionByID(w.ctx, w.realm.ID, g.Session.ID); err != nil || rec.EndedAt.IsZero() {
		t.Errorf("a session without the second factor: %+v, %v", rec, err)
	}
	if got, _ := w.opens("one", "ada", passOne); got != uuid.Nil {
		t.Error("one dialect is a way round the second factor")
	}
	for _, ticket := range []auth.Secret{pending.Ticket, without.Ticket} {
		_, err = w.svc.CompleteSignIn(w.ctx, w.mounted("one"), ticket, code(), client)
		w.wantCode(err, auth.CodeTokenInvalid)
	}
	complete := func(name, pass string, code auth.Secret) (*auth.Grant, error) {
		p, err := w.svc.BeginSignIn(w.ctx, w.two, creds(name, pass), client)
		if err != nil {
			t.Fatal(err)
		}
		return w.svc.CompleteSignIn(w.ctx, w.two, p.Ticket, code, client)
	}
	for _, c := range []auth.Secret{code(), auth.Secret(codes[0])} {
		if g, err := complete("ada", passOne, c); err != nil || g.Account.ID != ada.ID {
			t.Errorf("with its factor: %v", err)
		}
	}
	if err := w.svc.UndoMerge(w.ctx, w.realm.ID, id, client); err != nil {
		t.Fatal(err)
	}
	if g, err := complete("ada.l", passTwo, code()); err != nil || g.Account.ID != twin.ID {
		t.Errorf("its factor, undone: %v", err)
	}
	if _, err := complete("ada.l", passTwo, auth.Secret(codes[0])); auth.CodeOf(err) != auth.CodeFactorInvalid {
		t.Errorf("a recovery code that was used: %v", err)
	}
	if _, err := complete("ada.l", passTwo, auth.Secret(codes[1])); err != nil {
		t.Errorf("a recovery code: %v", err)
	}
	if got, _ := w.opens("one", "ada", passOne); got != ada.ID {
		t.Error("the account that was kept has a factor that is not its own")
	}
}

// TestMerge_FactorUndoneIsConfirmed: a second factor that an undo gives back is asked for, also
// where its last code was one of the step to come.
func TestMerge_FactorUndoneIsConfirmed(t *testing.T) {
	w := newWorld(t, threeDialects)
	ada, twin := w.brought("ada", 7, "one", passOne, "", false), w.brought("ada.l", 8, "two", passTwo, "", true)
	uri, err := w.svc.EnrollFactor(w.ctx, w.realm.ID, twin.ID, client)
	if err != nil {
		t.Fatal(err)
	}
	w.advance(totp.Period)
	code := w.code(uri)
	w.advance(-totp.Period)
	if err := w.svc.ConfirmFactor(w.ctx, w.realm.ID, twin.ID, code, client); err != nil {
		t.Fatal(err)
	}
	id := w.merge(ada, twin, auth.PreferNone)
	if err := w.svc.ResetFactor(w.ctx, w.realm.ID, ada.ID, client); err != nil {
		t.Fatal(err)
	}
	if err := w.svc.UndoMerge(w.ctx, w.realm.ID, id, client); err != nil {
		t.Fatal(err)
	}
	if got, _ := w.opens("two", "ada.l", passTwo); got != uuid.Nil {
		t.Error("the password alone is enough")
	}
	p, err := w.svc.BeginSignIn(w.ctx, w.two, creds("ada.l", passTwo), client)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.svc.CompleteSignIn(w.ctx, w.two, p.Ticket, code, client) // a second time
	w.wantCode(err, auth.CodeFactorInvalid)
}

// What is counted against one is counted against both, and no merge forgets it (I4).
func TestThreat16_MergeKeepsFailures(t *testing.T) {
	w := newWorld(t, threeDialects, withBudgets)
	ada, twin := w.brought("ada", 7, "one", passOne, "", false), w.brought("ada.l", 8, "two", passTwo, "", true)
	for range 3 {
		w.opens("one", "ada", "wrong")
		w.opens("two", "ada.l", "wrong")
	}
	failures := func(id uuid.UUID) (n int) {
		t.Helper()
		budgets, err := w.svc.BudgetOf(w.ctx, w.realm.ID, id)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range budgets {
			n += b.Failures
		}
		return n
	}
	id := w.merge(ada, twin, auth.PreferNone)
	if n := failures(ada.ID); n != 6 {
		t.Errorf("%d failures after the merge", n)
	}
	if err := w.svc.UndoMerge(w.ctx, w.realm.ID, id, client); err != nil {
		t.Fatal(err)
	}
	if a, b := failures(ada.ID), failures(twin.ID); a != 6 || b != 6 {
		t.Errorf("%d and %d failures after the undo", a, b)
	}
}

// Logins, resets and merges at once: each login is of one of the two accounts or refused, and
// what is left is whole.
func TestMerge_Race(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		w := newWorld(t, threeDialects)
		ada, twin := w.brought("ada", 7, "one", passOne, "", false), w.brought("ada.l", 8, "two", passTwo, "", true)
		comes := func(d auth.Dialect, name, pass string) { // again, if the account was changed three times meanwhile
			_, err := w.svc.SignIn(w.ctx, w.mounted(d), creds(name, pass), client)
			for auth.CodeOf(err) == auth.CodeUnavailable {
				_, err = w.svc.SignIn(w.ctx, w.mounted(d), creds(name, pass), client)
			}
			if err != nil && auth.CodeOf(err) != auth.CodeBadCredentials {
				w.t.Error(err)
			}
		}
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				for range 4 {
					comes("one", "ada", passOne)
					comes("two", "ada.l", passTwo)
				}
			})
		}
		all.Go(func() {
			for range 3 {
				id, err := w.svc.Merge(w.ctx, w.realm.ID, ada.ID, twin.ID, "", client)
				if err == nil {
					err = w.svc.UndoMerge(w.ctx, w.realm.ID, id, client)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
		all.Wait()
		var done sync.WaitGroup
		var merged error
		done.Go(func() { _, merged = w.svc.Merge(w.ctx, w.realm.ID, ada.ID, twin.ID, "", client) })
		done.Go(func() {
			if err := w.svc.SetPassword(w.ctx, w.realm.ID, twin.ID, "a new one that nobody had", client); err != nil && auth.CodeOf(err) != auth.CodeNotFound {
				t.Error(err)
			}
		})
		done.Wait()
		if merged != nil {
			t.Error(merged)
		}
		if got, _ := w.opens("two", "ada.l", passTwo); got == twin.ID {
			t.Error("an account that is no more")
		}
		if got, _ := w.opens("one", "ada", passOne); got != ada.ID {
			t.Errorf("the account that was kept: %s", got)
		}
		schemes, err := w.store.SchemeCounts(w.ctx, w.realm.ID)
		if err != nil {
			t.Fatal(err)
		}
		for scheme, n := range schemes {
			if n < 0 || n > 1 {
				t.Errorf("%s: %d", scheme, n)
			}
		}
	})
}

// TestMerge_Exported: of two accounts that are apart in different dialects, each name stays good
// where it was: in an export, and after a change of the name of the account that was kept.
func TestMerge_Exported(t *testing.T) {
	w := newWorld(t, threeDialects)
	keep := w.brought("ada", 7, "two", passOne, "", true)
	other := w.brought("ada.l", 8, "one", passTwo, "", true)
	w.merge(keep, other, auth.PreferNone)
	check := func(own string, besides ...auth.AccountName) {
		t.Helper()
		h := w.holdings()[0]
		if h.Username != own || h.Apart != "two" || !slices.Equal(h.Names, besides) {
			t.Errorf("got %s apart in %q, and %v", h.Username, h.Apart, h.Names)
		}
		if id, _ := w.opens("two", own, passOne); id != keep.ID {
			t.Errorf("%s opens %s", own, id)
		}
	}
	others := []auth.AccountName{{Dialect: "one", Key: "ada.l"}, {Dialect: "one", Key: "ada@example.com"}}
	check("ada", others...)
	countess := "countess"
	if _, err := w.svc.UpdateAccount(w.ctx, w.realm.ID, keep.ID, auth.AccountChange{Username: &countess}, client); err != nil {
		t.Fatal(err)
	}
	check("countess", others...)
	if id, _ := w.opens("one", "countess", passOne); id != uuid.Nil {
		t.Error("the new name is good in the other dialect")
	}
}

// TestMerge_UndoneKnown: an undo leaves the account that was kept what both had, and gives the
// other one its past passwords back, of which neither can choose one meanwhile.
func TestMerge_UndoneKnown(t *testing.T) {
	w := newWorld(t, threeDialects, withRules(password.Rules{Past: 3}))
	keep, other := w.brought("ada", 7, "one", passOne, "", false), w.brought("ada.l", 8, "two", passTwo, "", true)
	w.opens("one", "ada", passOne)
	w.opens("two", "ada.l", passTwo) // from the same source
	if err := w.set(other.ID, "a password since then"); err != nil {
		t.Fatal(err)
	}
	id := w.merge(keep, other, auth.PreferNone)
	past := func(of auth.Account, want int) {
		t.Helper()
		if hashes, err := w.store.PastPasswords(w.ctx, of.ID); err != nil || len(hashes) != want {
			t.Errorf("%s has %d past passwords, %v", of.Username, len(hashes), err)
		}
	}
	past(keep, 1)
	if err := w.svc.UndoMerge(w.ctx, w.realm.ID, id, client); err != nil {
		t.Fatal(err)
	}
	past(keep, 0)
	past(other, 1)
	for _, of := range []auth.Account{keep, other} {
		if b, err := w.store.Belongings(w.ctx, of.ID, w.clock()); err != nil || len(b.Sources) != 1 {
			t.Errorf("%s is known from %v, %v", of.Username, b.Sources, err)
		}
	}
}

// TestMerge_OfNamesakesApart: of two accounts that are apart in different dialects under one name, the
// one that is kept stays apart where it was, through merges and their undoing in turns.
func TestMerge_OfNamesakesApart(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		w := newWorld(t, threeDialects)
		base := w.brought("ada", 6, "three", "the password of the third server", "", false)
		keep, other := w.brought("ada", 7, "two", passOne, "", true), w.brought("ada", 8, "one", passTwo, "", true)
		apart := func(id uuid.UUID, want auth.Dialect) {
			t.Helper()
			if got := w.record(id, "one").Apart; got != want {
				t.Errorf("apart in %q, want %q", got, want)
			}
		}
		undo := func(id uuid.UUID) {
			t.Helper()
			if err := w.svc.UndoMerge(w.ctx, w.realm.ID, id, client); err != nil {
				t.Fatal(err)
			}
		}
		undo(w.merge(keep, other, auth.PreferNone))
		apart(keep.ID, "two")
		apart(other.ID, "one")
		inner := w.merge(keep, other, auth.PreferNone)
		apart(keep.ID, "two")
		outer := w.merge(base, keep, auth.PreferNone)
		apart(base.ID, "")
		undo(outer)
		apart(keep.ID, "two")
		undo(inner)
		apart(keep.ID, "two")
		apart(other.ID, "one")
		for d, c := range map[auth.Dialect]struct {
			pass string
			want uuid.UUID
		}{"one": {passTwo, other.ID}, "two": {passOne, keep.ID}, "three": {"the password of the third server", base.ID}} {
			if id, _ := w.opens(d, "ada", c.pass); id != c.want {
				t.Errorf("in %s: %s, want %s", d, id, c.want)
			}
		}
	})
}

// TestMerge_ResetOfNested: a new password outlives the undoing of a merge into an account that has merged
// others before: it may have been theirs that got known.
func TestMerge_ResetOfNested(t *testing.T) {
	w := newWorld(t, threeDialects)
	const first, second = "the first password of all", "the second password of all"
	last := w.createWith("carol", "the third password of all")
	ada, bob := w.createWith("ada", first), w.createWith("bob", second)
	inner := w.merge(ada, bob, auth.PreferKeep)
	outer := w.merge(last, ada, auth.PreferKeep)
	if err := w.svc.SetPassword(w.ctx, w.realm.ID, last.ID, "a new one that nobody had", client); err != nil {
		t.Fatal(err)
	}
	for _, id := range []uuid.UUID{outer, inner} {
		if err := w.svc.UndoMerge(w.ctx, w.realm.ID, id, client); err != nil {
			t.Fatal(err)
		}
	}
	for name, pass := range map[string]string{"ada": first, "bob": second} {
		if got, _ := w.opens("one", name, pass); got != uuid.Nil {
			t.Errorf("the old password of %s is good again", name)
		}
	}
}

// TestMerge_FactorElsewhere: a plan says that a second factor that a legacy server asks for is one for all
// passwords, of which that server knows none but its own.
func TestMerge_FactorElsewhere(t *testing.T) {
	w := newWorld(t, threeDialects)
	keep, other := w.brought("ada", 7, "one", passOne, "", false), w.brought("ada.l", 8, "two", passTwo, "", true)
	w.tx(func(tx auth.Tx) error { return tx.SetElsewhere(w.ctx, w.realm.ID, other.ID, "two", false, w.clock()) })
	p, err := w.svc.PlanMerge(w.ctx, w.realm.ID, keep.ID, other.ID, auth.PreferNone)
	if err != nil || !strings.Contains(strings.Join(p.Steps, "\n"), "the legacy server of two asks for its second factor: in other dialects no password gets it in") {
		t.Fatalf("%+v, %v", p, err)
	}
	w.merge(keep, other, auth.PreferNone)
	if id, _ := w.opens("one", "ada", passOne); id != uuid.Nil {
		t.Error("signed in without the second factor")
	}
}

// What is to be done to an account that was merged meanwhile is not said to be done: its person has another one.
func TestMerge_NoMore(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		w := newWorld(t, threeDialects)
		keep := w.brought("ada", 7, "one", passOne, "", false)
		other := w.brought("ada.l", 8, "two", passTwo, "old-8", true)
		if err := w.svc.CreateRole(w.ctx, w.realm.ID, "admin", client); err != nil {
			t.Fatal(err)
		}
		if err := w.svc.AddRole(w.ctx, w.realm.ID, other.ID, "admin", client); err != nil {
			t.Fatal(err)
		}
		w.merge(keep, other, auth.PreferNone)
		w.wantCode(w.svc.SetDisabled(w.ctx, w.realm.ID, other.ID, true, client), auth.CodeNotFound)
		w.wantCode(w.svc.SetDisabled(w.ctx, w.realm.ID, other.ID, false, client), auth.CodeNotFound)
		w.wantCode(w.svc.RemoveRole(w.ctx, w.realm.ID, other.ID, "admin", client), auth.CodeNotFound)
	})
}
