package web

import (
	"context"
	"sync/atomic"
	"time"
)

// halfClosed is how long a request goes on without its client, from when it first waits for something. net/http ends a request's
// context as soon as it reads the client's end, and can't tell one who has said all that he has to say, and waits for the answer,
// from one who has given up. The first is answered, unless the server is so busy that it takes longer; the second keeps others
// waiting for no longer than that.
const halfClosed = 100 * time.Millisecond

// timed is a request's context: with a deadline, and the client's end, but not before its time. What ends it is made
// when somebody first waits for it. Most requests are answered before anybody does, and the timer and its place in the
// context above would be a twentieth of what a verification costs.
type timed struct {
	context.Context           // above, without the deadline
	deadline        time.Time // zero: none of its own, and whatever ends the context above ends this one
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
	patient := time.Now().Add(halfClosed)
	alone := context.AfterFunc(t.Context, func() {
		time.AfterFunc(time.Until(patient), cancel) // at once, if that is over
	})
	a.Context, a.cancel = whole, func() { alone(); cancel() }
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
