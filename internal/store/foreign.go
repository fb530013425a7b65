package store

import (
	"context"
	"crypto/sha256"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/keyring"
)

func (q queries) ForeignToken(ctx context.Context, realm uuid.UUID, hash [32]byte) (r auth.ForeignRecord, err error) {
	err = q.row(ctx, `SELECT realm_id, hash, account_id, dialect, kind, session_id, key_id, created_at, expires_at, spent_at
		FROM foreign_token WHERE realm_id = $1 AND hash = $2`, realm[:], hash[:]).
		Scan(&r.RealmID, bytesOf{r.Hash[:]}, &r.AccountID, &r.Dialect, &r.Kind, bytesOf{r.Session[:]}, bytesOf{r.Key[:]}, at{&r.CreatedAt}, at{&r.ExpiresAt}, at{&r.SpentAt})
	return r, classify(err)
}

func (q queries) AnyForeignToken(ctx context.Context, now time.Time) (any bool, err error) {
	err = q.row(ctx, "SELECT EXISTS (SELECT 1 FROM foreign_token WHERE expires_at > $1)", micros(now)).Scan(&any)
	return any, classify(err)
}

const insertForeign = `INSERT INTO foreign_token (realm_id, hash, account_id, dialect, kind, session_id, key_id, created_at, expires_at, spent_at)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (realm_id, hash) DO `

func foreignArgs(r auth.ForeignRecord) []any {
	return []any{r.RealmID[:], r.Hash[:], r.AccountID[:], string(r.Dialect), string(r.Kind), nullable(r.Session), nullable(r.Key),
		micros(r.CreatedAt), micros(r.ExpiresAt), micros(r.SpentAt)}
}

func (q queries) InsertForeignToken(ctx context.Context, r auth.ForeignRecord) (bool, error) {
	n, err := q.exec(ctx, insertForeign+"NOTHING", foreignArgs(r)...)
	return n > 0, err
}

func (q queries) LearnForeignToken(ctx context.Context, r auth.ForeignRecord) (bool, error) {
	n, err := q.exec(ctx, insertForeign+`UPDATE SET session_id = excluded.session_id, created_at = excluded.created_at,
			expires_at = excluded.expires_at, spent_at = excluded.spent_at
		WHERE foreign_token.account_id = excluded.account_id AND foreign_token.dialect = excluded.dialect AND foreign_token.kind = excluded.kind`,
		foreignArgs(r)...)
	return n > 0, err
}

func (q queries) SpendForeignToken(ctx context.Context, realm uuid.UUID, hash [32]byte, session, key uuid.UUID, now time.Time) (bool, error) {
	n, err := q.exec(ctx, `UPDATE foreign_token SET spent_at = $4, session_id = $3, key_id = $5
		WHERE realm_id = $1 AND hash = $2 AND spent_at = 0 AND session_id IS NULL AND expires_at > $4`,
		realm[:], hash[:], nullable(session), micros(now), nullable(key))
	return n > 0, err
}

// RotateForeign is the beginning of the state machine of RotateRefresh. The session's first
// generation is the successor: it is made when the first foreign token comes (rotated_at is
// 0 until then), it is given again within the retry time, as long as it has not been used
// (generation is 1), and all else is a theft.
func (q queries) RotateForeign(ctx context.Context, m *auth.Mount, id uuid.UUID, now time.Time) (auth.Rotation, error) {
	idleAt, since, until := int64(0), int64(math.MaxInt64), micros(now)
	if m.SessionIdle > 0 {
		idleAt = micros(now.Add(m.SessionIdle))
	}
	if retry := m.RefreshRetry; retry > 0 {
		since, until = micros(now.Add(-retry)), micros(now.Add(retry)) // the clock may have been set back
	}
	const honest = "(generation = 1 AND (rotated_at = 0 OR rotated_at >= $5 AND rotated_at <= $7))"
	return q.rotate(ctx, m, id, `UPDATE session AS s SET
			ended_at     = CASE WHEN `+honest+` THEN 0 ELSE CAST($4 AS BIGINT) END,
			end_reason   = CASE WHEN `+honest+` THEN '' ELSE 'refresh_token_reused' END,
			rotated_at   = CASE WHEN rotated_at = 0 AND generation = 1 THEN CAST($4 AS BIGINT) ELSE rotated_at END,
			last_used_at = CASE WHEN rotated_at < $4 THEN CAST($4 AS BIGINT) ELSE rotated_at + 1 END,
			idle_at      = $6
		WHERE id = $1 AND realm_id = $2 AND dialect = $3 AND audience = $8 AND generation >= 1
			AND ended_at = 0 AND expires_at > $4 AND (idle_at = 0 OR idle_at > $4)
		RETURNING `+sessionReturning+`, rotated_at`,
		id[:], m.RealmID[:], string(m.Dialect), micros(now), since, idleAt, until, m.Audience)
}

func (q queries) ExtendSession(ctx context.Context, realm, id uuid.UUID, idleAt, expiresAt, now time.Time) (bool, error) {
	n, err := q.exec(ctx, `UPDATE session AS s SET last_used_at = $2, idle_at = $3, expires_at = CASE WHEN s.expires_at < $5 THEN $5 ELSE s.expires_at END
		WHERE s.id = $1 AND s.realm_id = $4 AND `+alive, id[:], micros(now), micros(idleAt), realm[:], micros(expiresAt))
	return n > 0, err
}

func (q queries) SessionCutoff(ctx context.Context, realm, account uuid.UUID) (cutoff time.Time, err error) {
	err = q.row(ctx, "SELECT COALESCE(MAX(at), 0) FROM session_cutoff WHERE account_id IN ($1, $2)", realm[:], account[:]).Scan(at{&cutoff})
	return cutoff, classify(err)
}

func (q queries) CutSessions(ctx context.Context, realm, account uuid.UUID, now time.Time) error {
	return q.keep(ctx, `INSERT INTO session_cutoff (account_id, realm_id, at) VALUES ($1, $2, $3)
		ON CONFLICT (account_id) DO UPDATE SET at = excluded.at WHERE session_cutoff.at < excluded.at`, account[:], realm[:], micros(now))
}

func (q queries) AccountBySubject(ctx context.Context, realm uuid.UUID, d auth.Dialect, subject string) (auth.AccountRecord, error) {
	return scanRecord(q.row(ctx, "SELECT "+recordColumns+` FROM account_alias al JOIN account a ON a.id = al.account_id AND a.realm_id = $1 `+recordJoins+`$2
		WHERE al.realm_id = $1 AND al.dialect = $2 AND al.subject = $3`, realm[:], string(d), subject))
}

func (q queries) AccountByNumber(ctx context.Context, realm uuid.UUID, number int64, d auth.Dialect) (auth.AccountRecord, error) {
	return scanRecord(q.row(ctx, "SELECT "+recordColumns+" FROM account a "+recordJoins+"$3 WHERE a.realm_id = $1 AND a.number = $2", realm[:], number, string(d)))
}

// subjectHash is what name_gone has of a subject: no name begins like that.
func subjectHash(d auth.Dialect, subject string) []byte {
	sum := sha256.Sum256([]byte("\x00subject\x00" + string(d) + "\x00" + subject))
	return sum[:]
}

func (q queries) SubjectGone(ctx context.Context, realm uuid.UUID, d auth.Dialect, subject string) (gone time.Time, err error) {
	err = q.row(ctx, "SELECT COALESCE(MAX(gone_at), 0) FROM name_gone WHERE realm_id = $1 AND name_hash IN ($2, $3)",
		realm[:], subjectHash(d, subject), subjectHash("", subject)).Scan(at{&gone})
	return gone, classify(err)
}

func (q queries) NoteSubjectGone(ctx context.Context, realm uuid.UUID, d auth.Dialect, subject string, now time.Time) error {
	return q.keep(ctx, `INSERT INTO name_gone (realm_id, name_hash, gone_at) VALUES ($1, $2, $3)
		ON CONFLICT (realm_id, name_hash) DO UPDATE SET gone_at = excluded.gone_at`, realm[:], subjectHash(d, subject), micros(now))
}

func (q queries) ForeignKeys(ctx context.Context, realm uuid.UUID) ([]keyring.Foreign, error) {
	return list(ctx, q.prepared, func(row scanner) (k keyring.Foreign, err error) {
		err = row.Scan(&k.ID, &k.RealmID, &k.Kid, &k.Algorithm, &k.Dialect, &k.Issuer, &k.Audience, &k.Public, &k.Sealed, at{&k.CreatedAt}, at{&k.ExpiresAt})
		if k.Algorithm == keyring.HS256 {
			k.Public = nil // and not empty, as it is stored
		} else {
			k.Sealed = nil
		}
		return k, err
	}, `SELECT id, realm_id, kid, algorithm, dialect, issuer, audience, public, sealed, created_at, expires_at
		FROM verify_key WHERE realm_id = $1 ORDER BY id DESC`, realm[:])
}

func (q queries) InsertForeignKey(ctx context.Context, k keyring.Foreign) error {
	_, err := q.exec(ctx, `INSERT INTO verify_key (id, realm_id, kid, algorithm, dialect, issuer, audience, public, sealed, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		k.ID[:], k.RealmID[:], k.Kid, k.Algorithm, k.Dialect, k.Issuer, k.Audience, orEmpty(k.Public), orEmpty(k.Sealed), micros(k.CreatedAt), micros(k.ExpiresAt))
	return err
}

func (q queries) HoldForeignKey(ctx context.Context, realm, id uuid.UUID, now time.Time) (bool, error) {
	n, err := q.exec(ctx, "UPDATE verify_key SET expires_at = expires_at WHERE id = $2 AND realm_id = $1 AND expires_at > $3", realm[:], id[:], micros(now))
	return n > 0, err
}

func (q queries) EndForeignKey(ctx context.Context, realm, id uuid.UUID, now time.Time) (bool, error) {
	n, err := q.exec(ctx, "UPDATE verify_key SET expires_at = $3 WHERE id = $2 AND realm_id = $1 AND expires_at > $3", realm[:], id[:], micros(now))
	return n > 0, err
}

func (q queries) EndKeySessions(ctx context.Context, realm, key uuid.UUID, reason string, now time.Time) (int, error) {
	return q.exec(ctx, `UPDATE session AS s SET ended_at = $2, end_reason = $3
		WHERE s.id IN (SELECT f.session_id FROM foreign_token f WHERE f.key_id = $4) AND s.realm_id = $1 AND `+alive,
		realm[:], micros(now), reason, key[:])
}

// orEmpty is a value that is not NULL.
func orEmpty(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
