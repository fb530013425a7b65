package storetest

import (
	"cmp"
	"errors"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/throttle"
)

var reserveCases = []testCase{
	{"Count", reserveCount},
	{"ForgetsTheDead", reserveForgets},
	{"Clocks", reserveClocks},
	{"Two", reserveTwo},
	{"Race", reserveRace},
	{"NoMoreThanTheBudget", reserveWithCharges},
}

// slot is what a reservation is counted in.
const slot = auth.PlaceLife

func (w *world) reserve(k auth.BudgetKey, now time.Time) (in int64, running int) {
	w.Helper()
	got, err := w.store.ReserveGuesses(w.ctx, []auth.BudgetKey{k}, now)
	if err != nil {
		w.Fatal(err)
	}
	return got[0].Slot, got[0].Running
}

func (w *world) end(k auth.BudgetKey, in int64) {
	w.Helper()
	w.in(func(tx auth.Tx) error { return tx.EndGuess(w.ctx, k, in) })
}

// reserves checks how many run under a key once another one begins.
func (w *world) reserves(what string, k auth.BudgetKey, now time.Time, want int) (in int64) {
	w.Helper()
	in, got := w.reserve(k, now)
	w.same(what, got, want)
	return in
}

func reserveCount(w *world) {
	k := w.budgetKey(auth.BudgetAccount)
	w.end(k, 1) // none was begun
	first := w.reserves("the first", k, w.now, 1)
	second := w.reserves("the second", k, w.now, 2)
	realm, subject, kind, source := k, k, k, k
	realm.Realm, subject.Subject, kind.Kind, source.Source = w.newRealm().ID, "x", auth.BudgetSource, "192.0.2.2"
	others := []auth.BudgetKey{realm, subject, kind, source}
	for _, other := range others {
		w.reserves("under another key", other, w.now, 1)
	}
	w.end(k, first)
	for _, other := range others {
		w.reserves("under another key, where none has ended", other, w.now, 2)
	}
	w.reserves("after one", k, w.now, 2)
	w.end(k, second)
	w.end(k, second)
	w.end(k, second) // once too often
	w.reserves("after all", k, w.now, 1)
	w.same("no counter of failures", w.budget(k).Failures, 0)
}

// A reservation that nobody ends is counted for one slot at least, and for two at
// the most, though others come all the time.
func reserveForgets(w *world) {
	start := w.now.Truncate(slot)
	for _, began := range []time.Duration{0, slot / 2, slot - time.Second} {
		k := w.budgetKey(auth.BudgetAccount)
		w.reserve(k, start.Add(began))
		for at := began; at < began+3*slot; at += 5 * time.Second {
			in, running := w.reserve(k, start.Add(at))
			w.end(k, in)
			if age := at - began; age <= slot && running != 2 || age >= 2*slot && running != 1 {
				w.Fatalf("begun %s into the slot: after %s, %d run", began, age, running)
			}
		}
	}
	// In the slot after its own, a guess can still be ended.
	k := w.budgetKey(auth.BudgetAccount)
	old := w.reserves("the first", k, start, 1)
	w.reserves("in the next slot", k, start.Add(slot), 2)
	w.end(k, old)
	w.reserves("the first has ended", k, start.Add(slot), 2)
	late := w.budgetKey(auth.BudgetAccount)
	old = w.reserves("the first", late, start, 1)
	w.reserves("two slots later", late, start.Add(2*slot), 1)
	w.end(late, old) // it was forgotten, and must not end another one
	w.reserves("another one runs on", late, start.Add(2*slot), 2)
}

// Two nodes whose clocks differ by less than a slot count together; what a clock that was
// set back has left behind holds nobody up.
func reserveClocks(w *world) {
	k := w.budgetKey(auth.BudgetAccount)
	ahead := w.reserves("the clock that is ahead", k, w.now.Add(slot), 1)
	behind := w.reserves("the clock that is behind", k, w.now, 2)
	w.same("the same slot", behind, ahead)
	w.end(k, behind)
	w.reserves("one has ended", k, w.now, 2)
	w.reserves("the clock was set back", k, w.now.Add(-time.Hour), 1)
}

// reserveTwo: a guess counts under all of its keys, and is told of the failures under each.
func reserveTwo(w *world) {
	a, b := w.budgetKey(auth.BudgetSource), w.budgetKey(auth.BudgetAccount)
	w.reserves("the one", a, w.now, 1)
	w.in(func(tx auth.Tx) error {
		_, err := tx.ChargeBudget(w.ctx, b, throttle.Policy{Free: 5, First: time.Second, Max: time.Minute, Decay: time.Hour}, w.now)
		return err
	})
	got, err := w.store.ReserveGuesses(w.ctx, []auth.BudgetKey{a, b}, w.now)
	if err != nil || len(got) != 2 {
		w.Fatalf("%v, %v", got, err)
	}
	w.same("the one, again", got[0].Running, 2)
	w.same("without a failure", got[0].Failed, throttle.State{})
	w.same("the other", got[1].Running, 1)
	w.same("with a failure", got[1].Failed.Failures, 1)
}

func reserveRace(w *world) {
	k := w.budgetKey(auth.BudgetAccount)
	n := w.race(24, func(int) (bool, error) {
		got, err := w.store.ReserveGuesses(w.ctx, []auth.BudgetKey{k}, w.now)
		return err == nil && got[0].Running <= 24, err
	})
	w.same("all", n, 24)
	in := w.reserves("one more", k, w.now, 25)
	w.race(25, func(int) (bool, error) {
		err := w.store.InTx(w.ctx, func(tx auth.Tx) error { return tx.EndGuess(w.ctx, k, in) })
		return true, err
	})
	w.reserves("all have ended", k, w.now, 1)
}

// reserveWithCharges: guesses that each end with a failure, in one transaction with it, are
// never more than what is free, though each looks at the counter in its own transaction.
func reserveWithCharges(w *world) {
	const free = 5
	k, p := w.budgetKey(auth.BudgetAccount), throttle.Policy{Free: free, First: time.Second, Max: time.Minute, Decay: time.Hour}
	full := errors.New("full")
	begin := func() (in int64, failed int, err error) {
		got, err := w.store.ReserveGuesses(w.ctx, []auth.BudgetKey{k}, w.now)
		if err != nil {
			return 0, 0, err
		}
		in, failed = got[0].Slot, got[0].Failed.Failures
		if got[0].Running > free-failed {
			err = w.store.InTx(w.ctx, func(tx auth.Tx) error { return tx.EndGuess(w.ctx, k, in) })
			return 0, failed, cmp.Or(err, full)
		}
		return in, failed, nil
	}
	passed := w.race(40, func(int) (bool, error) {
		for {
			in, failed, err := begin()
			if errors.Is(err, full) && failed == free {
				return false, nil
			}
			if errors.Is(err, full) { // for the moment, maybe
				continue
			}
			if err != nil {
				return false, err
			}
			return true, w.store.InTx(w.ctx, func(tx auth.Tx) error {
				if _, err := tx.ChargeBudget(w.ctx, k, p, w.now); err != nil {
					return err
				}
				return tx.EndGuess(w.ctx, k, in)
			})
		}
	})
	w.same("guesses that ran", passed, free)
	w.same("failures", w.budget(k).Failures, free)
	w.reserves("none is left", k, w.now, 1)
}
