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

// A client's end ends his request, but for one that comes with the request itself: he has said all, and waits for the answer.
func TestTimed_EndsWithWhatIsAbove(t *testing.T) {
	for _, c := range []struct {
		what          string
		waited, ended time.Duration
		deadline      bool
		want          error
	}{
		{"given up", 0, time.Second, true, context.Canceled},
		{"just not at once", 0, halfClosed, true, context.Canceled},
		{"at once", 0, halfClosed - 1, true, nil},
		{"before anybody waited", time.Second, time.Second / 2, true, nil},
		{"no deadline", 0, halfClosed / 2, false, context.Canceled},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				above, cancel := context.WithCancel(context.WithValue(t.Context(), exchangeKey{}, "above"))
				defer cancel()
				time.AfterFunc(c.ended, cancel)
				now := time.Now()
				ctx := &timed{Context: above}
				if c.deadline {
					ctx.deadline, ctx.patient = now.Add(time.Hour), now.Add(halfClosed)
				}
				defer ctx.end()
				time.Sleep(c.waited)
				_ = ctx.Done()
				if err := ctx.Err(); err != nil || ctx.Value(exchangeKey{}) != "above" {
					t.Errorf("at first: %v %v", err, ctx.Value(exchangeKey{}))
				}
				time.Sleep(time.Minute)
				if err := ctx.Err(); !errors.Is(err, c.want) {
					t.Errorf("%v, want %v", err, c.want)
				}
			})
		})
	}
}
