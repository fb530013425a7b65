package store

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

// keepEnded is how long a session that ended stays, so that a stolen refresh token
// that comes late is still seen for what it is.
const keepEnded = 7 * 24 * time.Hour

// keepKeys is how long a signing key that ended stays, so that it can be seen what
// became of it: a sealed key that signs nothing any more had better not lie around.
const keepKeys = 30 * 24 * time.Hour

// keepGuesses is how long a counter of wrong guesses stays that is not at its wall.
const keepGuesses = 30 * 24 * time.Hour

// keepMarks is how long the mark of a process that has ended stays.
const keepMarks = 24 * time.Hour

// old are rows that nothing can use any more: those of a table for which a condition holds,
// by their key.
type old struct {
	table, key, where string
	args              []any
}

// Sweep deletes at most limit rows of each kind that nothing can use any more, and
// returns how many it deleted. Each kind is a transaction of its own, if there is any.
func (s *Store) Sweep(ctx context.Context, now time.Time, limit int, b auth.Budgets) (deleted int, err error) {
	wall := cmp.Or(b.Account.Wall, math.MaxInt)
	before := func(d time.Duration) []any { return []any{micros(now.Add(-d))} }
	for _, o := range []old{
		{"ticket", "hash", "expires_at < $1", before(0)},
		{"ticket_relay", "hash", "expires_at < $1", before(0)},
		{"session", "id", "expires_at < $1", before(keepEnded)},
		{"signing_key", "id", "expires_at > 0 AND expires_at < $1", before(keepKeys)},
		{"verify_key", "id", "expires_at < $1", before(keepKeys)},
		{"foreign_token", "realm_id, hash", "expires_at < $1", before(keepEnded)},
		{"service_secret", "hash", "expires_at > 0 AND expires_at < $1", before(keepEnded)},
		{"known_source", "account_id, source", "seen_at < $1", before(b.KnownFor)},
		{"commit_mark", "writer", "at < $1", before(keepMarks)},
		{"guess_budget", "realm_id, subject, kind, source", "last_at < $1 AND (failures < $2 OR kind IN ('factor', 'source'))", append(before(keepGuesses), wall)},
		{"guess_running", "realm_id, subject, kind, source", "slot < $1", []any{slotOf(now) - 2}},
	} {
		n, err := s.sweep(ctx, o, limit)
		if err != nil {
			return deleted, err
		}
		deleted += n
	}
	return deleted, nil
}

// sweep deletes some old rows. It looks for one first: those who write need not wait for
// whoever finds nothing to delete.
func (s *Store) sweep(ctx context.Context, o old, limit int) (n int, err error) {
	var there bool
	if err := s.row(ctx, "SELECT EXISTS (SELECT 1 FROM "+o.table+" WHERE "+o.where+")", o.args...).Scan(&there); err != nil || !there {
		return 0, classify(err)
	}
	query := fmt.Sprintf("DELETE FROM %s WHERE (%s) IN (SELECT %s FROM %s WHERE %s LIMIT $%d)", o.table, o.key, o.key, o.table, o.where, len(o.args)+1)
	err = s.InTx(ctx, func(tx auth.Tx) error {
		n, err = own(tx).exec(ctx, query, append(o.args, limit)...)
		return err
	})
	return n, err
}

// Value and SetValue keep small facts about the store itself; Value returns "" for
// one that is not there.
func (s *Store) Value(ctx context.Context, name string) (value string, err error) {
	err = s.row(ctx, "SELECT COALESCE((SELECT value FROM store_info WHERE name = $1), '')", name).Scan(&value)
	return value, classify(err)
}

func (s *Store) SetValue(ctx context.Context, name, value string) error {
	return s.InTx(ctx, func(tx auth.Tx) error {
		_, err := own(tx).exec(ctx, upsertFact, name, value)
		return err
	})
}

const upsertFact = "INSERT INTO store_info (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value"

// DropValue removes a fact.
func (s *Store) DropValue(ctx context.Context, name string) error {
	return s.InTx(ctx, func(tx auth.Tx) error {
		_, err := own(tx).exec(ctx, "DELETE FROM store_info WHERE name = $1", name)
		return err
	})
}

// KeepValue sets a fact that is not there yet, and returns the one that is there then:
// of two that set it at once, both get the same.
func (s *Store) KeepValue(ctx context.Context, name, value string) (kept string, err error) {
	err = s.InTx(ctx, func(tx auth.Tx) error {
		q := own(tx)
		if _, err := q.exec(ctx, `INSERT INTO store_info (name, value) VALUES ($1, $2)
			ON CONFLICT (name) DO NOTHING`, name, value); err != nil {
			return err
		}
		return classify(q.row(ctx, "SELECT value FROM store_info WHERE name = $1", name).Scan(&kept))
	})
	return kept, err
}
