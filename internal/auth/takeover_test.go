package auth_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

// elder is a server that is taken over from: another Ostiary, which says of an account no
// more than its dialect has words for.
type elder struct {
	old   *world
	mount *auth.Mount

	mu     sync.Mutex
	asked  []string               // the names
	codes  int                    // that were tried
	away   bool                   // it can't be asked
	change func(n *auth.Newcomer) // what it lies
	floor  time.Duration
	before func() // each question
}

func (e *elder) note(name string) (away bool) {
	if e.before != nil {
		e.before()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = append(e.asked, name)
	return e.away
}

func (e *elder) questions() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.asked)
}

func (e *elder) SignIn(ctx context.Context, c auth.Credentials, cl auth.Client) (*auth.Newcomer, error) {
	if e.note(c.Name) {
		return nil, auth.Because(auth.CodeUnavailable, "the legacy server is down")
	}
	n := &auth.Newcomer{}
	if e.mount == e.old.two { // no word for names
		p, err := e.old.svc.BeginSignIn(ctx, e.mount, c, cl)
		if err != nil {
			return nil, err
		}
		n.Factor, n.Ticket = p.Factor != auth.FactorNone, p.Ticket
	} else {
		g, err := e.old.svc.SignIn(ctx, e.mount, c, cl)
		if err != nil {
			return nil, err
		}
		n.Username, n.Email, n.DisplayName, n.Org, n.Subject = g.Account.Username, g.Account.Email, g.Account.DisplayName, g.Account.Org, g.Subject
	}
	if e.change != nil {
		e.change(n)
	}
	return n, nil
}

func (e *elder) Complete(ctx context.Context, ticket, code auth.Secret, cl auth.Client) ([]auth.ForeignToken, error) {
	e.mu.Lock()
	e.codes++
	away := e.away
	e.mu.Unlock()
	if away {
		return nil, auth.Because(auth.CodeUnavailable, "the legacy server is down")
	}
	g, err := e.old.svc.CompleteSignIn(ctx, e.mount, ticket, code, cl)
	if err != nil {
		return nil, err
	}
	return []auth.ForeignToken{{Kind: auth.ForeignBearer, Text: g.Bearer}}, nil
}

func (e *elder) Floor() time.Duration { return e.floor }

// takenOver are a world and the one that it takes over from, with the Elders of its mounts.
func takenOver(t *testing.T, make worldMaker, options ...func(*auth.Options)) (w *world, one, two *elder) {
	t.Helper()
	old := newWorld(t)
	w = make(t, options...)
	one, two = &elder{old: old, mount: old.one}, &elder{old: old, mount: old.two}
	w.one.Elder, w.two.Elder = one, two
	return w, one, two
}

// bare is a world's account without a password of its own.
func (w *world) bare(name string) auth.Account {
	w.t.Helper()
	a, _, err := w.svc.CreateAccount(w.ctx, w.realm.ID, auth.NewAccount{Username: name, Email: name + "@example.com", NoPassword: true}, client)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) tx(fn func(tx auth.Tx) error) {
	w.t.Helper()
	if err := w.store.InTx(w.ctx, fn); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) record(id uuid.UUID, d auth.Dialect) auth.AccountRecord {
	w.t.Helper()
	rec, err := w.store.AccountByID(w.ctx, w.realm.ID, id, d)
	if err != nil {
		w.t.Fatal(err)
	}
	return rec
}

// put gives an account a password of a source, as an import does.
func (w *world) put(a auth.Account, p auth.SourceHash) {
	w.t.Helper()
	if p.CreatedAt.IsZero() {
		p.CreatedAt = w.clock()
	}
	w.tx(func(tx auth.Tx) error { return tx.PutSource(w.ctx, w.realm.ID, a.ID, p) })
}

func TestTakeover_Adopts(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		w, one, _ := takenOver(t, newWorld)
		w.account("here")
		theirs := one.old.account("Steve")
		alias := func(a auth.Account, subject string) {
			t.Helper()
			if err := one.old.svc.SetAlias(w.ctx, one.old.realm.ID, a.ID, "one", subject, client); err != nil {
				t.Fatal(err)
			}
		}
		alias(theirs, "old id 7")
		g, err := w.svc.SignIn(w.ctx, w.one, creds("steve@EXAMPLE.com", goodPassword), client)
		if err != nil {
			t.Fatal(err)
		}
		a := g.Account
		if g.Subject != "old id 7" || a.ID == theirs.ID || a.Username != "Steve" || a.Email != "Steve@example.com" || a.EmailVerified || a.Origin != "takeover" {
			t.Fatalf("got %+v", g)
		}
		rec := w.record(a.ID, "one")
		if len(rec.Passwords) != 1 || rec.Passwords[0].Source != "one" || !strings.HasPrefix(rec.Passwords[0].Hash, "$argon2id$") ||
			!rec.Passwords[0].ProvenAt.Equal(w.clock()) || rec.PasswordHash != "" || rec.Subject != "old id 7" {
			t.Fatalf("got %+v", rec)
		}
		again, err := w.svc.SignIn(w.ctx, w.one, creds("STEVE", goodPassword), client)
		if err != nil || again.Account.ID != a.ID || one.questions() != 1 {
			t.Fatalf("the second login: %v, after %d questions", err, one.questions())
		}
		// Of a subject that is a number, the account has the number too.
		fifth := one.old.account("fifth")
		alias(fifth, "4711")
		if g, err = w.svc.SignIn(w.ctx, w.one, creds("fifth", goodPassword), client); err != nil || g.Account.Number != 4711 || g.Subject != "4711" || w.record(g.Account.ID, "one").Subject != "4711" {
			t.Fatalf("got %+v, %v", g, err)
		}
		if got := w.details(audit.AccountAdopted); len(got) != 2 {
			t.Errorf("the log has %q", got)
		}
	})
}

// Its password is good in the dialect of its source, and the other one's server is not asked
// about an account that is here.
func TestTakeover_GoodInItsDialect(t *testing.T) {
	w, one, two := takenOver(t, newWorld)
	one.old.account("ada")
	w.signIn("ada")
	_, err := w.svc.BeginSignIn(w.ctx, w.two, creds("ada", goodPassword), client)
	w.wantCode(err, auth.CodeBadCredentials)
	if two.questions() != 0 {
		t.Errorf("the other server was asked for %q", two.asked)
	}
	if got := w.details(audit.SignInFailed); !slices.Equal(got, []string{"no_password"}) {
		t.Errorf("the log has %q", got)
	}
}

func TestTakeover_Pending(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		w, one, _ := takenOver(t, newWorld)
		theirs := one.old.account("ada")
		if err := one.old.svc.SetAlias(w.ctx, one.old.realm.ID, theirs.ID, "one", "7", client); err != nil {
			t.Fatal(err)
		}
		a := w.bare("ada")
		w.put(a, auth.SourceHash{Source: "one"})
		_, err := w.svc.SignIn(w.ctx, w.one, creds("ada", "wrong"), client)
		w.wantCode(err, auth.CodeBadCredentials)
		g := w.signIn("ada")
		if g.Account.ID != a.ID || g.Subject != "7" {
			t.Fatalf("got %+v", g)
		}
		rec := w.record(a.ID, "one")
		if rec.Passwords[0].Hash == "" || rec.Passwords[0].ProvenAt.IsZero() || rec.Version != 1 {
			t.Fatalf("got %+v", rec)
		}
		w.signIn("ada")
		_, err = w.svc.SignIn(w.ctx, w.one, creds("ada", "wrong"), client)
		w.wantCode(err, auth.CodeBadCredentials)
		if one.questions() != 2 {
			t.Errorf("%d questions, also after the password was known here", one.questions())
		}
		if got := w.details(audit.PasswordLearned); !slices.Equal(got, []string{"pending"}) {
			t.Errorf("the log has %q", got)
		}
		if got := w.details(audit.SignInFailed); !slices.Equal(got, []string{"legacy_refused", "wrong_password"}) {
			t.Errorf("the log has %q", got)
		}
	})
}

// Without a server to ask, a pending password is none.
func TestTakeover_PendingWithoutElder(t *testing.T) {
	w := newWorld(t)
	w.put(w.account("ada"), auth.SourceHash{Source: "one"})
	_, err := w.svc.SignIn(w.ctx, w.one, creds("ada", goodPassword), client)
	w.wantCode(err, auth.CodeBadCredentials)
	if got := w.details(audit.SignInFailed); !slices.Equal(got, []string{"password_pending"}) {
		t.Errorf("the log has %q", got)
	}
	w.ticket("ada") // the account's own is good in the other dialect
}

// The legacy server is asked about nobody that is, or was, here.
func TestTakeover_NotAsked(t *testing.T) {
	w, one, _ := takenOver(t, newWorld)
	for _, name := range []string{"known", "bare", "disabled", "deleted", "renamed", "svc"} {
		one.old.account(name)
	}
	w.bare("bare")
	if _, _, err := w.svc.CreateAccount(w.ctx, w.realm.ID, auth.NewAccount{Username: "known", Password: "another good password"}, client); err != nil {
		t.Fatal(err)
	}
	disabled, deleted, renamed := w.bare("disabled"), w.bare("deleted"), w.bare("renamed")
	w.put(disabled, auth.SourceHash{Source: "one"})
	name, email := "anew", "anew@example.com"
	_, secret, err := w.svc.CreateAccount(w.ctx, w.realm.ID, auth.NewAccount{Username: "svc", Kind: auth.KindService}, client)
	for _, err := range []error{
		err,
		w.svc.SetDisabled(w.ctx, w.realm.ID, disabled.ID, true, client),
		w.svc.DeleteAccount(w.ctx, w.realm.ID, deleted.ID, client),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.svc.UpdateAccount(w.ctx, w.realm.ID, renamed.ID, auth.AccountChange{Username: &name, Email: &email}, client); err != nil {
		t.Fatal(err)
	}
	for _, c := range []auth.Credentials{
		creds("known", goodPassword), creds("bare", goodPassword), creds("disabled", goodPassword), creds("deleted", goodPassword),
		creds("DELETED@example.com", goodPassword), creds("renamed", goodPassword), creds("svc", goodPassword),
		creds("nobody", ""), creds(disabled.ID.String(), goodPassword), creds("no name\x00", goodPassword),
		creds("nobody", string(secret)), creds("nobody", strings.Repeat("x", 5000)),
	} {
		_, err := w.svc.SignIn(w.ctx, w.one, c, client)
		if auth.CodeOf(err) != auth.CodeBadCredentials || one.questions() > 0 {
			t.Errorf("%s: %v, after %d questions", c.Name, err, one.questions())
		}
	}
	// Whoever was deleted there by a name can't come back by another one of the same account.
	one.change = func(n *auth.Newcomer) { n.Username = "free" }
	_, err = w.svc.SignIn(w.ctx, w.one, creds("free", goodPassword), client)
	w.wantCode(err, auth.CodeBadCredentials)
	one.old.account("free")
	one.change = func(n *auth.Newcomer) { n.Email = "deleted@example.com" }
	_, err = w.svc.SignIn(w.ctx, w.one, creds("free", goodPassword), client)
	w.wantCode(err, auth.CodeBadCredentials)
	if got := w.details(audit.AdoptionRefused); !slices.Equal(got, []string{"name_gone"}) {
		t.Errorf("the log has %q", got)
	}
}

// What a legacy server says is refused if it is not about who was asked for, or takes what is
// somebody's here: with the answer of a wrong password, charged, and with its reason in the log.
func TestTakeover_RefusedAnswers(t *testing.T) {
	w, one, _ := takenOver(t, newWorld, withBudgets)
	one.old.account("ada")
	here := w.account("here")
	if err := w.svc.SetAlias(w.ctx, w.realm.ID, here.ID, "one", "taken", client); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		why    string
		change func(n *auth.Newcomer)
	}{
		{"other_name", func(n *auth.Newcomer) { n.Username, n.Email = "eve", "eve@example.com" }},
		{"other_name", func(n *auth.Newcomer) { n.Username, n.Email = "", "eve@example.com" }},
		{"username_in_use", func(n *auth.Newcomer) { n.Username = "HERE" }},
		{"email_in_use", func(n *auth.Newcomer) { n.Email = "here@example.com" }},
		{"subject_in_use", func(n *auth.Newcomer) { n.Subject = "taken" }},
		{"subject_in_use", func(n *auth.Newcomer) { n.Subject = "1" }}, // the number of here
		{"subject_in_use", func(n *auth.Newcomer) { n.Subject = "x\x00y" }},
		{"unusable_name", func(n *auth.Newcomer) { n.Username = "a:da" }},
		{"unusable_name", func(n *auth.Newcomer) { n.Username = "ada@elsewhere.example" }},
	}
	var want []string
	for i, c := range cases {
		one.change = c.change
		name := "ada"
		if c.why == "username_in_use" || c.why == "unusable_name" {
			name = "ada@example.com"
		}
		from := client
		from.Address = from.Address.Next()
		for range i {
			from.Address = from.Address.Next()
		}
		_, err := w.svc.SignIn(w.ctx, w.one, creds(name, goodPassword), from)
		if auth.CodeOf(err) != auth.CodeBadCredentials {
			t.Fatalf("%s: %v", c.why, err)
		}
		want = append(want, c.why)
		budgets := 0
		if err := w.svc.EachBudget(w.ctx, w.realm.ID, func(b auth.Budget) error { budgets += b.Failures; return nil }); err != nil || budgets == 0 {
			t.Errorf("%s: nothing was charged: %v", c.why, err)
		}
		w.advance(time.Hour)
	}
	if got := w.details(audit.AdoptionRefused); !slices.Equal(got, want) {
		t.Errorf("the log has\n%q, want\n%q", got, want)
	}
	if n := one.questions(); n != len(cases) {
		t.Errorf("%d questions for %d logins", n, len(cases))
	}
	if _, err := w.svc.FindAccount(w.ctx, w.realm.ID, "ada"); auth.CodeOf(err) != auth.CodeNotFound {
		t.Errorf("the account: %v", err)
	}
	// A pending account is no other's, either.
	a := w.bare("ada")
	w.put(a, auth.SourceHash{Source: "one"})
	if err := w.svc.SetAlias(w.ctx, w.realm.ID, a.ID, "one", "7", client); err != nil {
		t.Fatal(err)
	}
	for why, change := range map[string]func(n *auth.Newcomer){
		"other_name":    func(n *auth.Newcomer) { n.Username, n.Email = "eve", "" },
		"other_subject": func(n *auth.Newcomer) { n.Subject = "8" },
	} {
		one.change = change
		_, err := w.svc.SignIn(w.ctx, w.one, creds("ada", goodPassword), client)
		w.wantCode(err, auth.CodeBadCredentials)
		if got := w.details(audit.AdoptionRefused); got[len(got)-1] != why || w.record(a.ID, "one").Passwords[0].Hash != "" {
			t.Errorf("%s: the log has %q", why, got)
		}
		w.advance(time.Hour)
	}
}

// A server that says nothing of names has let in whom it was asked for.
func TestTakeover_NamelessAnswer(t *testing.T) {
	w, one, _ := takenOver(t, newWorld)
	one.old.account("ada")
	one.change = func(n *auth.Newcomer) {
		*n = auth.Newcomer{Subject: "77", DisplayName: "bad\x00", Org: strings.Repeat("x", 300)}
	}
	g, err := w.svc.SignIn(w.ctx, w.one, creds("ada@example.com", goodPassword), client)
	if err != nil || g.Account.Email != "ada@example.com" || g.Account.Username != "" || g.Account.Number != 77 || g.Account.DisplayName != "" || g.Account.Org != "" {
		t.Fatalf("got %+v, %v", g, err)
	}
	one.old.account("bob")
	one.change = func(n *auth.Newcomer) { *n = auth.Newcomer{} }
	if g, err = w.svc.SignIn(w.ctx, w.one, creds("Bob", goodPassword), client); err != nil || g.Account.Username != "Bob" || g.Account.Email != "" {
		t.Fatalf("got %+v, %v", g, err)
	}
}

// A server that is away is nobody's wrong guess.
func TestTakeover_Away(t *testing.T) {
	w, one, _ := takenOver(t, newWorld, withBudgets)
	one.old.account("ada")
	one.away = true
	for range 20 {
		_, err := w.svc.SignIn(w.ctx, w.one, creds("ada", "a guess"), client)
		w.wantCode(err, auth.CodeUnavailable)
		if e := auth.AsError(err); e.RetryAfter <= 0 {
			t.Fatalf("no time to come back: %+v", e)
		}
	}
	one.away = false
	w.signIn("ada")
	if n := len(w.details(audit.SignInFailed)); n != 0 {
		t.Errorf("%d failures in the log", n)
	}
}

// Several first logins at once end well: one makes the account, or fills its password, and
// the others sign in.
func TestTakeover_AtOnce(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		w, one, _ := takenOver(t, newWorld)
		w.put(w.bare("bob"), auth.SourceHash{Source: "one"})
		one.old.account("bob")
		one.old.account("ada")
		for _, name := range []string{"ada", "bob"} {
			var arrived sync.WaitGroup // the first questions are asked at once
			arrived.Add(3)
			var mu sync.Mutex
			asked := 0
			one.before = func() {
				mu.Lock()
				asked++
				first := asked <= 3
				mu.Unlock()
				if first {
					arrived.Done()
					arrived.Wait()
				}
			}
			if n := parallel(3, func() error {
				_, err := w.svc.SignIn(w.ctx, w.one, creds(name, goodPassword), client)
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				return err
			}); n != 3 {
				t.Errorf("%s: %d of 3 got in", name, n)
			}
		}
		list, err := w.svc.ListAccounts(w.ctx, w.realm.ID, uuid.Nil, 10)
		if err != nil || len(list) != 2 {
			t.Errorf("%d accounts, %v", len(list), err)
		}
		if n := len(w.details(audit.SignInFailed)) + len(w.details(audit.AdoptionRefused)); n != 0 {
			t.Errorf("%d failures in the log", n)
		}
		if adopted, learned := len(w.details(audit.AccountAdopted)), len(w.details(audit.PasswordLearned)); adopted != 1 || learned != 1 {
			t.Errorf("%d accounts were taken over, and %d passwords", adopted, learned)
		}
	})
}

// Where a server is taken over whose accounts go by numbers, nobody else gets one of these.
func TestTakeover_Numbers(t *testing.T) {
	w, one, two := takenOver(t, newWorld)
	two.old.account("bob")
	w.mustPassport(w.ticket("bob"), "")
	bob, err := w.svc.FindAccount(w.ctx, w.realm.ID, "bob")
	if err != nil || bob.Number <= 1_000_000_000 || bob.Number > 1<<31-1 {
		t.Fatalf("got %+v, %v", bob, err)
	}
	one.change = func(n *auth.Newcomer) { n.Subject = "1" }
	one.old.account("ada")
	if g := w.signIn("ada"); g.Account.Number != 1 || g.Subject != "1" {
		t.Errorf("got %+v", g)
	}
	w.one.Elder = nil
	two.old.account("cleo")
	w.mustPassport(w.ticket("cleo"), "")
	if cleo, err := w.svc.FindAccount(w.ctx, w.realm.ID, "cleo"); err != nil || cleo.Number != bob.Number+1 {
		t.Errorf("got %+v, %v", cleo, err)
	}
}

// A crowd of them ends well, too, within the budgets of names that nobody has: those that wait
// for one that was overtaken are not sent away.
func TestTakeover_CrowdAtOnce(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		w, one, two := takenOver(t, newWorld, withBudgets)
		one.old.account("ada")
		two.old = one.old
		two.old.account("bob")
		logins := map[string]func(name string) error{
			"ada": func(name string) error {
				_, err := w.svc.SignIn(w.ctx, w.one, creds(name, goodPassword), client)
				return err
			},
			"bob": func(name string) error {
				_, err := w.svc.BeginSignIn(w.ctx, w.two, creds(name, goodPassword), client)
				return err
			},
		}
		for name, login := range logins {
			var arrived sync.WaitGroup // the first questions are asked at once
			arrived.Add(3)
			var mu sync.Mutex
			asked := 0
			one.before = func() {
				mu.Lock()
				asked++
				first := asked <= 3
				mu.Unlock()
				if first {
					arrived.Done()
					arrived.Wait()
				}
			}
			two.before = one.before
			if n := parallel(12, func() error {
				err := login(name)
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				return err
			}); n != 12 {
				t.Errorf("%s: %d of 12 got in", name, n)
			}
		}
		list, err := w.svc.ListAccounts(w.ctx, w.realm.ID, uuid.Nil, 10)
		if err != nil || len(list) != 2 {
			t.Errorf("%d accounts, %v", len(list), err)
		}
	})
}
