package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

func (q queries) Usage(ctx context.Context, realm uuid.UUID, after auth.Usage, limit int) ([]auth.Usage, error) {
	return list(ctx, q.prepared, func(row scanner) (u auth.Usage, err error) {
		err = row.Scan(&u.Day, &u.Dialect, &u.What, &u.Client, &u.Source, &u.Requests, at{&u.Last})
		return u, err
	}, `SELECT day, dialect, what, client, source, requests, last_at FROM usage_count
		WHERE realm_id = $1 AND (day, dialect, what, client, source) > ($2, $3, $4, $5, $6)
		ORDER BY day, dialect, what, client, source LIMIT $7`,
		realm[:], after.Day, string(after.Dialect), after.What, after.Client, after.Source, limit)
}

func (q queries) AddUsage(ctx context.Context, realm uuid.UUID, u auth.Usage, room int) error {
	n, err := q.exec(ctx, `UPDATE usage_count SET requests = requests + $7, last_at = CASE WHEN last_at < $8 THEN $8 ELSE last_at END
		WHERE realm_id = $1 AND day = $2 AND dialect = $3 AND what = $4 AND client = $5 AND source = $6`, usageArgs(realm, u)...)
	if err != nil || n > 0 {
		return err
	}
	err = q.row(ctx, "SELECT COUNT(*) FROM usage_count WHERE realm_id = $1 AND day = $2 AND dialect = $3 AND what = $4",
		realm[:], u.Day, string(u.Dialect), u.What).Scan(&n)
	if err != nil {
		return classify(err)
	}
	if n >= room {
		u.Client, u.Source = auth.UsageOther, auth.UsageOther
	}
	// Another node may have been first.
	_, err = q.exec(ctx, `INSERT INTO usage_count (realm_id, day, dialect, what, client, source, requests, last_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (realm_id, day, dialect, what, client, source) DO UPDATE SET requests = usage_count.requests + excluded.requests,
			last_at = CASE WHEN usage_count.last_at < excluded.last_at THEN excluded.last_at ELSE usage_count.last_at END`, usageArgs(realm, u)...)
	return err
}

func usageArgs(realm uuid.UUID, u auth.Usage) []any {
	return []any{realm[:], u.Day, string(u.Dialect), u.What, u.Client, u.Source, u.Requests, micros(u.Last)}
}

func (q queries) DeleteUsage(ctx context.Context, realm uuid.UUID, before int64, limit int) (int, error) {
	return q.exec(ctx, `DELETE FROM usage_count WHERE (realm_id, day, dialect, what, client, source) IN
		(SELECT realm_id, day, dialect, what, client, source FROM usage_count WHERE realm_id = $1 AND day < $2 LIMIT $3)`, realm[:], before, limit)
}

func (q queries) States(ctx context.Context, realm, after uuid.UUID, limit int) (n auth.AccountStates, last uuid.UUID, err error) {
	err = q.row(ctx, `SELECT page.id FROM (SELECT id FROM account WHERE realm_id = $1 AND id > $2 ORDER BY id LIMIT $3) page
		ORDER BY page.id DESC LIMIT 1`, realm[:], after[:], limit).Scan(&last)
	if errors.Is(err, sql.ErrNoRows) {
		return n, after, nil
	}
	if err != nil {
		return n, after, classify(err)
	}
	err = q.row(ctx, `SELECT COUNT(*), COUNT(CASE WHEN a.signed_in_at <> 0 THEN 1 END),
			COUNT(CASE WHEN a.origin = $4 THEN 1 END), COUNT(CASE WHEN a.origin = $5 THEN 1 END), COUNT(CASE WHEN a.disabled <> 0 THEN 1 END),
			COUNT(CASE WHEN EXISTS (SELECT 1 FROM factor_elsewhere e WHERE e.account_id = a.id) THEN 1 END)
		FROM account a WHERE a.realm_id = $1 AND a.id > $2 AND a.id <= $3`, realm[:], after[:], last[:], auth.OriginImport, auth.OriginTakeover).
		Scan(&n.Accounts, &n.SignedIn, &n.Imported, &n.Adopted, &n.Disabled, &n.Elsewhere)
	return n, last, classify(err)
}

func (q queries) PendingPasswords(ctx context.Context, realm, after, last uuid.UUID) ([]auth.Dialect, error) {
	return list(ctx, q.prepared, func(row scanner) (d auth.Dialect, err error) {
		err = row.Scan(&d)
		return d, err
	}, "SELECT dialect FROM account_password WHERE account_id > $2 AND account_id <= $3 AND realm_id = $1 AND hash = ''", realm[:], after[:], last[:])
}

func (q queries) SchemeCounts(ctx context.Context, realm uuid.UUID) (map[string]int, error) {
	counts := map[string]int{}
	_, err := list(ctx, q.prepared, func(row scanner) (struct{}, error) {
		var scheme string
		var n int
		err := row.Scan(&scheme, &n)
		counts[scheme] = n
		return struct{}{}, err
	}, "SELECT scheme, accounts FROM hash_scheme WHERE realm_id = $1 AND accounts > 0", realm[:])
	return counts, err
}
