package web

import (
	"context"
	"sync/atomic"
	"time"
)

// timed is a context with a deadline whose timer is made when somebody first waits for
// it. Most requests are answered before anybody does, and the timer and its place in the
// context above would be a twentieth of what a verification costs.
type timed struct {
	context.Context           // above, without the deadline
	deadline        time.Time // zero: none of its own
	armed           atomic.Pointer[armed]
}

type armed struct {
	context.Context
	cancel context.CancelFunc
}

// arm makes the timer.
func (t *timed) arm() *armed {
	if a := t.armed.Load(); a != nil {
		return a
	}
	a := new(armed)
	a.Context, a.cancel = context.WithDeadline(t.Context, t.deadline)
	if !t.armed.CompareAndSwap(nil, a) {
		a.cancel()
		return t.armed.Load()
	}
	return a
}

// end is for when nobody waits any more.
func (t *timed) end() {
	if a := t.armed.Load(); a != nil {
		a.cancel()
	}
}

func (t *timed) Deadline() (time.Time, bool) {
	above, ok := t.Context.Deadline()
	if t.deadline.IsZero() || ok && above.Before(t.deadline) {
		return above, ok
	}
	return t.deadline, true
}

func (t *timed) Done() <-chan struct{} {
	if t.deadline.IsZero() {
		return t.Context.Done()
	}
	return t.arm().Done()
}

func (t *timed) Err() error {
	if a := t.armed.Load(); a != nil {
		return a.Err()
	}
	if !t.deadline.IsZero() && !time.Now().Before(t.deadline) {
		return t.arm().Err() // which stays so
	}
	return t.Context.Err()
}

// Value hands out the context that Done belongs to, for those of the context package.
func (t *timed) Value(key any) any {
	if a := t.armed.Load(); a != nil {
		return a.Value(key)
	}
	return t.Context.Value(key)
}
