package store

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

// sourceHashes scans what recordColumns have of account_password: a line each.
type sourceHashes struct{ list *[]auth.SourceHash }

func (s sourceHashes) Scan(src any) error {
	text, ok := src.(string)
	if !ok {
		return errors.New("passwords that are not a text")
	}
	*s.list = nil
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 5)
		if len(f) < 5 {
			return errors.New("a password without its source")
		}
		created, errCreated := strconv.ParseInt(f[2], 10, 64)
		proven, errProven := strconv.ParseInt(f[3], 10, 64)
		if err := cmp.Or(errCreated, errProven); err != nil {
			return err
		}
		*s.list = append(*s.list, auth.SourceHash{
			Source: auth.Dialect(f[0]), Joined: f[1] != "0", CreatedAt: fromMicros(created), ProvenAt: fromMicros(proven), Hash: f[4],
		})
	}
	slices.SortFunc(*s.list, func(a, b auth.SourceHash) int { return cmp.Compare(a.Source, b.Source) })
	return nil
}

func (q queries) PutSource(ctx context.Context, realm, account uuid.UUID, p auth.SourceHash) error {
	_, err := q.exec(ctx, `INSERT INTO account_password (account_id, dialect, realm_id, hash, everywhere, created_at, proven_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (account_id, dialect) DO UPDATE
		SET hash = excluded.hash, everywhere = excluded.everywhere, created_at = excluded.created_at, proven_at = excluded.proven_at`,
		account[:], string(p.Source), realm[:], p.Hash, bit(p.Joined), micros(p.CreatedAt), micros(p.ProvenAt))
	return err
}

func (q queries) ProveSource(ctx context.Context, account uuid.UUID, d auth.Dialect, old, hash string, now time.Time) (bool, error) {
	n, err := q.exec(ctx, "UPDATE account_password SET hash = $4, proven_at = $5 WHERE account_id = $1 AND dialect = $2 AND hash = $3",
		account[:], string(d), old, hash, micros(now))
	return n > 0, err
}

func (q queries) JoinSource(ctx context.Context, account uuid.UUID, d auth.Dialect, joined bool) (bool, error) {
	n, err := q.exec(ctx, "UPDATE account_password SET everywhere = $3 WHERE account_id = $1 AND dialect = $2 AND everywhere <> $3",
		account[:], string(d), bit(joined))
	return n > 0, err
}

func (q queries) DropSource(ctx context.Context, account uuid.UUID, d auth.Dialect) (bool, error) {
	n, err := q.exec(ctx, "DELETE FROM account_password WHERE account_id = $1 AND dialect = $2", account[:], string(d))
	return n > 0, err
}

func (q queries) DropSources(ctx context.Context, account uuid.UUID) (int, error) {
	return q.exec(ctx, "DELETE FROM account_password WHERE account_id = $1", account[:])
}
