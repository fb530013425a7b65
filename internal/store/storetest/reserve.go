package storetest

import (
	"errors"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/throttle"
)

var reserveCases = []testCase{
	{"Count", reserveCount},
	{"ForgetsTheDead", reserveForgets},
	{"Clocks", reserveClocks},
	{"AllOrNone", reserveAllOrNone},
	{"Race", reserveRace},
	{"NoMoreThanTheBudget", reserveWithCharges},
}

// slot is what a reservation is counted in, half a minute.
const slot = 30 * time.Second

func (w *world) reserve(k auth.BudgetKey, now time.Time) (in int64, running int) {
	w.Helper()
	w.in(func(tx auth.Tx) (err error) {
		in, running, err = tx.ReserveGuess(w.ctx, k, now)
		return err
	})
	return in, running
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
	source := k
	source.Kind = auth.BudgetSource
	w.reserves("under another key", source, w.now, 1)
	w.end(k, first)
	w.reserves("after one", k, w.now, 2)
	w.end(k, second)
	w.end(k, second)
	w.end(k, second) // once too often
	w.reserves("after all", k, w.now, 1)
	w.same("no counter of failures", w.budget(k).Failures, 0)
}

// A reservation that nobody ends is counted for half a minute at least, and for a minute at
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

func reserveAllOrNone(w *world) {
	a, b := w.budgetKey(auth.BudgetSource), w.budgetKey(auth.BudgetAccount)
	none := errors.New("no room")
	w.fails(none, func(tx auth.Tx) error {
		for _, k := range []auth.BudgetKey{a, b} {
			if _, _, err := tx.ReserveGuess(w.ctx, k, w.now); err != nil {
				return err
			}
		}
		return none
	})
	w.reserves("the one", a, w.now, 1)
	w.reserves("the other", b, w.now, 1)
}

func reserveRace(w *world) {
	k := w.budgetKey(auth.BudgetAccount)
	n := w.raceTx(24, func(tx auth.Tx, _ int) (bool, error) {
		_, running, err := tx.ReserveGuess(w.ctx, k, w.now)
		return running <= 24, err
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
	begin := func() (in int64, err error) {
		err = w.store.InTx(w.ctx, func(tx auth.Tx) error {
			var running int
			var err error
			if in, running, err = tx.ReserveGuess(w.ctx, k, w.now); err != nil {
				return err
			}
			state, err := tx.Budget(w.ctx, k)
			if err == nil && running > free-state.Failures {
				err = full
			}
			return err
		})
		return in, err
	}
	passed := w.race(40, func(int) (bool, error) {
		for range 5 {
			in, err := begin()
			if errors.Is(err, full) {
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
		return false, nil
	})
	w.same("guesses that ran", passed, free)
	w.same("failures", w.budget(k).Failures, free)
	w.reserves("none is left", k, w.now, 1)
}
