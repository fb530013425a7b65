package store

import (
	"context"
	"fmt"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

// endOf is when somebody who waits has waited long enough for the database: for maxBusy in
// all that his request asks of it. The zero Time is never: for those without a deadline.
func endOf(ctx context.Context) time.Time {
	deadline, hurried := ctx.Deadline()
	if !hurried {
		return time.Time{}
	}
	end := time.Now().Add(maxBusy - auth.WaitedOf(ctx).Sum())
	if deadline.Before(end) {
		return deadline
	}
	return end
}

// lateAt returns a channel that says when it is that time, and what stops it.
func lateAt(end time.Time) (late <-chan time.Time, stop func()) {
	if end.IsZero() {
		return nil, func() {}
	}
	timer := time.NewTimer(time.Until(end))
	return timer.C, func() { timer.Stop() }
}

// errLate is for those who have waited long enough.
var errLate = &auth.Error{Code: auth.CodeUnavailable, RetryAfter: time.Second,
	Cause: fmt.Errorf("the database has kept a request waiting for %s in all: it is away or too slow, or something holds what the request needs (pg_stat_activity says who waits for whom)", maxBusy)}

// waited notes that a request has waited since then, if the database is one that may be far away.
func (p *prepared) waited(ctx context.Context, since time.Time) {
	if p.era != nil {
		auth.WaitedOf(ctx).Add(since)
	}
}
