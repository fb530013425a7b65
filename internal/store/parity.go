package store

import (
	"context"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/parity"
)

func (q queries) Parity(ctx context.Context, after parity.Key, limit int) ([]parity.Count, error) {
	return list(ctx, q.prepared, func(row scanner) (c parity.Count, err error) {
		c.Realm = after.Realm
		err = row.Scan(&c.Day, &c.Dialect, &c.Route, &c.Kind, &c.Detail, &c.Requests, at{&c.LastAt})
		return c, err
	}, `SELECT day, dialect, route, kind, detail, requests, last_at FROM parity_count
		WHERE realm_id = $1 AND (day, dialect, route, kind, detail) > ($2, $3, $4, $5, $6)
		ORDER BY day, dialect, route, kind, detail LIMIT $7`,
		after.Realm[:], after.Day, after.Dialect, after.Route, string(after.Kind), after.Detail, limit)
}

func (q queries) AddParity(ctx context.Context, c parity.Count) error {
	_, err := q.exec(ctx, `INSERT INTO parity_count (realm_id, day, dialect, route, kind, detail, requests, last_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (realm_id, day, dialect, route, kind, detail) DO UPDATE SET requests = parity_count.requests + excluded.requests,
			last_at = CASE WHEN parity_count.last_at < excluded.last_at THEN excluded.last_at ELSE parity_count.last_at END`,
		c.Realm[:], c.Day, c.Dialect, c.Route, string(c.Kind), c.Detail, c.Requests, micros(c.LastAt))
	return err
}

func (q queries) DeleteParity(ctx context.Context, realm uuid.UUID, before int64, limit int) (int, error) {
	return q.exec(ctx, `DELETE FROM parity_count WHERE (realm_id, day, dialect, route, kind, detail) IN
		(SELECT realm_id, day, dialect, route, kind, detail FROM parity_count WHERE realm_id = $1 AND day < $2 LIMIT $3)`, realm[:], before, limit)
}
