package main

import (
	"context"
	"errors"
	"strings"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/inflight"
	"github.com/ostiary/ostiary/internal/store"
	"github.com/ostiary/ostiary/internal/throttle"
)

// shareGuesses chooses where the guesses in flight of all nodes are counted: in Redis if
// that is set, or else in PostgreSQL. One process on SQLite counts its own.
func (s *server) shareGuesses() (end func(), err error) {
	end = func() {}
	r, err := s.settings.Redis()
	switch {
	case err != nil:
		return end, err
	case r != nil:
		if plain := r.Plain(); len(plain) > 0 {
			s.log.Warn("the connection to the Redis of guess_redis has no TLS: whoever is on the way reads its password, and can let guesses run; use rediss://", "hosts", strings.Join(plain, ","))
		}
		client := newRedis(r)
		end = func() { _ = client.Close() }
		s.shared = client
	case store.IsPostgres(s.set.Database):
		s.shared = auth.ReserveIn(s.store, nil)
	}
	return end, nil
}

func newRedis(r *config.Redis) *inflight.Redis {
	return inflight.New(inflight.Options{Addresses: r.Addresses, User: r.User, Password: r.Password, Database: r.Database, TLS: r.TLS, Cluster: r.Cluster})
}

// checkRedis sees that guesses can be counted in Redis: one of a realm that there is not.
func (d *doctor) checkRedis() {
	r, err := d.server.Redis()
	if r == nil || err != nil { // an error is one of the settings
		return
	}
	client := newRedis(r)
	defer func() { _ = client.Close() }()
	claims := []auth.Claim{{Key: auth.BudgetKey{Realm: uuid.New(), Kind: auth.BudgetAccount, Subject: "doctor"}, Most: 1}}
	place, err := client.Reserve(d, claims, func(context.Context, auth.BudgetKey, int, *throttle.State) error { return nil })
	if err == nil {
		err = place.Leave(d)
	}
	where := strings.Join(r.Addresses, ",")
	if said, ok := errors.AsType[*auth.Error](err); ok {
		err = said.Cause
	}
	if err != nil {
		d.find(wrong, "redis", "correct guess_redis, or what the Redis lets its user do (docs/budgets.md): without it nobody can sign in", "%v", err)
		return
	}
	d.find(fine, "redis", "", "%s counts guesses", where)
}
