package throttle

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestPolicy_Until(t *testing.T) {
	at := func(failures int, last time.Duration) State {
		return State{Failures: failures, FirstAt: noon.Add(last), LastAt: noon.Add(last)}
	}
	for name, c := range map[string]struct {
		policy Policy
		state  State
		wait   time.Duration
	}{
		"nothing":              {Account, State{}, 0},
		"the free ones":        {Account, at(4, 0), 0},
		"after the free ones":  {Account, at(5, 0), time.Second},
		"it doubles":           {Account, at(8, 0), 8 * time.Second},
		"up to its end":        {Account, at(60, 0), 15 * time.Minute},
		"the wait goes on":     {Account, at(8, -5*time.Second), 3 * time.Second},
		"it is over":           {Account, at(8, -8*time.Second), 0},
		"it is long over":      {Account, at(8, -4*time.Hour), 0},
		"the wall":             {Account, at(100, -24*time.Hour), 15 * time.Minute},
		"a clock set back":     {Account, at(5, 24*time.Hour), time.Second},
		"a window":             {Source, at(60, -4*time.Minute), 6 * time.Minute},
		"a window, not full":   {Source, at(59, 0), 0},
		"a window that ended":  {Source, at(60, -10*time.Minute), 0},
		"a window, clock back": {Source, at(60, 24*time.Hour), 10 * time.Minute},
		"off":                  {Policy{First: time.Second, Max: time.Minute, Decay: time.Hour, Wall: 100}, at(1000, 0), 0},
	} {
		got := max(0, c.policy.Until(c.state, noon).Sub(noon))
		if got != c.wait {
			t.Errorf("%s: wait %v, want %v", name, got, c.wait)
		}
	}
}

func TestPolicy_Failures(t *testing.T) {
	for name, c := range map[string]struct {
		policy   Policy
		failures int
		ago      time.Duration
		left     int
	}{
		"no time":              {Account, 8, 0, 8},
		"less than the decay":  {Account, 8, time.Hour - time.Second, 8},
		"one is forgotten":     {Account, 8, time.Hour, 7},
		"all are":              {Account, 8, 9 * time.Hour, 0},
		"short of the wall":    {Account, 99, 30 * time.Hour, 69},
		"the wall stays":       {Account, 100, 1000 * time.Hour, 100},
		"a clock set back":     {Account, 8, -24 * time.Hour, 8},
		"a window":             {Source, 8, 10*time.Minute - time.Second, 8},
		"a window that ended":  {Source, 8, 10 * time.Minute, 0},
		"a window, clock back": {Source, 8, -24 * time.Hour, 8},
	} {
		if got := c.policy.Failures(State{Failures: c.failures, FirstAt: noon, LastAt: noon}, noon.Add(c.ago)); got != c.left {
			t.Errorf("%s: %d, want %d", name, got, c.left)
		}
	}
}

// Whoever guesses as soon as it is allowed comes to the wall: what a wait takes must not
// be what a failure is forgotten in.
func TestPolicy_PatientGuesserMeetsTheWall(t *testing.T) {
	state, now := State{}, noon
	for guesses := range 2 * Account.Wall {
		if Account.Walled(state) {
			if took := now.Sub(noon); took < 20*time.Hour || guesses != Account.Wall {
				t.Errorf("%d guesses in %v", guesses, took)
			}
			return
		}
		if until := Account.Until(state, now); until.After(now) {
			now = until
		}
		state = State{Failures: Account.Failures(state, now) + 1, FirstAt: noon, LastAt: now}
	}
	t.Errorf("after %v: %d failures", now.Sub(noon), state.Failures)
}

// A wait that has begun takes no longer than it would have, though the clock is set back.
func TestState_Rebased(t *testing.T) {
	s := State{Failures: 60, FirstAt: noon.Add(-4 * time.Minute), LastAt: noon}
	back := noon.Add(-time.Hour)
	if s.Ahead(noon) || s.Ahead(noon.Add(-Skew)) || !s.Ahead(back) {
		t.Error("which counters are from the future")
	}
	r := s.Rebased(back)
	if r.Ahead(back) || r.Failures != 60 || Source.Until(r, back).Sub(back) != 6*time.Minute {
		t.Errorf("%+v", r)
	}
	if (State{}).Rebased(back) != (State{}) {
		t.Error("an empty counter")
	}
}

// Guesses beyond the free ones wait for those in flight, and none runs that the budget
// could not bear.
func TestGate_Enter(t *testing.T) {
	g := NewGate()
	var failures, running, most atomic.Int32
	load := func() (State, error) { return State{Failures: int(failures.Load()), LastAt: noon}, nil }
	now := func() time.Time { return noon }
	var all sync.WaitGroup
	var passed, refused atomic.Int32
	for range 50 {
		all.Go(func() {
			leave, wait, err := g.Enter(t.Context(), "k", Account, now, load)
			if err != nil {
				t.Error(err)
				return
			}
			if wait > 0 {
				refused.Add(1)
				return
			}
			if n := running.Add(1); n > most.Load() {
				most.Store(n)
			}
			passed.Add(1)
			failures.Add(1)
			running.Add(-1)
			leave(false)
		})
	}
	all.Wait()
	if passed.Load() != 5 || refused.Load() != 45 || most.Load() > 5 {
		t.Errorf("%d passed, %d refused, %d at once", passed.Load(), refused.Load(), most.Load())
	}
	if len(g.keys) != 0 {
		t.Errorf("%d keys are left", len(g.keys))
	}
}

// Who waits is served in turn, and reads the counter when he came and when it is his turn:
// a crowd at one account must not read it again for each of the others.
func TestGate_FirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const crowd = 100
		g := NewGate()
		one := Policy{Free: 1, First: time.Second, Max: time.Minute, Decay: time.Hour}
		var loads atomic.Int32
		load := func() (State, error) { loads.Add(1); return State{}, nil }
		var all sync.WaitGroup
		served := make(chan int, crowd)
		for i := range crowd {
			all.Go(func() {
				leave, wait, err := g.Enter(t.Context(), "k", one, func() time.Time { return noon }, load)
				if err != nil || wait > 0 {
					t.Error(wait, err)
					return
				}
				served <- i
				time.Sleep(time.Second)
				leave(false)
			})
			synctest.Wait()
		}
		all.Wait()
		for i := range crowd {
			if got := <-served; got != i {
				t.Errorf("%d was served as number %d", got, i)
			}
		}
		if n := loads.Load(); n > 2*crowd {
			t.Errorf("the counter was read %d times for %d", n, crowd)
		}
	})
}

// entrant asks for a place in the background: in has what gives it back, once there is one.
func entrant(ctx context.Context, g *Gate, p Policy, failures *atomic.Int32) (in chan func(bool)) {
	in = make(chan func(bool), 1)
	go func() {
		load := func() (State, error) { return State{Failures: int(failures.Load()), LastAt: noon}, nil }
		if leave, _, err := g.Enter(ctx, "k", p, func() time.Time { return noon }, load); err == nil {
			in <- leave
		}
	}()
	synctest.Wait()
	return in
}

// A place is free once who had it leaves, and for one: not when somebody else stops waiting for it.
func TestThreat03_PlacesInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate()
		two := Policy{Free: 2, First: time.Second, Max: time.Minute, Decay: time.Hour}
		enter := func(ctx context.Context) chan func(bool) { return entrant(ctx, g, two, new(atomic.Int32)) }
		first, second := enter(t.Context()), enter(t.Context())
		(<-first)(false)
		third := enter(t.Context())
		var impatient [2]context.Context
		var hangUp [2]context.CancelFunc
		for i := range impatient {
			impatient[i], hangUp[i] = context.WithCancel(t.Context())
		}
		enter(impatient[0])
		fourth := enter(t.Context())
		enter(impatient[1])
		fifth := enter(t.Context())
		hangUp[0]()
		hangUp[1]()
		synctest.Wait()
		if len(second) != 1 || len(third) != 1 || len(fourth) != 0 || len(fifth) != 0 {
			t.Fatalf("in: %d %d %d %d", len(second), len(third), len(fourth), len(fifth))
		}
		for _, in := range []chan func(bool){second, third} {
			(<-in)(false)
			synctest.Wait()
		}
		if len(fourth) != 1 || len(fifth) != 1 {
			t.Fatalf("behind those who left: %d %d", len(fourth), len(fifth))
		}
		(<-fourth)(false)
		(<-fifth)(false)
		if len(g.keys) != 0 {
			t.Errorf("%d keys are left", len(g.keys))
		}
	})
}

// What was read of the counter before a guess ended is read again, also if that guess ended meanwhile.
func TestThreat03_StaleCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate()
		failures := Account.Free - 1
		now := func() time.Time { return noon }
		leave, _, err := g.Enter(t.Context(), "k", Account, now, func() (State, error) { return State{Failures: failures, LastAt: noon}, nil })
		if err != nil {
			t.Fatal(err)
		}
		_, wait, err := g.Enter(t.Context(), "k", Account, now, func() (State, error) {
			read := State{Failures: failures, LastAt: noon}
			failures = Account.Free
			leave(false)
			return read, nil
		})
		if wait != time.Second || err != nil {
			t.Errorf("one guess more than is free: %v, %v", wait, err)
		}
	})
}

// Who waited behind the last free guess goes on beside the others when that one was right.
func TestGate_RoomGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate()
		var failures atomic.Int32
		failures.Store(int32(Account.Free - 1))
		owner := entrant(t.Context(), g, Account, &failures)
		var crowd [3]chan func(bool)
		for i := range crowd {
			crowd[i] = entrant(t.Context(), g, Account, &failures)
		}
		failures.Store(0)
		(<-owner)(false)
		synctest.Wait()
		for i, in := range crowd {
			if len(in) != 1 {
				t.Errorf("number %d still waits", i)
			}
		}
	})
}

// Those that wait behind a guess that could not be decided are told so, and no other.
func TestGate_Undone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate()
		one := Policy{Free: 1, First: time.Second, Max: time.Minute, Decay: time.Hour}
		load := func() (State, error) { return State{}, nil }
		now := func() time.Time { return noon }
		leave, _, err := g.Enter(t.Context(), "k", one, now, load)
		if err != nil {
			t.Fatal(err)
		}
		told := make(chan error, 3)
		for range cap(told) {
			go func() {
				_, _, err := g.Enter(t.Context(), "k", one, now, load)
				told <- err
			}()
		}
		synctest.Wait()
		leave(true)
		leave(true)
		next, _, err := g.Enter(t.Context(), "k", one, now, load)
		if err != nil {
			t.Errorf("one that came later: %v", err)
		}
		passed := 0
		for range cap(told) {
			if err := <-told; err == nil {
				passed++
			} else if !errors.Is(err, ErrUndone) {
				t.Error(err)
			}
		}
		next(false)
		if passed > 0 || len(g.keys) != 0 {
			t.Errorf("%d passed, %d keys are left", passed, len(g.keys))
		}
	})
}
