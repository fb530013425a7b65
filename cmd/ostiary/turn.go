package main

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/ostiary/ostiary/internal/store"
)

const (
	// turnLife is how long a turn outlives a process that was killed, and turnEvery how often
	// it is made to last, or asked for. So another process has it after 25 s at the most.
	turnLife  = 20 * time.Second
	turnEvery = 5 * time.Second
)

const (
	// tendTurns begins the names of those that servers take.
	tendTurns = "tend:"
	// tidyTurn is that of what is done to the whole store.
	tidyTurn = tendTurns + "tidy"
	// keysTurn begins that of the keys of some mounts.
	keysTurn = tendTurns + "keys:"
)

// turn is a lease by which one of the processes on a database does what is due now and
// then. Whatever is done in it bears to be done twice: a process that stood still for too
// long may believe that it has the turn when another one does.
type turn struct {
	store  *store.Store
	log    *slog.Logger
	name   func() string // of the lease, which may change with the configuration
	holder string
	taken  chan struct{} // wakes the work, when the turn has come

	warned time.Time // of the clock

	mu    sync.Mutex
	held  string // the lease that this process has, or ""
	until time.Time
}

func newTurn(st *store.Store, log *slog.Logger, name func() string) *turn {
	return &turn{store: st, log: log, name: name, holder: rand.Text(), taken: make(chan struct{}, 1)}
}

// mine tells whether this process has the turn.
func (t *turn) mine() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held != "" && t.held == t.name() && time.Now().Before(t.until)
}

// await takes the turn, unless another process has it that is alive.
func (t *turn) await(ctx context.Context) (taken bool, err error) {
	for began := time.Now(); ; {
		now := time.Now()
		taken, err = t.store.TakeLease(ctx, t.name(), t.holder, now, now.Add(turnLife))
		if taken || err != nil || now.Sub(began) > turnLife {
			return taken, err
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// keep takes the turn when nobody has it, and makes it last.
func (t *turn) keep(ctx context.Context) {
	tick := time.NewTicker(turnEvery)
	defer tick.Stop()
	for {
		once, cancel := context.WithTimeout(ctx, turnEvery)
		t.take(once)
		cancel()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (t *turn) take(ctx context.Context) {
	had, name, now := t.mine(), t.name(), time.Now()
	until := now.Add(turnLife)
	t.leave(ctx, name)
	taken, err := t.store.TakeLease(ctx, name, t.holder, now, until)
	switch {
	case err != nil && !errors.Is(ctx.Err(), context.Canceled):
		t.log.Warn("whose turn it is to tidy up is not known, it is asked again", "err", err)
		return
	case err != nil:
		return
	}
	t.mu.Lock()
	if t.held = ""; taken {
		t.held, t.until = name, until
	}
	t.mu.Unlock()
	if !taken {
		t.checkClock(ctx, name)
	}
	if taken && !had {
		t.log.Debug("this process has its turn", "turn", name)
		select {
		case t.taken <- struct{}{}:
		default:
		}
	}
}

// clocksAgree is how far the clocks of nodes may differ.
const clocksAgree = 5 * time.Second

// checkClock warns if the node that has the turn has a clock that is ahead of this one's.
// Of two that differ, one sees that.
func (t *turn) checkClock(ctx context.Context, name string) {
	behind, err := clockBehind(ctx, t.store, name)
	if err != nil || behind <= clocksAgree || time.Since(t.warned) < time.Hour {
		return
	}
	t.warned = time.Now()
	t.log.Warn("the clock of this machine is behind that of another node, or that one's is ahead: let a time service keep both", "by", behind.Round(time.Second))
}

// clockBehind is how far the clock is behind that of the process that has a turn.
func clockBehind(ctx context.Context, st *store.Store, name string) (time.Duration, error) {
	end, err := st.LeaseEnd(ctx, name)
	if err != nil || end.IsZero() {
		return 0, err
	}
	return time.Until(end) - turnLife, nil
}

// leave gives the turn back, if it is not the one of that name.
func (t *turn) leave(ctx context.Context, but string) {
	t.mu.Lock()
	held := t.held
	if held == but {
		held = ""
	} else {
		t.held = ""
	}
	t.mu.Unlock()
	if held == "" {
		return
	}
	if err := t.store.EndLease(ctx, held, t.holder); err != nil {
		t.log.Info("a turn was not given back: it ends by itself", "turn", held, "after", turnLife, "err", err)
	}
}

// endTurns lets another process have its turn at once.
func (s *server) endTurns() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s), turnEvery)
	defer cancel()
	s.tidying.leave(ctx, "")
	s.keys.leave(ctx, "")
}
