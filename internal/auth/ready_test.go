package auth_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/ostiary/ostiary/internal/auth"
)

// asked is a store that counts how often it is asked whether it can answer, and takes its time.
type asked struct {
	auth.Store
	times atomic.Int32
	hold  chan struct{}
}

func (s *asked) Ping(context.Context) error {
	s.times.Add(1)
	<-s.hold
	return nil
}

// TestReady_Shared: however many ask at once, the store is asked once, and then anew.
func TestReady_Shared(t *testing.T) {
	st := &asked{hold: make(chan struct{})}
	w := newWorld(t, func(o *auth.Options) { st.Store, o.Store = o.Store, st })
	answers := make(chan error, 50)
	for range cap(answers) {
		go func() { answers <- w.svc.Ready(w.ctx) }()
	}
	gone, leave := context.WithCancel(w.ctx)
	leave()
	w.wantCode(w.svc.Ready(gone), auth.CodeUnavailable)
	if n := st.times.Load(); n > 1 {
		t.Errorf("asked %d times", n)
	}
	close(st.hold)
	for range cap(answers) {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	before := st.times.Load()
	if err := w.svc.Ready(w.ctx); err != nil || st.times.Load() != before+1 {
		t.Errorf("asked %d times after it was asked %d times: %v", st.times.Load(), before, err)
	}
}
