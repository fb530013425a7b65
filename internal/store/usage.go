package store

import (
	"context"

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

func (q queries) States(ctx context.Context, realm, after uuid.UUID, limit int) ([]auth.AccountState, error) {
	return list(ctx, q.prepared, func(row scanner) (a auth.AccountState, err error) {
		var signedIn int64
		err = row.Scan(&a.ID, &a.Origin, &signedIn, flag{&a.Disabled}, &a.Elsewhere)
		a.SignedIn = signedIn != 0
		return a, err
	}, `SELECT a.id, a.origin, a.signed_in_at, a.disabled, EXISTS (SELECT 1 FROM factor_elsewhere e WHERE e.account_id = a.id)
		FROM account a WHERE a.id > $2 AND a.realm_id = $1 ORDER BY a.id LIMIT $3`, realm[:], after[:], limit)
}

func (q queries) StatePasswords(ctx context.Context, realm, after, last uuid.UUID) ([]auth.StatePassword, error) {
	return list(ctx, q.prepared, func(row scanner) (p auth.StatePassword, err error) {
		err = row.Scan(&p.Account, &p.Dialect, flag{&p.Pending})
		return p, err
	}, `SELECT account_id, dialect, CASE WHEN hash = '' THEN 1 ELSE 0 END FROM account_password WHERE account_id > $2 AND account_id <= $3 AND realm_id = $1`,
		realm[:], after[:], last[:])
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
