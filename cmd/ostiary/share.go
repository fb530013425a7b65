package main

import (
	"strings"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/inflight"
	"github.com/ostiary/ostiary/internal/store"
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
		client := inflight.New(inflight.Options{
			Addresses: r.Addresses, User: r.User, Password: r.Password, Database: r.Database, TLS: r.TLS, Cluster: r.Cluster,
		})
		end = func() { _ = client.Close() }
		s.shared = client
	case store.IsPostgres(s.set.Database):
		s.shared = auth.ReserveIn(s.store, nil)
	}
	return end, nil
}
