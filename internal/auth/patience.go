package auth

import (
	"context"
	"time"
)

// longestPatience is how long a login waits for others that its commit may be shared with.
const longestPatience = 20 * time.Millisecond

// patient marks the transaction of a login while passwords wait to be hashed: it may wait, too,
// for company. A commit for each login takes processors from hashes, and what cools their
// caches comes more often. A quarter of the backlog keeps the slots from running dry.
func patient(ctx context.Context, backlog time.Duration) context.Context {
	if d := min(backlog/4, longestPatience); d > 0 {
		return WithPatience(ctx, d)
	}
	return ctx
}

// WithPatience marks a transaction that may wait so long for others, to share their commit.
func WithPatience(ctx context.Context, d time.Duration) context.Context {
	return context.WithValue(ctx, patienceKey{}, d)
}

// Patience is what WithPatience has said, or 0.
func Patience(ctx context.Context) time.Duration {
	d, _ := ctx.Value(patienceKey{}).(time.Duration)
	return d
}

type patienceKey struct{}
