package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

func (q queries) Writebacks(ctx context.Context, realm uuid.UUID, now time.Time, limit int) ([]auth.WritebackRecord, error) {
	return list(ctx, q.prepared, func(row scanner) (w auth.WritebackRecord, err error) {
		w.RealmID = realm
		err = row.Scan(&w.AccountID, &w.Seq, &w.ID, &w.Sealed, at{&w.CreatedAt}, &w.Tries, at{&w.NextAt})
		return w, err
	}, `SELECT account_id, seq, id, sealed, created_at, tries, next_at FROM writeback w WHERE realm_id = $1 AND next_at <= $2
		AND NOT EXISTS (SELECT 1 FROM writeback e WHERE e.realm_id = w.realm_id AND e.account_id = w.account_id AND e.seq < w.seq)
		ORDER BY next_at LIMIT $3`, realm[:], micros(now), limit)
}

func (q queries) WritebackBacklog(ctx context.Context, realm uuid.UUID) (n int, oldest time.Time, err error) {
	err = q.row(ctx, "SELECT COUNT(*), COALESCE(MIN(created_at), 0) FROM writeback WHERE realm_id = $1", realm[:]).Scan(&n, at{&oldest})
	return n, oldest, classify(err)
}

func (q queries) InsertWriteback(ctx context.Context, w auth.WritebackRecord) error {
	_, err := q.exec(ctx, `INSERT INTO writeback (realm_id, account_id, seq, id, sealed, created_at, tries, next_at)
		SELECT $1, $2, COALESCE(MAX(seq), 0) + 1, $3, $4, $5, 0, $5 FROM writeback WHERE realm_id = $1 AND account_id = $2`,
		w.RealmID[:], w.AccountID[:], w.ID[:], w.Sealed, micros(w.CreatedAt))
	return err
}

func (q queries) DelayWriteback(ctx context.Context, w auth.WritebackRecord, next time.Time) (bool, error) {
	n, err := q.exec(ctx, "UPDATE writeback SET tries = tries + 1, next_at = $5 WHERE realm_id = $1 AND account_id = $2 AND seq = $3 AND id = $4",
		w.RealmID[:], w.AccountID[:], w.Seq, w.ID[:], micros(next))
	return n > 0, err
}

func (q queries) DeleteWriteback(ctx context.Context, w auth.WritebackRecord) (bool, error) {
	n, err := q.exec(ctx, "DELETE FROM writeback WHERE realm_id = $1 AND account_id = $2 AND seq = $3 AND id = $4",
		w.RealmID[:], w.AccountID[:], w.Seq, w.ID[:])
	return n > 0, err
}
