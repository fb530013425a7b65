package store

import (
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

// gather lets a job that has patience wait for others to share its commit with, until the
// patience of one of them ends: at once, if one has none.
func (w *writer) gather(first *job) []*job {
	pending, until := []*job{first}, first.until()
	for len(pending) < maxBatch {
		left := time.Until(until)
		if left <= 0 {
			break
		}
		late := time.NewTimer(left)
		select {
		case next, open := <-w.jobs:
			late.Stop()
			if !open {
				return pending
			}
			pending = append(pending, next)
			if end := next.until(); end.Before(until) {
				until = end
			}
		case <-late.C:
		}
	}
	return pending
}

// until is when the job has to begin.
func (j *job) until() time.Time { return j.sent.Add(auth.Patience(j.ctx)) }
