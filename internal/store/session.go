package store

import (
	"context"
	"math"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

const sessionColumns = `s.id, s.realm_id, s.account_id, s.dialect, s.amr, s.auth_time, s.last_used_at, s.idle_at, s.expires_at,
	s.ended_at, s.end_reason, s.address, s.user_agent, s.generation, s.audience`

// words scans a list that is stored separated by spaces.
type words struct{ list *[]string }

func (w words) Scan(src any) error {
	text, _ := src.(string)
	*w.list = strings.Fields(text)
	return nil
}

func sessionFields(s *auth.Session) []any {
	return []any{&s.ID, &s.RealmID, &s.AccountID, &s.Dialect, words{&s.AMR}, at{&s.AuthTime}, at{&s.LastUsedAt}, at{&s.IdleAt},
		at{&s.ExpiresAt}, at{&s.EndedAt}, &s.EndReason, &s.Address, &s.UserAgent, &s.Generation, &s.Audience}
}

func scanSession(row scanner) (s auth.Session, err error) {
	err = row.Scan(sessionFields(&s)...)
	return s, err
}

const selectSessionRecord = "SELECT " + sessionColumns + ", " + recordColumns + ` FROM session s
	JOIN account a ON a.id = s.account_id ` + recordJoins + "s.dialect WHERE s.realm_id = $1 AND "

func scanSessionRecord(row scanner) (r auth.SessionRecord, err error) {
	fields, finish := recordFields(&r.Account)
	if err := row.Scan(append(sessionFields(&r.Session), fields...)...); err != nil {
		return r, classify(err)
	}
	finish()
	return r, nil
}

func (q queries) SessionByID(ctx context.Context, realm, id uuid.UUID) (auth.SessionRecord, error) {
	return scanSessionRecord(q.row(ctx, selectSessionRecord+"s.id = $2", realm[:], id[:]))
}

func (q queries) SessionByBearer(ctx context.Context, realm uuid.UUID, hash [32]byte) (auth.SessionRecord, error) {
	return scanSessionRecord(q.row(ctx, selectSessionRecord+"s.bearer_hash = $2", realm[:], hash[:]))
}

// alive is the condition under which a session can be used at $2.
const alive = "s.ended_at = 0 AND s.expires_at > $2 AND (s.idle_at = 0 OR s.idle_at > $2)"

func (q queries) Sessions(ctx context.Context, realm, account, after uuid.UUID, limit int, now time.Time) ([]auth.Session, error) {
	where, args := "", []any{realm[:], micros(now), after[:], limit}
	if account != uuid.Nil {
		where, args = "s.account_id = $5 AND ", append(args, account[:])
	}
	return list(ctx, q.prepared, scanSession, "SELECT "+sessionColumns+" FROM session s WHERE "+where+
		"s.realm_id = $1 AND s.id > $3 AND "+alive+" ORDER BY s.id LIMIT $4", args...)
}

func (q queries) InsertSession(ctx context.Context, s auth.Session, bearer []byte) error {
	var hash any
	if bearer != nil {
		hash = bearer
	}
	return q.keep(ctx, `INSERT INTO session (id, realm_id, account_id, dialect, amr, auth_time, last_used_at, idle_at, expires_at,
		ended_at, end_reason, address, user_agent, bearer_hash, generation, rotated_at, audience)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, '', $10, $11, $12, $13, 0, $14)`,
		s.ID[:], s.RealmID[:], s.AccountID[:], string(s.Dialect), strings.Join(s.AMR, " "), micros(s.AuthTime), micros(s.LastUsedAt),
		micros(s.IdleAt), micros(s.ExpiresAt), s.Address, s.UserAgent, hash, s.Generation, s.Audience)
}

// RotateRefresh is the state machine of refresh tokens, in one statement. With the
// session at generation g, a token of generation
//   - g is good: it is spent, and the session moves on to g + 1;
//   - g - 1 was spent when g was made: within the retry time it gets g again, which has
//     not been used, or the session would be past it;
//   - g - 1 after that time, or an older one, was stolen: the session ends.
//
// A rotation is told from a retry by last_used_at, which after a rotation is rotated_at,
// and after a retry later, even on a clock that stands still.
func (q queries) RotateRefresh(ctx context.Context, m *auth.Mount, id uuid.UUID, generation int64, now time.Time) (auth.Rotation, error) {
	if generation < 1 {
		return auth.Rotation{}, auth.ErrNotFound // no chain has had it
	}
	idleAt, since, until := int64(0), int64(math.MaxInt64), micros(now)
	if m.SessionIdle > 0 {
		idleAt = micros(now.Add(m.SessionIdle))
	}
	if retry := m.RefreshRetry; retry > 0 {
		since, until = micros(now.Add(-retry)), micros(now.Add(retry)) // the clock may have been set back
	}
	const honest = "(generation = $4 OR generation = $4 + 1 AND rotated_at >= $6 AND rotated_at <= $8)"
	return q.rotate(ctx, m, id, `UPDATE session AS s SET
			ended_at     = CASE WHEN `+honest+` THEN 0 ELSE CAST($5 AS BIGINT) END,
			end_reason   = CASE WHEN `+honest+` THEN '' ELSE 'refresh_token_reused' END,
			rotated_at   = CASE WHEN generation = $4 THEN CAST($5 AS BIGINT) ELSE rotated_at END,
			generation   = CASE WHEN generation = $4 THEN generation + 1 ELSE generation END,
			last_used_at = CASE WHEN generation = $4 OR rotated_at < $5 THEN CAST($5 AS BIGINT) ELSE rotated_at + 1 END,
			idle_at      = $7
		WHERE id = $1 AND realm_id = $2 AND dialect = $3 AND audience = $9 AND generation >= $4
			AND ended_at = 0 AND expires_at > $5 AND (idle_at = 0 OR idle_at > $5)
		RETURNING `+sessionReturning+`, rotated_at`,
		id[:], m.RealmID[:], string(m.Dialect), generation, micros(now), since, idleAt, until, m.Audience)
}

// rotate moves a session on, and reads whose it is.
func (q queries) rotate(ctx context.Context, m *auth.Mount, id uuid.UUID, update string, args ...any) (auth.Rotation, error) {
	var r auth.Rotation
	var rotatedAt time.Time
	record, finish := recordFields(&r.Account)
	err := q.two(ctx, statement{update, args}, statement{"SELECT " + recordColumns + " FROM account a " + recordJoins + `$3
		WHERE a.realm_id = $1 AND a.id = (SELECT s.account_id FROM session s WHERE s.id = $2)`, []any{m.RealmID[:], id[:], string(m.Dialect)}},
		append(sessionFields(&r.Session), at{&rotatedAt}), record)
	if err != nil {
		return auth.Rotation{}, classify(err)
	}
	finish()
	r.Stolen = !r.Session.EndedAt.IsZero()
	r.Retried = !r.Stolen && !r.Session.LastUsedAt.Equal(rotatedAt)
	return r, nil
}

const sessionReturning = `id, realm_id, account_id, dialect, amr, auth_time, last_used_at, idle_at, expires_at,
	ended_at, end_reason, address, user_agent, generation, audience`

func (q queries) TouchSession(ctx context.Context, realm, id uuid.UUID, idleAt, now time.Time) (bool, error) {
	n, err := q.exec(ctx, `UPDATE session AS s SET last_used_at = $2, idle_at = $3
		WHERE s.id = $1 AND s.realm_id = $4 AND `+alive, id[:], micros(now), micros(idleAt), realm[:])
	return n > 0, err
}

func (q queries) EndSession(ctx context.Context, realm, id uuid.UUID, reason string, now time.Time) (bool, error) {
	n, err := q.exec(ctx, `UPDATE session AS s SET ended_at = $2, end_reason = $3
		WHERE s.id = $1 AND s.realm_id = $4 AND `+alive, id[:], micros(now), reason, realm[:])
	return n > 0, err
}

func (q queries) EndSessions(ctx context.Context, account, except uuid.UUID, reason string, now time.Time) (int, error) {
	err := q.keep(ctx, `INSERT INTO session_cutoff (account_id, realm_id, at) SELECT id, realm_id, CAST($2 AS BIGINT) FROM account WHERE id = $1
		ON CONFLICT (account_id) DO UPDATE SET at = excluded.at WHERE session_cutoff.at < excluded.at`, account[:], micros(now))
	if err != nil {
		return 0, err
	}
	args := []any{account[:], micros(now), reason, except[:]}
	const end = "UPDATE session AS s SET ended_at = $2, end_reason = $3 WHERE s.account_id = $1 AND s.id <> $4 AND "
	n, err := q.exec(ctx, end+alive, args...)
	if err != nil {
		return n, err
	}
	// By the clock of a node that is behind, those that are over by this one's may go on yet.
	return n, q.keep(ctx, end+"s.ended_at = 0 AND s.expires_at > $5 AND (s.idle_at = 0 OR s.idle_at > $5)", append(args, micros(now.Add(-clocksDiffer)))...)
}

// clocksDiffer is how far the clocks of nodes may, where that costs nothing to bear.
const clocksDiffer = time.Minute
