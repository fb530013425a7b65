package store

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/throttle"
)

// Transactions with one key run one after the other, in batches, and beside those of other
// keys and of none; all of them are done, or refused, when the store is closed.
func TestPostgres_Along(t *testing.T) {
	s := createPostgres(t)
	var running, most, others, done, refused atomic.Int64
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			ctx := auth.Along(t.Context(), "a key")
			if i%3 == 0 {
				ctx = t.Context()
			}
			err := s.InTx(ctx, func(tx auth.Tx) error {
				if i%3 == 0 {
					others.Add(1)
					return nil
				}
				n := running.Add(1)
				defer running.Add(-1)
				for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
				}
				time.Sleep(time.Millisecond)
				_, err := tx.ChargeBudget(t.Context(), auth.BudgetKey{Kind: auth.BudgetSource}, throttle.Policy{Decay: time.Hour}, time.Now())
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if most.Load() != 1 || others.Load() < 20 {
		t.Errorf("%d at once, and %d others", most.Load(), others.Load())
	}
	for range 40 {
		all.Go(func() {
			switch err := s.InTx(auth.Along(t.Context(), "a key"), func(auth.Tx) error { return nil }); {
			case err == nil:
				done.Add(1)
			case errors.Is(err, errClosed):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	s.close()
	all.Wait()
	if done.Load()+refused.Load() != 40 {
		t.Errorf("%d done, %d refused", done.Load(), refused.Load())
	}
}
