package store

import (
	"cmp"
	"context"
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

// Sweep deletes at most limit rows of each kind that nothing can use any more, and
// returns how many it deleted.
func (s *Store) Sweep(ctx context.Context, now time.Time, limit int, b auth.Budgets) (deleted int, err error) {
	wall := cmp.Or(b.Account.Wall, math.MaxInt)
	before := func(d time.Duration) int64 { return micros(now.Add(-d)) }
	old := []struct {
		query string
		args  []any
	}{
		{"DELETE FROM ticket WHERE hash IN (SELECT hash FROM ticket WHERE expires_at < $1 LIMIT $2)", []any{before(0), limit}},
		{"DELETE FROM ticket_relay WHERE hash IN (SELECT hash FROM ticket_relay WHERE expires_at < $1 LIMIT $2)", []any{before(0), limit}},
		{"DELETE FROM session WHERE id IN (SELECT id FROM session WHERE expires_at < $1 LIMIT $2)", []any{before(keepEnded), limit}},
		{"DELETE FROM signing_key WHERE id IN (SELECT id FROM signing_key WHERE expires_at > 0 AND expires_at < $1 LIMIT $2)", []any{before(keepKeys), limit}},
		{"DELETE FROM verify_key WHERE id IN (SELECT id FROM verify_key WHERE expires_at < $1 LIMIT $2)", []any{before(keepKeys), limit}},
		{"DELETE FROM foreign_token WHERE (realm_id, hash) IN (SELECT realm_id, hash FROM foreign_token WHERE expires_at < $1 LIMIT $2)", []any{before(keepEnded), limit}},
		{"DELETE FROM service_secret WHERE hash IN (SELECT hash FROM service_secret WHERE expires_at > 0 AND expires_at < $1 LIMIT $2)", []any{before(keepEnded), limit}},
		{"DELETE FROM known_source WHERE (account_id, source) IN (SELECT account_id, source FROM known_source WHERE seen_at < $1 LIMIT $2)", []any{before(b.KnownFor), limit}},
		{"DELETE FROM commit_mark WHERE writer IN (SELECT writer FROM commit_mark WHERE at < $1 LIMIT $2)", []any{before(keepMarks), limit}},
		{`DELETE FROM guess_budget WHERE (realm_id, subject, kind, source) IN (SELECT realm_id, subject, kind, source FROM guess_budget
			WHERE last_at < $1 AND (failures < $3 OR kind IN ('factor', 'source')) LIMIT $2)`, []any{before(keepGuesses), limit, wall}},
		{`DELETE FROM guess_running WHERE (realm_id, subject, kind, source) IN (SELECT realm_id, subject, kind, source FROM guess_running
			WHERE slot < $1 LIMIT $2)`, []any{slotOf(now) - 2, limit}},
	}
	for _, o := range old {
		var n int
		err := s.InTx(ctx, func(tx auth.Tx) error {
			n, err = own(tx).exec(ctx, o.query, o.args...)
			return err
		})
		if err != nil {
			return deleted, err
		}
		deleted += n
	}
	return deleted, nil
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
