// Package inflight counts the guesses in flight of all nodes in a Redis, or a cluster of
// them, in place of the database. Only these are there: a Redis that forgets lets a few more
// guesses run at once, whose failures the database counts all the same.
package inflight

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/ostiary/ostiary/internal/auth"
)

const (
	// life is how long a reservation outlives a node that was killed.
	life = auth.PlaceLife
	// within is how long Redis may take to connect, and to answer.
	within = 2 * time.Second
	// redirects is how often a cluster may send a command to another of its nodes.
	redirects = 3
	// idle is how long a connection is kept that nobody uses.
	idle = 5 * time.Minute
)

// Options say where Redis is.
type Options struct {
	Addresses      []string
	User, Password string
	Database       int
	TLS, Cluster   bool
}

// Redis is an auth.Reserver.
type Redis struct {
	cluster bool
	name    string // where it is, for messages
	dial    []redis.DialOption

	mu    sync.Mutex
	nodes []string               // addresses: those of the options, and what a cluster has told
	pools map[string]*redis.Pool // by address
	homes map[string]string      // the node of a cluster that has the keys of a hash tag
}

var _ auth.Reserver = (*Redis)(nil)

// New makes a client. It connects when it is asked something.
func New(o Options) *Redis {
	r := &Redis{
		cluster: o.Cluster, name: strings.Join(o.Addresses, ","), nodes: o.Addresses[:len(o.Addresses):len(o.Addresses)],
		pools: map[string]*redis.Pool{}, homes: map[string]string{},
		dial: []redis.DialOption{redis.DialUsername(o.User), redis.DialPassword(o.Password), redis.DialDatabase(o.Database), redis.DialClientName("ostiary"),
			redis.DialConnectTimeout(within), redis.DialTLSHandshakeTimeout(within), redis.DialReadTimeout(within), redis.DialWriteTimeout(within)},
	}
	if o.TLS {
		r.dial = append(r.dial, redis.DialUseTLS(true), redis.DialTLSConfig(&tls.Config{MinVersion: tls.VersionTLS12}))
	}
	return r
}

// Close ends the connections.
func (r *Redis) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []error
	for _, p := range r.pools {
		all = append(all, p.Close())
	}
	clear(r.pools)
	return errors.Join(all...)
}

// The script of a reservation: a set for each budget, of the ids of guesses, with the time
// at which each is forgotten. It is Redis' own time, so that the nodes' need not agree. All
// of a guess's sets are of one realm, whose id is the hash tag that keeps them together.
var reserve = redis.NewScript(-1, `
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

var leave = redis.NewScript(-1, `for _, key in ipairs(KEYS) do redis.call('ZREM', key, ARGV[1]) end`)

func keyOf(k auth.BudgetKey) string {
	return "ostiary:guess:{" + k.Realm.String() + "}:" + string(k.Kind) + ":" + k.Subject + ":" + k.Source
}

// request is a script with its keys, which are all of one hash tag.
type request struct {
	script *redis.Script
	tag    string
	args   []any // the number of keys, the keys, and the rest
}

func ask(script *redis.Script, tag string, keys []string, args ...any) request {
	q := request{script: script, tag: tag, args: []any{len(keys)}}
	for _, k := range keys {
		q.args = append(q.args, k)
	}
	q.args = append(q.args, args...)
	return q
}

// Reserve counts the guess first, and then has its counters read.
func (r *Redis) Reserve(ctx context.Context, claims []auth.Claim, judge auth.Judge) (auth.Reservation, error) {
	if len(claims) == 0 {
		return &places{redis: r}, nil
	}
	p := &places{redis: r, id: rand.Text(), tag: claims[0].Key.Realm.String()}
	args := []any{p.id, life.Milliseconds()}
	for _, c := range claims {
		p.keys = append(p.keys, keyOf(c.Key))
		args = append(args, c.Most)
	}
	running, err := redis.Int64s(r.do(ctx, ask(reserve, p.tag, p.keys, args...)))
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

// Ping sees that Redis takes writes.
func (r *Redis) Ping(ctx context.Context) error {
	_, err := r.do(ctx, ask(leave, "ping", []string{"ostiary:guess:{ping}"}, "ping"))
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
	return &auth.Error{Code: auth.CodeUnavailable, RetryAfter: time.Second,
		Cause: fmt.Errorf("the Redis of guess_redis, %s, does not answer as it should: bring it back, or take the setting away on all nodes and start them again: %w", r.name, err)}
}

// places are those of one guess.
type places struct {
	redis *Redis
	id    string
	tag   string
	keys  []string
}

// Settle does nothing: they are not where the transaction is.
func (p *places) Settle(context.Context, auth.Tx) (bool, error) { return false, nil }

func (p *places) Leave(ctx context.Context) error {
	if len(p.keys) == 0 {
		return nil
	}
	_, err := p.redis.do(ctx, ask(leave, p.tag, p.keys, p.id))
	return p.redis.fault(ctx, err)
}
