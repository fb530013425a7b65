// Package inflight counts the guesses in flight of all nodes in a Redis, or a cluster of
// them, in place of the database. Only these are there: a Redis that forgets lets a few more
// guesses run at once, whose failures the database counts all the same.
package inflight

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/ostiary/ostiary/internal/auth"
)

// life is how long a reservation outlives a node that was killed.
const life = auth.PlaceLife

// The script of a reservation: a set for each budget, of the ids of guesses, with the time
// at which each is forgotten. It is Redis' own time, so that the nodes' need not agree. All
// of a guess's sets are of one realm, whose id is the hash tag that keeps them together.
var reserve = rueidis.NewLuaScriptRetryable(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local running = {}
for i, key in ipairs(KEYS) do
	redis.call('ZREM', key, ARGV[1]) -- of a request that was sent twice
	redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
	running[i] = redis.call('ZCARD', key) + 1
	if running[i] > tonumber(ARGV[2 + i]) then return {} end
end
for _, key in ipairs(KEYS) do
	redis.call('ZADD', key, now + ARGV[2], ARGV[1])
	redis.call('PEXPIRE', key, ARGV[2])
end
return running`)

var leave = rueidis.NewLuaScriptRetryable(`for _, key in ipairs(KEYS) do redis.call('ZREM', key, ARGV[1]) end`)

func keyOf(k auth.BudgetKey) string {
	return "ostiary:guess:{" + k.Realm.String() + "}:" + string(k.Kind) + ":" + k.Subject + ":" + k.Source
}

// Reserve counts the guess first, and then has its counters read.
func (r *Redis) Reserve(ctx context.Context, claims []auth.Claim, judge auth.Judge) (auth.Reservation, error) {
	if len(claims) == 0 {
		return &places{redis: r}, nil
	}
	p := &places{redis: r, id: rand.Text()}
	args := []string{p.id, strconv.FormatInt(life.Milliseconds(), 10)}
	for _, c := range claims {
		p.keys = append(p.keys, keyOf(c.Key))
		args = append(args, strconv.Itoa(c.Most))
	}
	running, err := r.do(ctx, reserve, p.keys, args...)
	if err != nil {
		return nil, r.fault(ctx, err)
	}
	if len(running) < len(claims) {
		return nil, auth.ErrNoRoom
	}
	for i, c := range claims {
		if err := judge(ctx, c.Key, int(running[i]), nil); err != nil {
			// What can't be given back is forgotten soon.
			_ = p.Leave(context.WithoutCancel(ctx))
			return nil, err
		}
	}
	return p, nil
}

// pinged is a key that never is.
var pinged = []string{"ostiary:guess:{ping}"}

// Ping sees that Redis takes writes.
func (r *Redis) Ping(ctx context.Context) error {
	_, err := r.do(ctx, leave, pinged, "ping")
	return r.fault(ctx, err)
}

// fault is what a failure of Redis means: nobody's guess is decided.
func (r *Redis) fault(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	do := "bring it back, or take the setting away on all nodes and start them again"
	if said, ok := rueidis.IsRedisErr(err); ok && forbidden(said.Error()) {
		do = "give its user what docs/budgets.md says"
	}
	return &auth.Error{Code: auth.CodeUnavailable, RetryAfter: time.Second,
		Cause: fmt.Errorf("the Redis of guess_redis, %s, does not answer as it should: %s: %w", r.name, do, err)}
}

// forbidden says whether a server's error is that it does not know its user, or that this one
// may not do this, or not in a script.
func forbidden(text string) bool {
	return strings.HasPrefix(text, "NOPERM") || strings.HasPrefix(text, "WRONGPASS") || strings.HasPrefix(text, "NOAUTH") || strings.Contains(text, "no permissions") || strings.Contains(text, "can't run this command")
}

// places are those of one guess.
type places struct {
	redis *Redis
	id    string
	keys  []string
}

// Settle does nothing: they are not where the transaction is.
func (p *places) Settle(context.Context, auth.Tx) (bool, error) { return false, nil }

func (p *places) Leave(ctx context.Context) error {
	if len(p.keys) == 0 {
		return nil
	}
	_, err := p.redis.do(ctx, leave, p.keys, p.id)
	return p.redis.fault(ctx, err)
}
