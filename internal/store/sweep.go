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

// keepGuesses is how long a counter of wrong guesses stays that is not at its wall: until all of
// them are forgotten, and a month at least.
func keepGuesses(b auth.Budgets) time.Duration {
	const least, most = 30 * 24 * time.Hour, 10 * 366 * 24 * time.Hour
	n := time.Duration(cmp.Or(b.Account.Wall, 100))
	return max(least, min(most/n, max(b.Account.Decay, b.Known.Decay))*n)
}

// keepMarks is how long the mark of a process that has ended stays.
const keepMarks = 24 * time.Hour

// pieceRows is how many rows of a kind are deleted in one transaction, without haste. Others that write
// wait for it, and for some pages of each row, which lie anywhere in a large file: for about a millisecond.
const pieceRows = 3

// old are rows that nothing can use any more: those of a table whose age, a time, is before
// another one, if they are not ones that stay, by their key. An age has an index where a
// table may be large.
type old struct {
	table, key, age string
	before          int64
	but             string // of two conditions: the other one
	args            []any
}

// oldRows are all kinds of them.
func oldRows(now time.Time, b auth.Budgets) []old {
	wall := cmp.Or(b.Account.Wall, math.MaxInt)
	before := func(d time.Duration) int64 { return micros(now.Add(-d)) }
	return []old{
		{"ticket", "hash", "expires_at", before(0), "", nil},
		{"ticket_relay", "hash", "expires_at", before(0), "", nil},
		{"session", "id", "expires_at", before(keepEnded), "", nil},
		{"signing_key", "id", "expires_at", before(keepKeys), "expires_at > 0", nil},
		{"verify_key", "id", "expires_at", before(keepKeys), "", nil},
		{"foreign_token", "realm_id, hash", "expires_at", before(keepEnded), "", nil},
		{"service_secret", "hash", "expires_at", before(keepEnded), "expires_at > 0", nil},
		{"known_source", "account_id, source", "seen_at", before(b.KnownFor), "", nil},
		{"commit_mark", "writer", "at", before(keepMarks), "", nil},
		{"guess_budget", "realm_id, subject, kind, source", "last_at", before(keepGuesses(b)), "(failures < $2 OR kind IN ('factor', 'source'))", []any{wall}},
		{"guess_running", "realm_id, subject, kind, source", "slot", slotOf(now) - 2, "", nil},
	}
}

// where is the condition for them.
func (o old) where() string {
	if o.but != "" {
		return o.age + " < $1 AND " + o.but
	}
	return o.age + " < $1"
}

// oldest selects something of the oldest of them. The order has the engine walk the index,
// even where it believes that most rows are old, and that any of the table will do.
func (o old) oldest(what, limit string) (query string, args []any) {
	return fmt.Sprintf("SELECT %s FROM %s WHERE %s ORDER BY %s LIMIT %s", what, o.table, o.where(), o.age, limit), append([]any{o.before}, o.args...)
}

// look tells whether there is any: those who write need not wait for whoever finds nothing.
func (o old) look() (query string, args []any) {
	query, args = o.oldest("1", "1")
	return "SELECT COALESCE((" + query + "), 0)", args
}

// drop deletes at most limit of them. Of a row that is used again at the same moment, PostgreSQL looks at the
// condition once more before it deletes it, but not at what was selected: so it stands outside, too.
func (o old) drop(limit int) (query string, args []any) {
	query, args = o.oldest(o.key, fmt.Sprintf("$%d", len(o.args)+2))
	return fmt.Sprintf("DELETE FROM %s WHERE (%s) IN (%s) AND %s", o.table, o.key, query, o.where()), append(args, limit)
}

// Sweep deletes at most limit rows of each kind that nothing can use any more, and
// returns how many it deleted, in small transactions with rests between them: so many
// times the usual few rows in each.
func (s *Store) Sweep(ctx context.Context, now time.Time, limit, times int, b auth.Budgets) (deleted int, err error) {
	for _, o := range oldRows(now, b) {
		n, err := s.sweep(ctx, o, limit, times*pieceRows)
		if err != nil {
			return deleted, err
		}
		deleted += n
	}
	return deleted, nil
}

func (s *Store) sweep(ctx context.Context, o old, limit, most int) (n int, err error) {
	query, args := o.look()
	var there int
	if err := s.row(ctx, query, args...).Scan(&there); err != nil || there == 0 {
		return 0, classify(err)
	}
	for n < limit {
		piece, done, began := min(most, limit-n), 0, time.Now()
		query, args = o.drop(piece)
		err := s.InTx(ctx, func(tx auth.Tx) (err error) {
			done, err = own(tx).exec(ctx, query, args...)
			return err
		})
		if err != nil {
			return n, err
		}
		if n += done; done < piece || n == limit {
			break
		}
		auth.Rest(ctx, began)
	}
	return n, nil
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
