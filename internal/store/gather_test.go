package store

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

// A job with patience waits for company, and no longer than the least patient of them.
func TestWriter_Gather(t *testing.T) {
	const second = time.Second
	for name, c := range map[string]struct {
		patience, came []time.Duration // of the first, and of those that come later
		jobs           int
		after          time.Duration
	}{
		"none":              {[]time.Duration{0}, []time.Duration{0}, 1, 0},
		"alone":             {[]time.Duration{3 * second}, []time.Duration{0}, 1, 3 * second},
		"in company":        {[]time.Duration{3 * second, 9 * second, 9 * second}, []time.Duration{0, second, 2 * second}, 3, 3 * second},
		"with a hurried":    {[]time.Duration{3 * second, 9 * second, 0}, []time.Duration{0, second, 2 * second}, 3, 2 * second},
		"with an impatient": {[]time.Duration{9 * second, second}, []time.Duration{0, second}, 2, 2 * second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &writer{jobs: make(chan *job, maxBatch)}
				begin := time.Now()
				go func() {
					for i, patience := range c.patience {
						time.Sleep(time.Until(begin.Add(c.came[i])))
						w.jobs <- &job{ctx: auth.WithPatience(t.Context(), patience), sent: time.Now()}
					}
				}()
				got := w.gather(<-w.jobs)
				if took := time.Since(begin); len(got) != c.jobs || took != c.after {
					t.Errorf("%d jobs after %v, want %d after %v", len(got), took, c.jobs, c.after)
				}
			})
		})
	}
}

// A writer that is closed keeps nobody waiting.
func TestWriter_GatherClosed(t *testing.T) {
	w := &writer{jobs: make(chan *job, maxBatch)}
	close(w.jobs)
	first := &job{ctx: auth.WithPatience(t.Context(), time.Hour), sent: time.Now()}
	if got := w.gather(first); len(got) != 1 || got[0] != first {
		t.Errorf("gather = %v", got)
	}
}
