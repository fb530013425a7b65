package store

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

const (
	// refuseFact is that a database takes no writes for a time: until when, and why.
	refuseFact = "refuse_writes"
	// writtenFact is when it was last written to see whether that works.
	writtenFact = "written_at"
)

// Refusal is that no server and no command may write to a database: it is being copied, was
// moved, or is not whole yet. The zero Refusal is none.
type Refusal struct {
	Until time.Time // by the clocks of those that write; so it ends by itself if nobody renews it
	Why   string
}

// Never is the end of what ends only by command.
var Never = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// ForGood tells whether it does not end by itself.
func (r Refusal) ForGood() bool { return r.Until.Equal(Never) }

func (r Refusal) String() string { return strconv.FormatInt(micros(r.Until), 10) + " " + r.Why }

func parseRefusal(text string, now time.Time) Refusal {
	until, why, _ := strings.Cut(text, " ")
	us, _ := strconv.ParseInt(until, 10, 64)
	if r := (Refusal{fromMicros(us), why}); now.Before(r.Until) {
		return r
	}
	return Refusal{}
}

// selectRefusal is the database's identity and its refusal, with a space between them.
const selectRefusal = "SELECT COALESCE((SELECT value FROM store_info WHERE name = '" + identityFact + `'), '') || ' ' ||
	COALESCE((SELECT value FROM store_info WHERE name = '` + refuseFact + "'), '')"

// refused is what a transaction of a batch is told: nil if there is no refusal. It is asked
// once for each batch, in its transaction. An error is for all of the batch.
func (q queries) refused(ctx context.Context) (refused *auth.Error, err error) {
	var text string
	if err := q.row(ctx, selectRefusal).Scan(&text); err != nil {
		return nil, classify(err)
	}
	r, err := q.identity.refusal(text)
	return r.err(), err
}

// refusedRetry is when those that were refused are told to come back.
const refusedRetry = 5 * time.Second

func (r Refusal) err() *auth.Error {
	if r.Until.IsZero() {
		return nil
	}
	return &auth.Error{Code: auth.CodeUnavailable, RetryAfter: refusedRetry, Cause: fmt.Errorf("the database takes no writes: %s", r.Why)}
}

// CopiedFact is how far a database was filled by a copy or by a restore: Copying or Restoring
// until that is done; then, of a copy, the digest of all of it, for as long as nobody uses it.
const (
	CopiedFact = "copied"
	Copying    = "copying"
	Restoring  = "restoring"
)

// HasAccounts tells whether there are accounts, of whatever realm.
func (s *Store) HasAccounts(ctx context.Context) (has bool, err error) {
	err = s.row(ctx, "SELECT EXISTS (SELECT 1 FROM account)").Scan(&has)
	return has, classify(err)
}

type freeKey struct{}

// Unrefused lets what is written with a context be written in spite of a refusal.
func Unrefused(ctx context.Context) context.Context { return context.WithValue(ctx, freeKey{}, true) }

func isUnrefused(ctx context.Context) bool { return ctx.Value(freeKey{}) != nil }

// Refusal returns the one that holds now.
func (s *Store) Refusal(ctx context.Context) (Refusal, error) {
	text, err := s.Value(ctx, refuseFact)
	return parseRefusal(text, time.Now()), err
}

// RefuseWrites has all processes refuse writes. Once it returns, none of what began before
// is still to be committed.
func (s *Store) RefuseWrites(ctx context.Context, r Refusal) error {
	if s.writer != nil {
		return s.KeepRefusing(ctx, r) // SQLite: whoever writes has read it after he began
	}
	for tries := 0; ; tries++ {
		err := s.refusePostgres(ctx, r)
		if err == nil || !isRetryable(err) || tries == 20 {
			return classify(err)
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// refusePostgres waits for the transactions that have read store_info: each batch reads it.
func (s *Store) refusePostgres(ctx context.Context, r Refusal) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	for _, query := range []string{"SET LOCAL lock_timeout = '3s'", "LOCK TABLE store_info IN ACCESS EXCLUSIVE MODE"} {
		if _, err := tx.ExecContext(ctx, query); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, upsertFact, refuseFact, r.String()); err != nil {
		return err
	}
	return tx.Commit()
}

// KeepRefusing changes the refusal that there is, such as its end.
func (s *Store) KeepRefusing(ctx context.Context, r Refusal) error {
	return s.SetValue(Unrefused(ctx), refuseFact, r.String())
}

// TakeWrites ends a refusal.
func (s *Store) TakeWrites(ctx context.Context) error { return s.DropValue(Unrefused(ctx), refuseFact) }

// refused is what the batch is told, by the answer to selectRefusal, if that concerns any of its jobs.
func (b *batch) refused(text string) error {
	r, err := b.store.identity.refusal(text)
	if err != nil {
		return err
	}
	if r.Until.IsZero() || !slices.ContainsFunc(b.jobs, func(j *job) bool { return j.err == nil && !isUnrefused(j.ctx) }) {
		return nil
	}
	return r.err()
}
