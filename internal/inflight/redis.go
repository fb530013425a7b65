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
	"log/slog"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/ostiary/ostiary/internal/auth"
)

const (
	// life is how long a reservation outlives a node that was killed.
	life = auth.PlaceLife
	// within is how long Redis may take to answer.
	within = 2 * time.Second
	// reloadCluster is how often a cluster is asked which of its nodes has what.
	reloadCluster = time.Second
)

// Options say where Redis is.
type Options struct {
	Addresses      []string
	User, Password string
	Database       int
	TLS, Cluster   bool
	Log            *slog.Logger
}

// Redis is an auth.Reserver.
type Redis struct {
	client redis.UniversalClient
	name   string // where it is, for messages
}

var _ auth.Reserver = (*Redis)(nil)

// New makes a client. It connects when it is asked something.
func New(o Options) *Redis {
	redis.SetLogger(logger{o.Log})
	u := &redis.UniversalOptions{
		Addrs: o.Addresses, Username: o.User, Password: o.Password, DB: o.Database, IsClusterMode: o.Cluster,
		ClientName: "ostiary", DialTimeout: within, ReadTimeout: within, WriteTimeout: within, PoolTimeout: within,
		MaxRetries: 1, DialerRetries: 1, ContextTimeoutEnabled: true, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if o.TLS {
		u.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	r := &Redis{name: strings.Join(o.Addresses, ",")}
	if o.Cluster {
		cluster := u.Cluster()
		cluster.ClusterStateReloadInterval = reloadCluster
		r.client = redis.NewClusterClient(cluster)
	} else {
		r.client = redis.NewClient(u.Simple())
	}
	return r
}

// Close ends the connections.
func (r *Redis) Close() error { return r.client.Close() }

// The script of a reservation: a set for each budget, of the ids of guesses, with the time
// at which each is forgotten. It is Redis' own time, so that the nodes' need not agree. All
// of a guess's sets are of one realm, whose id is the hash tag that keeps them together.
var reserve = redis.NewScript(`
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

var leave = redis.NewScript(`for _, key in ipairs(KEYS) do redis.call('ZREM', key, ARGV[1]) end`)

func keyOf(k auth.BudgetKey) string {
	return "ostiary:guess:{" + k.Realm.String() + "}:" + string(k.Kind) + ":" + k.Subject + ":" + k.Source
}

// Reserve counts the guess first, and then has its counters read.
func (r *Redis) Reserve(ctx context.Context, claims []auth.Claim, judge auth.Judge) (auth.Reservation, error) {
	p := &places{redis: r, id: rand.Text()}
	args := []any{p.id, life.Milliseconds()}
	for _, c := range claims {
		p.keys = append(p.keys, keyOf(c.Key))
		args = append(args, c.Most)
	}
	running, err := reserve.Run(ctx, r.client, p.keys, args...).Int64Slice()
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
	return r.fault(ctx, r.client.ZRem(ctx, "ostiary:guess:{ping}", "ping").Err())
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
	keys  []string
}

// Settle does nothing: they are not where the transaction is.
func (p *places) Settle(context.Context, auth.Tx) (bool, error) { return false, nil }

func (p *places) Leave(ctx context.Context) error {
	err := leave.Run(ctx, p.redis.client, p.keys, p.id).Err()
	if errors.Is(err, redis.Nil) { // the script returns nothing
		err = nil
	}
	return p.redis.fault(ctx, err)
}

// logger has what the client would print in the log.
type logger struct{ log *slog.Logger }

func (l logger) Printf(ctx context.Context, format string, v ...any) {
	l.log.DebugContext(ctx, "redis", "says", fmt.Sprintf(format, v...))
}
