package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/keyring"
)

const selectRealm = "SELECT id, name, refresh_key, created_at FROM realm "

func scanRealm(row scanner) (r auth.Realm, err error) {
	err = row.Scan(&r.ID, &r.Name, &r.RefreshKey, at{&r.CreatedAt})
	return r, err
}

func (q queries) RealmByName(ctx context.Context, name string) (auth.Realm, error) {
	r, err := scanRealm(q.row(ctx, selectRealm+"WHERE name = $1", name))
	return r, classify(err)
}

func (q queries) RealmByID(ctx context.Context, id uuid.UUID) (auth.Realm, error) {
	r, err := scanRealm(q.row(ctx, selectRealm+"WHERE id = $1", id[:]))
	return r, classify(err)
}

func (q queries) Realms(ctx context.Context) ([]auth.Realm, error) {
	return list(ctx, q.prepared, scanRealm, selectRealm+"ORDER BY id")
}

func (q queries) InsertRealm(ctx context.Context, r auth.Realm) error {
	_, err := q.exec(ctx, "INSERT INTO realm (id, name, next_number, refresh_key, created_at) VALUES ($1, $2, 1, $3, $4)",
		r.ID[:], r.Name, r.RefreshKey, micros(r.CreatedAt))
	for _, role := range auth.BuiltInRoles {
		if err == nil {
			err = q.InsertRole(ctx, r.ID, role, r.CreatedAt)
		}
	}
	return err
}

func (q queries) HoldRealm(ctx context.Context, realm uuid.UUID) error {
	return must(q.exec(ctx, "UPDATE realm SET next_number = next_number WHERE id = $1", realm[:]))
}

func (q queries) SetRefreshKey(ctx context.Context, realm uuid.UUID, sealed []byte) error {
	return must(q.exec(ctx, "UPDATE realm SET refresh_key = $2 WHERE id = $1", realm[:], sealed))
}

func (q queries) Keys(ctx context.Context, realm uuid.UUID) ([]keyring.Record, error) {
	return list(ctx, q.prepared, func(row scanner) (k keyring.Record, err error) {
		err = row.Scan(&k.ID, &k.RealmID, &k.Kid, &k.Algorithm, &k.Sealed, &k.Public, at{&k.CreatedAt}, at{&k.SignsFrom}, at{&k.ExpiresAt})
		return k, err
	}, `SELECT id, realm_id, kid, algorithm, sealed, public, created_at, signs_from, expires_at
		FROM signing_key WHERE realm_id = $1 ORDER BY id DESC`, realm[:])
}

func (q queries) InsertKey(ctx context.Context, k keyring.Record) error {
	_, err := q.exec(ctx, `INSERT INTO signing_key (id, realm_id, kid, algorithm, sealed, public, created_at, signs_from, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		k.ID[:], k.RealmID[:], k.Kid, k.Algorithm, k.Sealed, k.Public, micros(k.CreatedAt), micros(k.SignsFrom), micros(k.ExpiresAt))
	return err
}

func (q queries) EndKey(ctx context.Context, id uuid.UUID, end time.Time) error {
	_, err := q.exec(ctx, "UPDATE signing_key SET expires_at = $2 WHERE id = $1", id[:], micros(end))
	return err
}

func (q queries) HashSchemes(ctx context.Context, realm uuid.UUID) ([]string, error) {
	return list(ctx, q.prepared, oneText, "SELECT scheme FROM hash_scheme WHERE realm_id = $1 AND accounts > 0 ORDER BY scheme", realm[:])
}

func (q queries) CountScheme(ctx context.Context, realm uuid.UUID, scheme string, add int) error {
	_, err := q.exec(ctx, `INSERT INTO hash_scheme (realm_id, scheme, accounts) VALUES ($1, $2, $3)
		ON CONFLICT (realm_id, scheme) DO UPDATE SET accounts = hash_scheme.accounts + excluded.accounts`, realm[:], scheme, add)
	return err
}
