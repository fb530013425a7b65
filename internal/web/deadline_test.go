package web

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestTimed_EndsAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := &timed{Context: t.Context(), deadline: time.Now().Add(time.Minute)}
		waited := &timed{Context: t.Context(), deadline: asked.deadline}
		defer asked.end()
		defer waited.end()
		below, cancel := context.WithCancel(waited)
		defer cancel()
		if d, ok := asked.Deadline(); !ok || !d.Equal(asked.deadline) {
			t.Errorf("deadline %v %v", d, ok)
		}
		time.Sleep(time.Minute - time.Nanosecond)
		if asked.Err() != nil || asked.armed.Load() != nil || waited.Err() != nil || below.Err() != nil {
			t.Errorf("before: %v %v %v, armed %v", asked.Err(), waited.Err(), below.Err(), asked.armed.Load())
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		for what, ctx := range map[string]context.Context{"asked": asked, "waited": waited, "below": below} {
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				t.Errorf("%s: %v", what, ctx.Err())
			}
			<-ctx.Done()
		}
	})
}

func TestTimed_EndsWithWhatIsAbove(t *testing.T) {
	for _, deadline := range []time.Time{{}, time.Now().Add(time.Hour)} {
		above, cancel := context.WithCancel(context.WithValue(t.Context(), exchangeKey{}, "above"))
		c := &timed{Context: above, deadline: deadline}
		done := c.Done()
		if c.Err() != nil || c.Value(exchangeKey{}) != "above" {
			t.Errorf("%v: %v %v", deadline, c.Err(), c.Value(exchangeKey{}))
		}
		cancel()
		<-done
		if !errors.Is(c.Err(), context.Canceled) {
			t.Errorf("%v: %v", deadline, c.Err())
		}
		c.end()
	}
	unasked, cancel := context.WithCancel(t.Context())
	c := &timed{Context: unasked, deadline: time.Now().Add(time.Hour)}
	cancel()
	if !errors.Is(c.Err(), context.Canceled) {
		t.Errorf("nobody waited: %v", c.Err())
	}
}
