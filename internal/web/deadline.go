package web

import (
	"context"
	"sync/atomic"
	"time"
)

// halfClosed is how long after its beginning a client's end of a request still means that he has said all that he has to say,
// and waits for the answer. net/http ends a request's context as soon as it reads that end, and can't tell this client from
// one who has given up; those come later.
const halfClosed = 250 * time.Millisecond

// timed is a request's context: with a deadline, and without the client's end if that comes at once. What ends it is made
// when somebody first waits for it. Most requests are answered before anybody does, and the timer and its place in the
// context above would be a twentieth of what a verification costs.
type timed struct {
	context.Context           // above, without the deadline
	deadline        time.Time // zero: none of its own, and whatever ends the context above ends this one
	patient         time.Time // until when that means nothing, nor does it before somebody waits
	armed           atomic.Pointer[armed]
}

type armed struct {
	context.Context
	cancel context.CancelFunc
}

// arm makes the timer, and follows the context above.
func (t *timed) arm() *armed {
	if a := t.armed.Load(); a != nil {
		return a
	}
	a := new(armed)
	whole, cancel := context.WithDeadline(context.WithoutCancel(t.Context), t.deadline)
	a.Context, a.cancel = whole, cancel
	if t.Context.Err() == nil {
		alone := context.AfterFunc(t.Context, func() {
			if !time.Now().Before(t.patient) {
				cancel()
			}
		})
		a.cancel = func() { alone(); cancel() }
	}
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
	if t.deadline.IsZero() {
		return t.Context.Err()
	}
	if !time.Now().Before(t.deadline) {
		return t.arm().Err() // which stays so
	}
	return nil
}

// Value hands out the context that Done belongs to, for those of the context package.
func (t *timed) Value(key any) any {
	if a := t.armed.Load(); a != nil {
		return a.Value(key)
	}
	return t.Context.Value(key)
}
