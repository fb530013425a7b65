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

// A client's end ends his request, but not at once: he may have said all, and wait for the answer.
func TestTimed_EndsWithWhatIsAbove(t *testing.T) {
	for _, c := range []struct {
		what                string
		waited, ended, over time.Duration // over: when the request is
		plain               bool          // without a deadline
	}{
		{what: "given up", ended: time.Second, over: time.Second},
		{what: "with the request", ended: time.Nanosecond, over: halfClosed},
		{what: "just before its time", ended: halfClosed - 1, over: halfClosed},
		{what: "with a body that took a second", waited: time.Second, ended: time.Second, over: time.Second + halfClosed},
		{what: "before anybody waited", waited: time.Second, ended: time.Second / 2, over: time.Second + halfClosed},
		{what: "no deadline", ended: halfClosed / 2, over: halfClosed / 2, plain: true},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				above, cancel := context.WithCancel(context.WithValue(t.Context(), exchangeKey{}, "above"))
				defer cancel()
				time.AfterFunc(c.ended, cancel)
				began := time.Now()
				ctx := &timed{Context: above}
				if !c.plain {
					ctx.deadline = began.Add(time.Hour)
				}
				defer ctx.end()
				time.Sleep(c.waited)
				if err := ctx.Err(); err != nil || ctx.Value(exchangeKey{}) != "above" {
					t.Errorf("before anybody waits: %v %v", err, ctx.Value(exchangeKey{}))
				}
				<-ctx.Done()
				if took := time.Since(began); took != c.over || !errors.Is(ctx.Err(), context.Canceled) {
					t.Errorf("%v after %v, want %v", ctx.Err(), took, c.over)
				}
			})
		})
	}
}
