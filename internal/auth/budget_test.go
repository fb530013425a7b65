package auth_test

import (
	"context"
	"database/sql"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/password"
	"github.com/ostiary/ostiary/internal/throttle"
)

// at is a client at an address.
func at(address string) auth.Client {
	return auth.Client{Address: netip.MustParseAddr(address), RequestID: "r"}
}

func (w *world) guess(name string, cl auth.Client) error {
	_, err := w.svc.SignIn(w.ctx, w.one, creds(name, "a wrong password"), cl)
	return err
}

func (w *world) details(kind audit.Kind) (all []string) {
	for _, e := range w.events(kind) {
		all = append(all, e.Detail)
	}
	return all
}

// with changes the default budgets.
func with(change func(b *auth.Budgets)) func(*auth.Options) {
	return func(o *auth.Options) {
		b := auth.DefaultBudgets()
		change(&b)
		o.Budgets = &b
	}
}

// A clock that jumps neither lets anybody guess without end, nor makes anybody wait for longer than
// the longest wait; what it forgets of the counters is what time it shows.
func TestThreat67_ClockJumpsAndBudgets(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		w := newWorld(t, with(func(b *auth.Budgets) { b.Account.First, b.Account.Wall = time.Minute, 20 }))
		a := w.account("steve")
		failures := func() int {
			t.Helper()
			list, err := w.svc.BudgetOf(w.ctx, w.realm.ID, a.ID)
			if err != nil || len(list) != 1 {
				t.Fatalf("%v, %v", list, err)
			}
			return list[0].Failures
		}
		retry := func() time.Duration {
			t.Helper()
			err := w.guess("steve", client)
			w.wantCode(err, auth.CodeThrottled)
			return auth.AsError(err).RetryAfter
		}
		for range 5 {
			w.wantCode(w.guess("steve", client), auth.CodeBadCredentials)
		}
		if got := retry(); got != time.Minute {
			t.Errorf("the wait is %v", got)
		}
		w.advance(-time.Hour)
		if got := retry(); got != time.Minute || failures() != 5 {
			t.Errorf("set back: %v, %d failures", got, failures())
		}
		w.advance(45 * time.Second)
		if got := retry(); got != 15*time.Second {
			t.Errorf("set back, and 45 s later: %v", got)
		}
		w.advance(15 * time.Second)
		w.wantCode(w.guess("steve", client), auth.CodeBadCredentials)
		if got := retry(); got != 2*time.Minute || failures() != 6 {
			t.Errorf("the next wait: %v, %d failures", got, failures())
		}
		w.advance(time.Hour) // forward: one failure is an hour old
		if got := failures(); got != 5 {
			t.Errorf("set forward: %d failures", got)
		}
		w.wantCode(w.guess("steve", client), auth.CodeBadCredentials)
		w.advance(-time.Hour) // and right again
		if got := retry(); got != 2*time.Minute || failures() != 6 {
			t.Errorf("set forward and back: %v, %d failures", got, failures())
		}
		for !walled(w, a.ID) {
			w.advance(15 * time.Minute)
			w.wantCode(w.guess("steve", client), auth.CodeBadCredentials)
		}
		for _, jump := range []time.Duration{time.Hour, -time.Hour, -time.Hour, time.Hour, 1000 * time.Hour} {
			w.advance(jump)
			if got := retry(); got != 15*time.Minute || !walled(w, a.ID) {
				t.Errorf("at the wall, %v on: %v", jump, got)
			}
		}
	})
}

func walled(w *world, id uuid.UUID) bool {
	w.t.Helper()
	list, err := w.svc.BudgetOf(w.ctx, w.realm.ID, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return slices.ContainsFunc(list, func(b auth.Budget) bool { return b.Walled })
}

// The window of a source that is full ends when it would have, though the clock is set back.
func TestThreat67_ClockSetBackAndSources(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		w := newWorld(t, with(func(b *auth.Budgets) { b.Source.Free = 2 }))
		for _, name := range []string{"a", "b"} {
			w.wantCode(w.guess(name, client), auth.CodeBadCredentials)
			w.advance(time.Minute)
		}
		w.advance(-time.Hour)
		err := w.guess("c", client)
		w.wantCode(err, auth.CodeThrottled)
		if got := auth.AsError(err).RetryAfter; got != 9*time.Minute {
			t.Errorf("the wait is %v", got)
		}
		w.advance(9 * time.Minute)
		w.wantCode(w.guess("c", client), auth.CodeBadCredentials)
	})
}

// The log has one entry when a budget begins to make guesses wait and one at its wall,
// with the account, if it is one's, and the source.
func TestBudget_Events(t *testing.T) {
	w := newWorld(t, with(func(b *auth.Budgets) {
		b.Account.Free, b.Account.Wall, b.Known.Free, b.Known.Wall, b.Source.Free = 2, 4, 1, 2, 9
	}))
	a := w.account("steve")
	try := func(name string, cl auth.Client, times int) {
		for range times {
			for range 3 { // those that are refused leave no trace
				_ = w.guess(name, cl)
			}
			w.advance(30 * time.Second)
		}
	}
	stranger := at("198.51.100.7")
	try("steve", stranger, 3)
	try("nobody", at("2001:db8::1"), 1)
	w.signInFrom("steve", at("192.0.2.1"), auth.CodeThrottled)
	if err := w.svc.Unlock(w.ctx, w.realm.ID, a.ID, auth.Client{Actor: "test"}); err != nil {
		t.Fatal(err)
	}
	w.signInFrom("steve", at("192.0.2.1"), "")
	try("steve", at("192.0.2.1"), 2)
	try("bob", stranger, 1)
	try("eve", stranger, 1)
	try("joe", stranger, 1)
	want := []string{
		"account: 2 wrong guesses, the next not before 2026-03-01T12:00:01Z",
		"account: 4 wrong guesses, only known sources pass until it is unlocked",
		"a name that no account has: 2 wrong guesses, the next not before 2026-03-01T12:01:31Z",
		"known 192.0.2.1: 1 wrong guess, the next not before 2026-03-01T12:02:01Z",
		"known 192.0.2.1: 2 wrong guesses, no more until the account is unlocked",
		"a name that no account has: 2 wrong guesses, the next not before 2026-03-01T12:03:01Z",
		"a name that no account has: 2 wrong guesses, the next not before 2026-03-01T12:03:31Z",
		"source 198.51.100.7: 9 wrong guesses, the next not before 2026-03-01T12:10:00Z",
	}
	if got := w.details(audit.BudgetSpent); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for i, e := range w.events(audit.BudgetSpent) {
		if (e.Account == a.ID) != slices.Contains([]int{0, 1, 3, 4}, i) || e.Address == "" || e.Dialect != "one" || e.RequestID != "r" {
			t.Errorf("%d: %+v", i, e)
		}
	}
}

func (w *world) signInFrom(name string, cl auth.Client, want auth.Code) {
	w.t.Helper()
	_, err := w.svc.SignIn(w.ctx, w.one, creds(name, goodPassword), cl)
	w.wantCode(err, want)
}

// The list has what counts, and clearing a source takes its own guesses alone.
func TestBudget_ListAndClear(t *testing.T) {
	w := newWorld(t, with(func(b *auth.Budgets) { b.Source.Free = 3 }))
	a := w.account("steve")
	list := func() (all []string) {
		t.Helper()
		err := w.svc.EachBudget(w.ctx, w.realm.ID, func(b auth.Budget) error {
			whose := map[uuid.UUID]string{a.ID: "steve", uuid.Nil: "-"}[b.Account]
			all = append(all, strings.Join([]string{string(b.Kind), whose, b.Source, strings.Repeat("x", b.Failures)}, " "))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(all)
		return all
	}
	w.wantCode(w.guess("steve", at("2001:db8::1")), auth.CodeBadCredentials)
	w.wantCode(w.guess("nobody", at("2001:db8::2")), auth.CodeBadCredentials)
	w.wantCode(w.guess("steve", at("2001:db8::3")), auth.CodeBadCredentials)
	w.wantCode(w.guess("steve", at("2001:db8::4")), auth.CodeThrottled)
	if got, want := list(), []string{"account -  x", "account steve  xx", "source - 2001:db8::/64 xxx"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	operator := auth.Client{Actor: "cli: test"}
	if err := w.svc.ClearSource(w.ctx, w.realm.ID, netip.MustParseAddr("2001:db8::9"), operator); err != nil {
		t.Fatal(err)
	}
	w.wantCode(w.svc.ClearSource(w.ctx, w.realm.ID, netip.MustParseAddr("2001:db8::9"), operator), auth.CodeNotFound)
	if got := list(); len(got) != 2 {
		t.Errorf("cleared: %q", got)
	}
	w.signInFrom("steve", at("2001:db8::4"), "")
	if e := w.events(audit.BudgetCleared); len(e) != 1 || e[0].Actor != "cli: test" || e[0].Detail != "source 2001:db8::/64: 3 wrong guesses" {
		t.Errorf("%+v", e)
	}
	w.advance(24 * time.Hour)
	if got := list(); len(got) != 0 {
		t.Errorf("a day later: %q", got)
	}
}

// The owner who signs in clears what that source got wrong since it is known, and nothing that
// strangers did: also not at the first time, when the source is a stranger itself.
func TestThreat05_SuccessClearsItsOwn(t *testing.T) {
	w := newWorld(t, withBudgets)
	w.account("steve")
	stranger, owner := at("198.51.100.7"), at("192.0.2.1")
	for range 4 {
		w.wantCode(w.guess("steve", stranger), auth.CodeBadCredentials)
	}
	w.signInFrom("steve", owner, "")
	for range 3 { // twelve wrong ones, but never five in a row
		for range 4 {
			w.wantCode(w.guess("steve", owner), auth.CodeBadCredentials)
		}
		w.signInFrom("steve", owner, "")
	}
	w.wantCode(w.guess("steve", stranger), auth.CodeBadCredentials)
	w.wantCode(w.guess("steve", stranger), auth.CodeThrottled)
	w.signInFrom("steve", owner, "")
}

// A new password forgets what was guessed at the old one, and not what was guessed at the
// codes: who knows the password could else go on guessing at them.
func TestThreat15_NewPasswordKeepsWrongCodes(t *testing.T) {
	w := newWorld(t, with(func(b *auth.Budgets) {
		b.Account.Free, b.Factor.Free, b.Factor.First, b.Factor.Max = 1, 2, time.Hour, time.Hour
	}))
	a := w.account("steve")
	uri := w.enroll(a)
	one := w.ticket("steve")
	for range 2 {
		_, err := w.passport(one, "000000")
		w.wantCode(err, auth.CodeFactorInvalid)
	}
	w.wantCode(w.guess("steve", client), auth.CodeBadCredentials)
	if err := w.svc.SetPassword(w.ctx, w.realm.ID, a.ID, goodPassword, client); err != nil {
		t.Fatal(err)
	}
	next := w.ticket("steve") // the wrong password is forgotten
	_, err := w.passport(next, w.code(uri))
	w.wantCode(err, auth.CodeThrottled)
	if err := w.svc.Unlock(w.ctx, w.realm.ID, a.ID, client); err != nil {
		t.Fatal(err)
	}
	w.mustPassport(next, w.code(uri))
}

// Whoever waits is told what to do about it, in the log.
func TestBudget_CauseNamesTheRemedy(t *testing.T) {
	w := newWorld(t, with(func(b *auth.Budgets) { b.Account.Free, b.Known.Free, b.Source.Free = 1, 1, 3 }))
	id := w.account("steve").ID.String()
	cause := func(name string, cl auth.Client) string {
		t.Helper()
		w.wantCode(w.guess(name, cl), auth.CodeBadCredentials)
		err := w.guess(name, cl)
		w.wantCode(err, auth.CodeThrottled)
		e := auth.AsError(err)
		if e.Detail != "too many failed attempts" {
			t.Errorf("the client reads %q", e.Detail)
		}
		return e.Cause.Error()
	}
	known := at("192.0.2.1")
	w.signInFrom("steve", known, "")
	for what, got := range map[string]string{
		"account unlock " + id + " ends": cause("steve", at("198.51.100.7")),
		"its known source 192.0.2.1":     cause("steve", known),
		"a name that no account has":     cause("nobody", at("198.51.100.8")),
	} {
		if !strings.Contains(got, what) {
			t.Errorf("%q has no %q", got, what)
		}
	}
	for _, name := range []string{"a", "b"} {
		w.wantCode(w.guess(name, at("198.51.100.8")), auth.CodeBadCredentials)
	}
	err := w.guess("c", at("198.51.100.8"))
	if got := auth.AsError(err).Error(); !strings.Contains(got, "ostiary budget clear --source 198.51.100.8 ends it") {
		t.Error(got)
	}
}

// A guesser who is told to wait learns nothing by how long that takes to say: what was read
// of an account until then is within the floor, as it is of a wrong password.
func TestThreat02_ThrottledWaitsForTheFloor(t *testing.T) {
	var hasher *password.Hasher
	w := newWorld(t, withBudgets, func(o *auth.Options) { hasher = o.Hasher })
	w.account("steve")
	w.svc.Warm(w.ctx, w.realm.ID)
	for _, name := range []string{"steve", "nobody"} {
		for range 5 {
			w.wantCode(w.guess(name, client), auth.CodeBadCredentials)
		}
		start := time.Now()
		w.wantCode(w.guess(name, client), auth.CodeThrottled)
		if took, floor := time.Since(start), hasher.Floor(nil); took < floor {
			t.Errorf("%s: refused in %v, the floor is %v", name, took, floor)
		}
	}
}

// Where an address may stand for anybody, it is not exempt.
func TestBudget_ExemptUnlessShared(t *testing.T) {
	w := newWorld(t, with(func(b *auth.Budgets) {
		b.Source.Free, b.Exempt = 1, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	}))
	for _, address := range []string{"192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1"} {
		for _, name := range []string{"a", "b", "c"} {
			w.wantCode(w.guess(name+address, at(address)), auth.CodeBadCredentials)
		}
	}
	behind := at("192.0.2.1")
	behind.Shared = true
	w.wantCode(w.guess("a", behind), auth.CodeBadCredentials)
	w.wantCode(w.guess("b", behind), auth.CodeThrottled)
}

// broken is a store of which one counter can't be read.
type broken struct{ auth.Store }

func (b broken) Budget(ctx context.Context, k auth.BudgetKey) (throttle.State, error) {
	if k.Kind == auth.BudgetFactor {
		return throttle.State{}, &auth.Error{Code: auth.CodeUnavailable, RetryAfter: time.Second}
	}
	return b.Store.Budget(ctx, k)
}

// A code that can't be tried is not a wrong one: the client is told to come back, and
// nothing is counted.
func TestFactor_UnreadableBudgetIsNoGuess(t *testing.T) {
	w := newWorld(t, withBudgets, func(o *auth.Options) { o.Store = broken{o.Store} })
	a := w.account("steve")
	uri := w.enroll(a)
	appending := *w.one
	appending.AppendCode = true
	_, err := w.svc.SignIn(w.ctx, &appending, creds("steve", goodPassword+string(w.code(uri))), client)
	w.wantCode(err, auth.CodeUnavailable)
	_, err = w.passport(w.ticket("steve"), w.code(uri))
	w.wantCode(err, auth.CodeUnavailable)
	if list, err := w.svc.BudgetOf(w.ctx, w.realm.ID, a.ID); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}

// TestFactor_RefusedCodeIsNoGuess: a code that comes when the budget is spent is not looked at, and
// so it is not counted, whoever says that it is spent.
func TestFactor_RefusedCodeIsNoGuess(t *testing.T) {
	for name, shared := range map[string]func(*auth.Options){
		"one node": func(*auth.Options) {}, "several": func(o *auth.Options) { o.Shared = auth.ReserveIn(o.Store, o.Now) },
	} {
		w := newWorld(t, with(func(b *auth.Budgets) { b.Factor.Free = 1 }), shared)
		a := w.account("steve")
		uri := w.enroll(a)
		appending := *w.one
		appending.AppendCode = true
		try := func(code string) (counted []auth.Budget) {
			_, err := w.svc.SignIn(w.ctx, &appending, creds("steve", goodPassword+code), client)
			w.wantCode(err, auth.CodeBadCredentials)
			all, err := w.svc.BudgetOf(w.ctx, w.realm.ID, a.ID)
			if err != nil {
				t.Fatal(err)
			}
			return slices.DeleteFunc(all, func(b auth.Budget) bool { return b.Kind != auth.BudgetFactor })
		}
		before := try("000000")
		if after := try(string(w.code(uri))); len(before) != 1 || !slices.Equal(after, before) {
			t.Errorf("%s: %v after a code that was refused, %v before", name, after, before)
		}
		if d := w.details(audit.FactorFailed); len(d) != 2 || d[1] != "factor_budget_spent" {
			t.Errorf("%s: %q", name, d)
		}
	}
}

// Whoever types his password for his name gives it to nobody who has the database: what it is counted under is keyed.
func TestBudget_UnknownNameIsKeyed(t *testing.T) {
	subject := func() (subject string) {
		w := newWorld(t, withBudgets)
		for range 2 {
			w.wantCode(w.guess("my password", client), auth.CodeBadCredentials)
		}
		db, err := sql.Open("sqlite", "file:"+w.store.Info().Path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if err := db.QueryRowContext(w.ctx, "SELECT subject FROM guess_budget WHERE kind = 'account' AND failures = 2").Scan(&subject); err != nil {
			t.Fatal(err)
		}
		return subject
	}
	if one := subject(); one == subject() {
		t.Errorf("two servers count it under %s", one)
	}
}
