package store

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

func (q queries) AccountNames(ctx context.Context, account uuid.UUID) ([]auth.AccountName, error) {
	return list(ctx, q.prepared, func(row scanner) (n auth.AccountName, err error) {
		err = row.Scan(&n.Dialect, &n.Key)
		return n, err
	}, `SELECT '', name_key FROM account_name WHERE account_id = $1 UNION ALL SELECT dialect, name_key FROM source_name WHERE account_id = $1`, account[:])
}

func (q queries) AddName(ctx context.Context, realm, account uuid.UUID, n auth.AccountName) (err error) {
	if n.Dialect == "" {
		_, err = q.exec(ctx, "INSERT INTO account_name (realm_id, name_key, account_id) VALUES ($1, $2, $3)", realm[:], n.Key, account[:])
	} else {
		_, err = q.exec(ctx, "INSERT INTO source_name (realm_id, dialect, name_key, account_id) VALUES ($1, $2, $3, $4)", realm[:], string(n.Dialect), n.Key, account[:])
	}
	if err != nil {
		return err
	}
	_, err = q.exec(ctx, "DELETE FROM name_gone WHERE realm_id = $1 AND name_hash = $2", realm[:], nameHash(n))
	return err
}

func (q queries) NoteApart(ctx context.Context, realm, account uuid.UUID, d auth.Dialect) error {
	return q.keep(ctx, `INSERT INTO account_apart (account_id, realm_id, dialect) VALUES ($1, $2, $3)
		ON CONFLICT (account_id) DO UPDATE SET dialect = excluded.dialect`, account[:], realm[:], string(d))
}

func (q queries) DropName(ctx context.Context, realm, account uuid.UUID, n auth.AccountName) (bool, error) {
	if n.Dialect == "" {
		rows, err := q.exec(ctx, "DELETE FROM account_name WHERE realm_id = $1 AND name_key = $2 AND account_id = $3", realm[:], n.Key, account[:])
		return rows > 0, err
	}
	rows, err := q.exec(ctx, "DELETE FROM source_name WHERE realm_id = $1 AND dialect = $4 AND name_key = $2 AND account_id = $3",
		realm[:], n.Key, account[:], string(n.Dialect))
	return rows > 0, err
}

func (q queries) Belongings(ctx context.Context, account uuid.UUID, now time.Time) (b auth.Belongings, err error) {
	if b.Sessions, err = list(ctx, q.prepared, func(row scanner) (id uuid.UUID, err error) {
		err = row.Scan(&id)
		return id, err
	}, "SELECT s.id FROM session s WHERE s.account_id = $1 AND "+alive, account[:], micros(now)); err != nil {
		return b, err
	}
	for _, of := range []struct {
		hashes *[][32]byte
		query  string
	}{
		{&b.Foreign, "SELECT hash FROM foreign_token WHERE account_id = $1"},
		{&b.Imports, "SELECT digest FROM account_import WHERE account_id = $1"},
	} {
		if *of.hashes, err = list(ctx, q.prepared, func(row scanner) (h [32]byte, err error) {
			err = row.Scan(bytesOf{h[:]})
			return h, err
		}, of.query, account[:]); err != nil {
			return b, err
		}
	}
	b.Sources, err = list(ctx, q.prepared, func(row scanner) (k auth.KnownSource, err error) {
		err = row.Scan(&k.Source, at{&k.SeenAt})
		return k, err
	}, "SELECT source, seen_at FROM known_source WHERE account_id = $1", account[:])
	if err != nil {
		return b, err
	}
	b.Past, err = q.PastPasswords(ctx, account)
	slices.Reverse(b.Past)
	return b, err
}

func (q queries) Give(ctx context.Context, from, to uuid.UUID, b auth.Belongings) error {
	for _, id := range b.Sessions {
		if _, err := q.exec(ctx, "UPDATE session SET account_id = $3 WHERE id = $1 AND account_id = $2", id[:], from[:], to[:]); err != nil {
			return err
		}
	}
	for _, of := range []struct {
		hashes [][32]byte
		query  string
	}{
		{b.Foreign, "UPDATE foreign_token SET account_id = $3 WHERE account_id = $2 AND hash = $1"},
		{b.Imports, "UPDATE account_import SET account_id = $3 WHERE account_id = $2 AND digest = $1"},
	} {
		for _, h := range of.hashes {
			if _, err := q.exec(ctx, of.query, h[:], from[:], to[:]); err != nil {
				return err
			}
		}
	}
	if err := q.givePast(ctx, from, to, b.Past); err != nil {
		return err
	}
	for _, source := range b.Sources {
		if err := q.NoteSource(ctx, to, source.Source, source.SeenAt); err != nil {
			return err
		}
		if _, err := q.exec(ctx, "DELETE FROM known_source WHERE account_id = $1 AND source = $2", from[:], source.Source); err != nil {
			return err
		}
	}
	return nil
}

// givePast makes past passwords of one account the last ones of another.
func (q queries) givePast(ctx context.Context, from, to uuid.UUID, hashes []string) error {
	const row = " WHERE account_id = $1 AND seq = (SELECT MAX(f.seq) FROM password_history f WHERE f.account_id = $1 AND f.hash = $2)"
	for _, hash := range hashes {
		if _, err := q.exec(ctx, `INSERT INTO password_history (account_id, seq, realm_id, hash, replaced_at)
			SELECT $3, COALESCE((SELECT MAX(h.seq) FROM password_history h WHERE h.account_id = $3), 0) + 1, realm_id, hash, replaced_at
			FROM password_history`+row, from[:], hash, to[:]); err != nil {
			return err
		}
		if _, err := q.exec(ctx, "DELETE FROM password_history"+row, from[:], hash); err != nil {
			return err
		}
	}
	return nil
}

func (q queries) GiveTickets(ctx context.Context, from uuid.UUID, version int64, to uuid.UUID, as int64, now time.Time) error {
	_, err := q.exec(ctx, "UPDATE ticket SET account_id = $3, version = $4 WHERE account_id = $1 AND version = $2 AND expires_at > $5",
		from[:], version, to[:], as, micros(now))
	return err
}

func (q queries) GiveFactor(ctx context.Context, from, to uuid.UUID, sealed []byte) (bool, error) {
	n, err := q.exec(ctx, "UPDATE totp_factor SET account_id = $2, secret = $3 WHERE account_id = $1", from[:], to[:], sealed)
	if err == nil && n > 0 {
		_, err = q.exec(ctx, "UPDATE recovery_code SET account_id = $2 WHERE account_id = $1", from[:], to[:])
	}
	return n > 0, err
}

func (q queries) CopyBudgets(ctx context.Context, realm, from, to uuid.UUID) error {
	budgets, err := q.BudgetsOf(ctx, realm, from.String())
	if err != nil {
		return err
	}
	for k, s := range budgets {
		if _, err := q.exec(ctx, `INSERT INTO guess_budget (realm_id, subject, kind, source, failures, first_at, last_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (realm_id, subject, kind, source) DO UPDATE SET failures = guess_budget.failures + excluded.failures,
				first_at = CASE WHEN guess_budget.first_at < excluded.first_at THEN excluded.first_at ELSE guess_budget.first_at END,
				last_at = CASE WHEN guess_budget.last_at < excluded.last_at THEN excluded.last_at ELSE guess_budget.last_at END`,
			realm[:], to.String(), string(k.Kind), k.Source, s.Failures, micros(s.FirstAt), micros(s.LastAt)); err != nil {
			return err
		}
	}
	return nil
}

func (q queries) DropMerged(ctx context.Context, realm, id uuid.UUID) (bool, error) {
	n, err := q.exec(ctx, "DELETE FROM account WHERE id = $2 AND realm_id = $1", realm[:], id[:])
	if err != nil || n == 0 {
		return false, err
	}
	for _, table := range append([]string{"account_name", "source_name"}, accountTables...) {
		if _, err := q.exec(ctx, "DELETE FROM "+table+" WHERE account_id = $1", id[:]); err != nil {
			return false, err
		}
	}
	return true, nil
}

func (q queries) SignedInAt(ctx context.Context, account uuid.UUID) (t time.Time, err error) {
	err = q.row(ctx, "SELECT signed_in_at FROM account WHERE id = $1", account[:]).Scan(at{&t})
	return t, classify(err)
}

func (q queries) InsertMerge(ctx context.Context, m auth.MergeRecord) error {
	_, err := q.exec(ctx, `INSERT INTO account_merge (kept_id, id, realm_id, merged_id, at, reset_at, undone_at, before) VALUES ($1, $2, $3, $4, $5, 0, 0, $6)`,
		m.Keep[:], m.ID[:], m.RealmID[:], m.Other[:], micros(m.At), m.Before)
	return err
}

// UndoneMerge also forgets what was before: it is sealed, and still nobody's business any more.
func (q queries) UndoneMerge(ctx context.Context, m auth.MergeRecord, now time.Time) (bool, error) {
	n, err := q.exec(ctx, "UPDATE account_merge SET undone_at = $3, before = $4 WHERE kept_id = $1 AND id = $2 AND undone_at = 0", m.Keep[:], m.ID[:], micros(now), []byte{})
	return n > 0, err
}

const mergeColumns = "SELECT id, realm_id, kept_id, merged_id, at, reset_at, undone_at, before FROM account_merge WHERE realm_id = $1 AND "

func scanMerge(row scanner) (m auth.MergeRecord, err error) {
	err = row.Scan(&m.ID, &m.RealmID, &m.Keep, &m.Other, at{&m.At}, at{&m.ResetAt}, at{&m.UndoneAt}, &m.Before)
	return m, err
}

func (q queries) MergeByID(ctx context.Context, realm, id uuid.UUID) (auth.MergeRecord, error) {
	m, err := scanMerge(q.row(ctx, mergeColumns+"id = $2", realm[:], id[:]))
	return m, classify(err)
}

func (q queries) Merges(ctx context.Context, realm uuid.UUID) ([]auth.MergeRecord, error) {
	all, err := list(ctx, q.prepared, scanMerge, mergeColumns+"id <> $2", realm[:], uuid.Nil[:])
	slices.SortFunc(all, func(a, b auth.MergeRecord) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return all, err
}
