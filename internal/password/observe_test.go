package password

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// ear is an Observer that remembers.
type ear struct {
	mu             sync.Mutex
	waited, hashed []time.Duration
	refused        int
}

func (e *ear) note(fn func()) { e.mu.Lock(); defer e.mu.Unlock(); fn() }

func (e *ear) HashWaited(d time.Duration) { e.note(func() { e.waited = append(e.waited, d) }) }
func (e *ear) Hashed(took time.Duration)  { e.note(func() { e.hashed = append(e.hashed, took) }) }
func (e *ear) HashRefused()               { e.note(func() { e.refused++ }) }

func TestPool_Observed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, e := newPool(1, 1500*time.Millisecond), &ear{}
		(&Hasher{pool: p}).Observe(e)
		for range 3 { // one runs, one waits for it, one would wait too long
			go p.do(t.Context(), sleep)
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(e.waited) != 2 || e.waited[0] != 0 || e.waited[1] != time.Second || len(e.hashed) != 2 || e.hashed[0] != time.Second || e.hashed[1] != time.Second || e.refused != 1 {
			t.Errorf("%+v", e)
		}
	})
}
