package store

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

// identityFact tells a database from any other that is in its place later: one that was
// restored or copied into, or made anew. Its realms may have other ids.
const identityFact = "identity"

// identity is that of the database a process has read; unset, it may be any.
type identity struct{ known atomic.Pointer[string] }

// errOther is for what is written by a process that has read another database than the one
// that is there now.
var errOther = &auth.Error{Code: auth.CodeUnavailable, RetryAfter: time.Second,
	Cause: errors.New("the database is not the one that this process has read: another was restored, copied or made in its place")}

// refusal is what an answer to selectRefusal says.
func (i *identity) refusal(answer string) (Refusal, error) {
	is, text, _ := strings.Cut(answer, " ")
	if i != nil {
		if known := i.known.Load(); known != nil && *known != is {
			return Refusal{}, errOther
		}
	}
	return parseRefusal(text, time.Now()), nil
}

// Know takes the database for the one that it is now. From here on nothing is written to
// any other, until Know is called again.
func (s *Store) Know(ctx context.Context) error {
	for {
		is, err := s.Value(ctx, identityFact)
		if err != nil {
			return err
		}
		s.identity.known.Store(&is)
		if is != "" {
			return nil
		}
		// By the side of the transactions, which would be refused: this changes what is known.
		if _, err := s.db.ExecContext(ctx, "INSERT INTO store_info (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING", identityFact, rand.Text()); err != nil {
			return classify(err)
		}
	}
}

// Known tells whether the database is still the one that was there when Know was called.
func (s *Store) Known(ctx context.Context) (bool, error) {
	is, err := s.Value(ctx, identityFact)
	known := s.identity.known.Load()
	return known == nil || *known == is, err
}

// Renew has all processes that know the database not know it any more.
func (s *Store) Renew(ctx context.Context) error {
	return s.SetValue(Unrefused(ctx), identityFact, rand.Text())
}
