package store

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

// Holdings implements auth.Store: a page is what was there at one moment, since what an account is called, and what
// proves it, lie in several tables.
func (s *Store) Holdings(ctx context.Context, realm, after uuid.UUID, limit int, now time.Time) (page []auth.Holding, err error) {
	err = s.onceMore(func() error {
		n, err := s.Snapshot(ctx)
		if err != nil {
			return err
		}
		defer n.Close()
		page, err = queries{&prepared{direct: pool{n.tx}, watch: &s.watch, limit: s.limit}}.Holdings(ctx, realm, after, limit, now)
		return err
	})
	return page, err
}

// Holdings reads a page of accounts, and then what belongs to them, a table at a time.
func (q queries) Holdings(ctx context.Context, realm, after uuid.UUID, limit int, now time.Time) ([]auth.Holding, error) {
	page, err := list(ctx, q.prepared, func(row scanner) (h auth.Holding, err error) {
		fields, finish := recordFields(&h.AccountRecord)
		err = row.Scan(fields...)
		finish()
		h.Aliases = map[auth.Dialect]string{}
		return h, err
	}, "SELECT "+recordColumns+" FROM account a "+recordJoins+`''
		WHERE a.id > $2 AND a.realm_id = $1 ORDER BY a.id LIMIT $3`, realm[:], after[:], limit)
	if err != nil || len(page) == 0 {
		return nil, err
	}
	p := holdings{queries: q, byID: make(map[uuid.UUID]*auth.Holding, len(page))}
	for i := range page {
		p.byID[page[i].ID] = &page[i]
	}
	last := page[len(page)-1].ID
	p.args = []any{after[:], last[:]}
	return page, p.fill(ctx, now)
}

// holdings is a page whose accounts are filled with what other tables have of them.
type holdings struct {
	queries
	byID map[uuid.UUID]*auth.Holding
	args []any // the ids between which the page is
}

// ofPage ends the condition of each query. It leaves the realm out, by which SQLite would read
// all names and subjects of it for each page; accounts of others are passed over.
const ofPage = " WHERE account_id > $1 AND account_id <= $2 "

func (p *holdings) fill(ctx context.Context, now time.Time) error {
	var dialect auth.Dialect
	var text string
	var hash []byte
	var end time.Time
	name := func(h *auth.Holding) error {
		h.Names = append(h.Names, auth.AccountName{Dialect: dialect, Key: text})
		return nil
	}
	for _, table := range []struct {
		query  string
		args   []any
		fields []any
		add    func(h *auth.Holding) error
	}{
		{"SELECT account_id, '', name_key FROM account_name" + ofPage, nil, []any{&dialect, &text}, name},
		{"SELECT account_id, dialect, name_key FROM source_name" + ofPage, nil, []any{&dialect, &text}, name},
		{"SELECT account_id, dialect, subject FROM account_alias" + ofPage, nil, []any{&dialect, &text},
			func(h *auth.Holding) error { h.Aliases[dialect] = text; return nil }},
		{"SELECT account_id, hash FROM password_history" + ofPage + "ORDER BY account_id, seq", nil, []any{&text},
			func(h *auth.Holding) error { h.PastPasswords = append(h.PastPasswords, text); return nil }},
		{"SELECT account_id, hash FROM recovery_code" + ofPage + "AND spent_at = 0 ORDER BY account_id, hash", nil, []any{&hash},
			func(h *auth.Holding) error {
				sum, err := sum256(hash)
				h.RecoveryCodes = append(h.RecoveryCodes, sum)
				return err
			}},
		{"SELECT account_id, hash, expires_at FROM service_secret" + ofPage + "AND (expires_at = 0 OR expires_at > $3) ORDER BY account_id",
			[]any{micros(now)}, []any{&hash, at{&end}},
			func(h *auth.Holding) error {
				sum, err := sum256(hash)
				h.Secrets = append(h.Secrets, auth.ServiceSecret{Hash: sum, ExpiresAt: end})
				return err
			}},
	} {
		if err := p.each(ctx, table.query, append(p.args[:2:2], table.args...), table.fields, table.add); err != nil {
			return err
		}
	}
	for _, h := range p.byID { // what an index has in another order is not sorted by the database
		slices.SortFunc(h.Names, func(a, b auth.AccountName) int {
			return cmp.Or(cmp.Compare(a.Dialect, b.Dialect), cmp.Compare(a.Key, b.Key))
		})
		slices.Reverse(h.PastPasswords)
		slices.SortFunc(h.Secrets, func(a, b auth.ServiceSecret) int { return bytes.Compare(a.Hash[:], b.Hash[:]) })
	}
	return nil
}

// each scans an account's id and the fields of each row, and adds them to that account.
func (p *holdings) each(ctx context.Context, query string, args, fields []any, add func(h *auth.Holding) error) error {
	var id uuid.UUID
	fields = append([]any{&id}, fields...)
	_, err := list(ctx, p.prepared, func(row scanner) (struct{}, error) {
		if err := row.Scan(fields...); err != nil {
			return struct{}{}, err
		}
		if h := p.byID[id]; h != nil { // else its account came meanwhile, or is of another realm
			return struct{}{}, add(h)
		}
		return struct{}{}, nil
	}, query, args...)
	return err
}

func sum256(stored []byte) (sum [32]byte, err error) {
	if len(stored) != len(sum) {
		return sum, fmt.Errorf("a hash of %d bytes", len(stored))
	}
	return [32]byte(stored), nil
}
