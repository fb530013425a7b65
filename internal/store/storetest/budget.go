package storetest

import (
	"time"

	"pgregory.net/rapid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/throttle"
)

var budgetCases = []testCase{
	{"Empty", budgetEmpty},
	{"Clear", budgetClear},
	{"Wall", budgetWall},
	{"Model", budgetModel},
	{"Rebase", budgetRebase},
	{"List", budgetList},
	{"KnownSource", knownSource},
}

func (w *world) budgetKey(kind auth.BudgetKind) auth.BudgetKey {
	return auth.BudgetKey{Realm: w.realm, Kind: kind, Subject: newID().String(), Source: "192.0.2.1"}
}

func (w *world) charge(k auth.BudgetKey, p throttle.Policy, at time.Time) {
	w.Helper()
	w.in(func(tx auth.Tx) error {
		_, err := tx.ChargeBudget(w.ctx, k, p, at)
		return err
	})
}

func (w *world) budget(k auth.BudgetKey) throttle.State {
	w.Helper()
	s, err := w.store.Budget(w.ctx, k)
	w.wantErr("budget", err, nil)
	return s
}

func budgetEmpty(w *world) {
	k := w.budgetKey(auth.BudgetAccount)
	w.same("none", w.budget(k), throttle.State{})
	all, err := w.store.BudgetsOf(w.ctx, w.realm, k.Subject)
	if err != nil || len(all) != 0 {
		w.Fatalf("got %v, %v", all, err)
	}
	w.charge(k, throttle.Account, w.now)
	w.same("one", w.budget(k), throttle.State{Failures: 1, FirstAt: w.now, LastAt: w.now})
	for _, other := range []auth.BudgetKey{
		{Realm: w.newRealm().ID, Kind: k.Kind, Subject: k.Subject, Source: k.Source},
		{Realm: k.Realm, Kind: auth.BudgetKnown, Subject: k.Subject, Source: k.Source},
		{Realm: k.Realm, Kind: k.Kind, Subject: "x", Source: k.Source},
		{Realm: k.Realm, Kind: k.Kind, Subject: k.Subject},
	} {
		w.same("another key", w.budget(other), throttle.State{})
	}
}

func budgetClear(w *world) {
	k := w.budgetKey(auth.BudgetKnown)
	factor, source, elsewhere, other := k, k, k, w.budgetKey(auth.BudgetKnown)
	factor.Kind, source.Subject, elsewhere.Source, other.Source = auth.BudgetFactor, "", "192.0.2.2", "192.0.2.3"
	for _, x := range []auth.BudgetKey{k, factor, source, elsewhere, other} {
		w.charge(x, throttle.Known, w.now)
	}
	one := throttle.State{Failures: 1, FirstAt: w.now, LastAt: w.now}
	all, err := w.store.BudgetsOf(w.ctx, w.realm, k.Subject)
	w.wantErr("all", err, nil)
	if len(all) != 3 || all[k] != one || all[factor] != one || all[elsewhere] != one {
		w.Fatalf("got %v", all)
	}
	w.in(func(tx auth.Tx) error { return tx.ClearBudget(w.ctx, k) })
	w.same("cleared", w.budget(k), throttle.State{})
	w.same("another kind", w.budget(factor), one)
	w.same("another source", w.budget(elsewhere), one)
	w.charge(k, throttle.Known, w.now)
	w.in(func(tx auth.Tx) error { return tx.ClearBudgets(w.ctx, w.realm, k.Subject, auth.BudgetFactor) })
	w.same("all but one kind", w.budget(k), throttle.State{})
	w.same("the kind that is kept", w.budget(factor), one)
	w.in(func(tx auth.Tx) error { return tx.ClearBudgets(w.ctx, w.realm, k.Subject, "") })
	w.same("all cleared", w.budget(factor), throttle.State{})
	w.same("another subject", w.budget(source), one)
	w.in(func(tx auth.Tx) error { return tx.ClearBudget(w.ctx, k) })
}

func budgetWall(w *world) {
	k, p := w.budgetKey(auth.BudgetAccount), throttle.Policy{Free: 2, Max: time.Minute, Decay: time.Second, Wall: 3}
	for range 3 {
		w.charge(k, p, w.now)
	}
	w.now = w.now.Add(1000 * time.Hour)
	if s := w.budget(k); !p.Walled(s) || p.Failures(s, w.now) != 3 {
		w.Fatalf("time does not take the wall away: %+v", s)
	}
	w.charge(k, p, w.now)
	w.same("one more", w.budget(k).Failures, 4)
}

// A counter from the future is moved to now, with the beginning of its window; another is not.
func budgetRebase(w *world) {
	k := w.budgetKey(auth.BudgetSource)
	realm, subject, kind, source := k, k, k, k
	realm.Realm, subject.Subject, kind.Kind, source.Source = w.newRealm().ID, "x", auth.BudgetKnown, "192.0.2.2"
	others := []auth.BudgetKey{realm, subject, kind, source}
	for _, x := range append(others, k) {
		w.charge(x, throttle.Source, w.now)
		w.charge(x, throttle.Source, w.now.Add(time.Minute))
	}
	rebase := func(now time.Time) throttle.State {
		w.in(func(tx auth.Tx) error { return tx.RebaseBudget(w.ctx, k, now) })
		return w.budget(k)
	}
	two := throttle.State{Failures: 2, FirstAt: w.now, LastAt: w.now.Add(time.Minute)}
	w.same("one of now", rebase(two.LastAt.Add(-throttle.Skew)), two)
	w.same("one of the past", rebase(two.LastAt.Add(time.Hour)), two)
	w.same("one of the future", rebase(two.LastAt.Add(-time.Hour)), two.Rebased(two.LastAt.Add(-time.Hour)))
	for _, x := range others {
		w.same("another", w.budget(x), two)
	}
}

func budgetList(w *world) {
	var want []auth.BudgetKey
	for _, kind := range []auth.BudgetKind{auth.BudgetAccount, auth.BudgetFactor, auth.BudgetKnown} { // in their order
		want = append(want, auth.BudgetKey{Realm: w.realm, Kind: kind, Subject: "b", Source: "192.0.2.1"})
	}
	want = append([]auth.BudgetKey{
		{Realm: w.realm, Kind: auth.BudgetSource, Source: "192.0.2.1"}, {Realm: w.realm, Kind: auth.BudgetSource, Source: "192.0.2.2"},
		{Realm: w.realm, Kind: auth.BudgetKnown, Subject: "a"},
	}, want...)
	other := want[0]
	other.Realm = w.newRealm().ID
	for _, k := range append([]auth.BudgetKey{other}, want...) {
		w.charge(k, throttle.Known, w.now)
	}
	var got []auth.BudgetKey
	for after := (auth.BudgetKey{Realm: w.realm}); ; {
		keys, states, err := w.store.Budgets(w.ctx, after, 4)
		w.wantErr("list", err, nil)
		if len(keys) == 0 {
			break
		}
		for i := range keys {
			w.same("a state", states[i], throttle.State{Failures: 1, FirstAt: w.now, LastAt: w.now})
		}
		got, after = append(got, keys...), keys[len(keys)-1]
	}
	w.same("the keys", got, want)
}

// charged is what a failure makes of a counter: the policy says what is left of it.
func charged(p throttle.Policy, s throttle.State, now time.Time) throttle.State {
	left := p.Failures(s, now)
	if s.Failures == 0 || p.Window > 0 && left == 0 {
		s.FirstAt = now
	}
	return throttle.State{Failures: left + 1, FirstAt: s.FirstAt, LastAt: now}
}

// budgetModel charges counters at any times, and compares with the policy in Go.
func budgetModel(w *world) {
	rapid.Check(w.T, func(t *rapid.T) {
		p := throttle.Policy{Free: rapid.IntRange(1, 5).Draw(t, "free"), First: time.Second, Max: time.Minute}
		if rapid.Bool().Draw(t, "window") {
			p.Window = time.Duration(rapid.IntRange(1, 20).Draw(t, "seconds")) * time.Second
		} else {
			p.Decay = time.Duration(rapid.IntRange(1, 20).Draw(t, "seconds")) * time.Second
			p.Wall = rapid.IntRange(0, 8).Draw(t, "wall")
		}
		k, now, model := w.budgetKey(auth.BudgetAccount), w.now, throttle.State{}
		for _, step := range rapid.SliceOfN(rapid.IntRange(-40_000_000, 60_000_000), 1, 12).Draw(t, "steps") {
			if step < 30_000_000 { // often less than a second, or none
				step /= 10
			}
			now = now.Add(time.Duration(step) * time.Microsecond)
			model = charged(p, model, now)
			var told throttle.State
			if err := w.store.InTx(w.ctx, func(tx auth.Tx) (err error) { told, err = tx.ChargeBudget(w.ctx, k, p, now); return err }); err != nil {
				t.Fatal(err)
			}
			got, err := w.store.Budget(w.ctx, k)
			if err != nil || text(got) != text(model) || text(told) != text(model) {
				t.Fatalf("%+v\n got %s, %v\ntold %s\nwant %s", p, text(got), err, text(told), text(model))
			}
		}
	})
}

func knownSource(w *world) {
	a := newID()
	known := func(source string, since time.Time) bool {
		ok, err := w.store.KnownSource(w.ctx, a, source, since)
		w.wantErr("known", err, nil)
		return ok
	}
	note := func(at time.Time) {
		w.in(func(tx auth.Tx) error { return tx.NoteSource(w.ctx, a, "192.0.2.1", at) })
	}
	if known("192.0.2.1", time.Time{}) {
		w.Fatal("known from nowhere")
	}
	note(w.now)
	if !known("192.0.2.1", w.now) || known("192.0.2.1", w.now.Add(time.Microsecond)) || known("192.0.2.2", w.now) || known("", w.now) {
		w.Fatal("a source is known since it was seen last")
	}
	later := w.now.Add(61 * time.Second)
	note(later)
	if !known("192.0.2.1", later) {
		w.Fatal("not seen again")
	}
	note(w.now) // an older note, that came late
	if !known("192.0.2.1", later) {
		w.Fatal("an older note took the newer one back")
	}
}
