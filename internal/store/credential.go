package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

func (q queries) SetPassword(ctx context.Context, account uuid.UUID, version int64, hash string, now time.Time) (bool, error) {
	n, err := q.exec(ctx, "UPDATE account SET password_hash = $3, version = version + 1, updated_at = $4 WHERE id = $1 AND version = $2",
		account[:], version, hash, micros(now))
	if err != nil || n == 0 {
		return false, err
	}
	return true, q.ResetMerges(ctx, account, now)
}

func (q queries) ResetMerges(ctx context.Context, kept uuid.UUID, now time.Time) error {
	return q.keep(ctx, "UPDATE account_merge SET reset_at = $2 WHERE kept_id = $1 AND reset_at = 0", kept[:], micros(now))
}

func (q queries) KeepPassword(ctx context.Context, account uuid.UUID, n int, now time.Time) error {
	if _, err := q.exec(ctx, `INSERT INTO password_history (account_id, seq, realm_id, hash, replaced_at)
		SELECT p.account_id, COALESCE((SELECT MAX(h.seq) FROM password_history h WHERE h.account_id = p.account_id), 0) +
			(SELECT COUNT(*) FROM account_password o WHERE o.account_id = p.account_id AND o.dialect <= p.dialect AND o.hash <> ''),
			p.realm_id, p.hash, $2 FROM account_password p WHERE p.account_id = $1 AND p.hash <> ''`, account[:], micros(now)); err != nil {
		return err
	}
	if _, err := q.exec(ctx, `INSERT INTO password_history (account_id, seq, realm_id, hash, replaced_at)
		SELECT a.id, COALESCE((SELECT MAX(h.seq) FROM password_history h WHERE h.account_id = a.id), 0) + 1, a.realm_id, a.password_hash, $2
		FROM account a WHERE a.id = $1 AND a.password_hash <> ''`, account[:], micros(now)); err != nil {
		return err
	}
	_, err := q.exec(ctx, `DELETE FROM password_history WHERE account_id = $1
		AND seq <= (SELECT MAX(h.seq) FROM password_history h WHERE h.account_id = $1) - $2`, account[:], n)
	return err
}

func (q queries) PastPasswords(ctx context.Context, account uuid.UUID) ([]string, error) {
	return list(ctx, q.prepared, func(row scanner) (hash string, err error) {
		err = row.Scan(&hash)
		return hash, err
	}, "SELECT hash FROM password_history WHERE account_id = $1 ORDER BY seq DESC", account[:])
}

func (q queries) Rehash(ctx context.Context, account uuid.UUID, old, hash string) (bool, error) {
	n, err := q.exec(ctx, "UPDATE account SET password_hash = $3 WHERE id = $1 AND password_hash = $2", account[:], old, hash)
	return n > 0, err
}

func (q queries) ChangeVersion(ctx context.Context, account uuid.UUID, now time.Time) error {
	return must(q.exec(ctx, "UPDATE account SET version = version + 1, updated_at = $2 WHERE id = $1", account[:], micros(now)))
}

func (q queries) InsertSecret(ctx context.Context, realm, account uuid.UUID, hash [32]byte, now time.Time) error {
	_, err := q.exec(ctx, "INSERT INTO service_secret (hash, realm_id, account_id, created_at, expires_at) VALUES ($1, $2, $3, $4, 0)",
		hash[:], realm[:], account[:], micros(now))
	return err
}

func (q queries) ExpireSecrets(ctx context.Context, account uuid.UUID, end time.Time) error {
	_, err := q.exec(ctx, "UPDATE service_secret SET expires_at = $2 WHERE account_id = $1 AND (expires_at = 0 OR expires_at > $2)",
		account[:], micros(end))
	return err
}

func (q queries) SecretLives(ctx context.Context, account uuid.UUID, hash [32]byte, now time.Time) (lives bool, err error) {
	err = q.row(ctx, `SELECT EXISTS (SELECT 1 FROM service_secret
		WHERE hash = $1 AND account_id = $2 AND (expires_at = 0 OR expires_at > $3))`, hash[:], account[:], micros(now)).Scan(&lives)
	return lives, classify(err)
}

func (q queries) StartFactor(ctx context.Context, realm, account uuid.UUID, f auth.Factor) error {
	n, err := q.exec(ctx, `INSERT INTO totp_factor (account_id, realm_id, secret, last_step, created_at, confirmed_at)
		VALUES ($1, $2, $3, $4, $5, 0)
		ON CONFLICT (account_id) DO UPDATE SET secret = excluded.secret, last_step = excluded.last_step, created_at = excluded.created_at
		WHERE totp_factor.confirmed_at = 0`, account[:], realm[:], f.Secret, f.LastStep, micros(f.CreatedAt))
	if err == nil && n == 0 {
		err = auth.ErrConflict
	}
	return err
}

func (q queries) UseStep(ctx context.Context, account uuid.UUID, step int64, now time.Time) (bool, error) {
	n, err := q.exec(ctx, `UPDATE totp_factor
		SET last_step = $2, confirmed_at = CASE WHEN confirmed_at = 0 THEN CAST($3 AS BIGINT) ELSE confirmed_at END
		WHERE account_id = $1 AND last_step < $2`, account[:], step, micros(now))
	return n > 0, err
}

func (q queries) SetElsewhere(ctx context.Context, realm, account uuid.UUID, d auth.Dialect, enrols bool, now time.Time) error {
	_, err := q.exec(ctx, `INSERT INTO factor_elsewhere (account_id, realm_id, dialect, since, enrols) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (account_id) DO UPDATE SET dialect = excluded.dialect, enrols = excluded.enrols`, account[:], realm[:], string(d), micros(now), bit(enrols))
	return err
}

func (q queries) DropElsewhere(ctx context.Context, account uuid.UUID) (bool, error) {
	n, err := q.exec(ctx, "DELETE FROM factor_elsewhere WHERE account_id = $1", account[:])
	return n > 0, err
}

func (q queries) DeleteFactor(ctx context.Context, account uuid.UUID) (bool, error) {
	if _, err := q.exec(ctx, "DELETE FROM recovery_code WHERE account_id = $1", account[:]); err != nil {
		return false, err
	}
	n, err := q.exec(ctx, "DELETE FROM totp_factor WHERE account_id = $1", account[:])
	return n > 0, err
}

func (q queries) RecoveryCodes(ctx context.Context, account uuid.UUID) (n int, err error) {
	err = q.row(ctx, "SELECT COUNT(*) FROM recovery_code WHERE account_id = $1 AND spent_at = 0", account[:]).Scan(&n)
	return n, classify(err)
}

func (q queries) ReplaceRecoveryCodes(ctx context.Context, realm, account uuid.UUID, hashes [][32]byte, now time.Time) error {
	if _, err := q.exec(ctx, "DELETE FROM recovery_code WHERE account_id = $1", account[:]); err != nil {
		return err
	}
	for _, h := range hashes {
		if _, err := q.exec(ctx, "INSERT INTO recovery_code (account_id, hash, realm_id, created_at, spent_at) VALUES ($1, $2, $3, $4, 0)",
			account[:], h[:], realm[:], micros(now)); err != nil {
			return err
		}
	}
	return nil
}

func (q queries) SpendRecoveryCode(ctx context.Context, account uuid.UUID, hash [32]byte, now time.Time) (bool, error) {
	n, err := q.exec(ctx, "UPDATE recovery_code SET spent_at = $3 WHERE account_id = $1 AND hash = $2 AND spent_at = 0",
		account[:], hash[:], micros(now))
	return n > 0, err
}

func (q queries) InsertTicket(ctx context.Context, t auth.Ticket) error {
	return q.keep(ctx, `INSERT INTO ticket (hash, realm_id, account_id, version, attempts, created_at, expires_at, spent_at)
		VALUES ($1, $2, $3, $4, 0, $5, $6, 0)`,
		t.Hash[:], t.RealmID[:], t.AccountID[:], t.Version, micros(t.CreatedAt), micros(t.ExpiresAt))
}

func (q queries) InsertTicketRelay(ctx context.Context, t auth.Ticket, sealed []byte) error {
	return q.keep(ctx, "INSERT INTO ticket_relay (hash, realm_id, sealed, expires_at) VALUES ($1, $2, $3, $4)",
		t.Hash[:], t.RealmID[:], sealed, micros(t.ExpiresAt))
}

func (q queries) TicketRelay(ctx context.Context, realm uuid.UUID, hash [32]byte) (sealed []byte, err error) {
	err = q.row(ctx, "SELECT sealed FROM ticket_relay WHERE hash = $1 AND realm_id = $2", hash[:], realm[:]).Scan(&sealed)
	return sealed, classify(err)
}

func (q queries) TicketAccount(ctx context.Context, realm uuid.UUID, hash [32]byte) (id uuid.UUID, err error) {
	err = q.row(ctx, "SELECT account_id FROM ticket WHERE hash = $1 AND realm_id = $2", hash[:], realm[:]).Scan(&id)
	return id, classify(err)
}

func (q queries) TicketFrom(ctx context.Context, realm uuid.UUID, hash [32]byte, source string, since time.Time) (id uuid.UUID, known bool, err error) {
	err = q.row(ctx, `SELECT t.account_id,
		EXISTS (SELECT 1 FROM known_source k WHERE k.account_id = t.account_id AND k.source = $3 AND k.seen_at >= $4)
		FROM ticket t WHERE t.hash = $1 AND t.realm_id = $2`, hash[:], realm[:], source, micros(since)).Scan(&id, &known)
	return id, known, classify(err)
}

func (q queries) LiveTickets(ctx context.Context, account uuid.UUID, version int64, max int, now time.Time) (n int, err error) {
	err = q.row(ctx, `SELECT COUNT(*) FROM ticket
		WHERE account_id = $1 AND version = $2 AND attempts < $3 AND spent_at = 0 AND expires_at > $4`, account[:], version, max, micros(now)).Scan(&n)
	return n, classify(err)
}

func (q queries) TryTicket(ctx context.Context, realm uuid.UUID, hash [32]byte, max int, now time.Time) (auth.Ticket, error) {
	t := auth.Ticket{Hash: hash, RealmID: realm}
	err := q.row(ctx, tryTicket, hash[:], realm[:], micros(now), max).Scan(ticketFields(&t)...)
	return t, classify(err)
}

const tryTicket = `UPDATE ticket SET attempts = attempts + 1
	WHERE hash = $1 AND realm_id = $2 AND spent_at = 0 AND expires_at > $3 AND attempts < $4
	RETURNING account_id, version, created_at, expires_at`

func ticketFields(t *auth.Ticket) []any {
	return []any{&t.AccountID, &t.Version, at{&t.CreatedAt}, at{&t.ExpiresAt}}
}

func (q queries) TryTicketIn(ctx context.Context, realm uuid.UUID, d auth.Dialect, hash [32]byte, max int, now time.Time) (t auth.Ticket, r auth.AccountRecord, err error) {
	t = auth.Ticket{Hash: hash, RealmID: realm}
	record, finish := recordFields(&r)
	err = q.two(ctx, statement{tryTicket, []any{hash[:], realm[:], micros(now), max}},
		statement{"SELECT " + recordColumns + " FROM account a " + recordJoins + `$3
			WHERE a.realm_id = $1 AND a.id = (SELECT t.account_id FROM ticket t WHERE t.hash = $2)`, []any{realm[:], hash[:], string(d)}},
		ticketFields(&t), record)
	if err != nil {
		return t, r, classify(err)
	}
	finish()
	return t, r, nil
}

func (q queries) ForgiveTicket(ctx context.Context, hash [32]byte) error {
	_, err := q.exec(ctx, "UPDATE ticket SET attempts = attempts - 1 WHERE hash = $1 AND attempts > 0", hash[:])
	return err
}

func (q queries) SpendTicket(ctx context.Context, hash [32]byte, now time.Time) (bool, error) {
	n, err := q.exec(ctx, "UPDATE ticket SET spent_at = $2 WHERE hash = $1 AND spent_at = 0", hash[:], micros(now))
	return n > 0, err
}
