package auth

import (
	"context"
	"sync/atomic"
	"time"
)

// Waited is how long a request has waited for the store, all in all: a store that is slow
// should not be waited for once more with each thing that is asked of it.
type Waited struct{ nanoseconds atomic.Int64 }

// WaitedKey is the key of a request's *Waited in its context.
type WaitedKey struct{}

// WaitedOf is that of the request that ctx belongs to, or nil.
func WaitedOf(ctx context.Context) *Waited {
	w, _ := ctx.Value(WaitedKey{}).(*Waited)
	return w
}

// Add adds what was waited since then. It works on nil.
func (w *Waited) Add(since time.Time) {
	if w != nil {
		w.nanoseconds.Add(int64(time.Since(since)))
	}
}

// Sum is all of it. It works on nil.
func (w *Waited) Sum() time.Duration {
	if w == nil {
		return 0
	}
	return time.Duration(w.nanoseconds.Load())
}
