package store

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

// importRows are the rows of accounts, by their tables.
type importRows struct {
	account, name, sourceName, apart, alias, password, history, factor, elsewhere, code, secret, role, line *rowsOf

	restored []*auth.ImportedAccount
	roles    []string
}

func newImportRows(realm uuid.UUID, now time.Time) *importRows {
	id, at := realm[:], micros(now)
	return &importRows{
		account: insertInto("account", `id, realm_id, number, kind, username, email, email_verified, display_name, org,
		disabled, password_hash, version, origin, created_at, updated_at, signed_in_at`, "(?, $1, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, $2, $3, $3, 0)", 0, id, auth.OriginImport, at),
		name:       insertInto("account_name", "realm_id, name_key, account_id", "($1, ?, ?)", 0, id),
		sourceName: insertInto("source_name", "realm_id, dialect, name_key, account_id", "($1, ?, ?, ?)", 1, id),
		apart:      insertInto("account_apart", "account_id, realm_id, dialect", "(?, $1, ?)", 0, id),
		alias:      insertInto("account_alias", "realm_id, dialect, subject, account_id", "($1, ?, ?, ?)", 1, id),
		password:   insertInto("account_password", "account_id, dialect, realm_id, hash, everywhere, created_at, proven_at", "(?, ?, $1, ?, ?, $2, ?)", 0, id, at),
		history:    insertInto("password_history", "account_id, seq, realm_id, hash, replaced_at", "(?, ?, $1, ?, $2)", -1, id, at),
		factor:     insertInto("totp_factor", "account_id, realm_id, secret, last_step, created_at, confirmed_at", "(?, $1, ?, ?, $2, ?)", 0, id, at),
		elsewhere:  insertInto("factor_elsewhere", "account_id, realm_id, dialect, since, enrols", "(?, $1, ?, $2, 0)", 0, id, at),
		code:       insertInto("recovery_code", "account_id, hash, realm_id, created_at, spent_at", "(?, ?, $1, $2, 0)", 0, id, at),
		secret:     insertInto("service_secret", "hash, realm_id, account_id, created_at, expires_at", "(?, $1, ?, $2, ?)", 0, id, at),
		role:       insertInto("account_role", "account_id, role, realm_id, created_at", "(?, ?, $1, $2)", 0, id, at),
		line:       insertInto("account_import", "realm_id, digest, account_id, source, imported_at", "($1, ?, ?, ?, $2)", 0, id, at),
	}
}

func (q queries) InsertAccounts(ctx context.Context, realm uuid.UUID, accounts []*auth.ImportedAccount, now time.Time) error {
	r := newImportRows(realm, now)
	r.account.grow(len(accounts))
	r.name.grow(2 * len(accounts))
	r.line.grow(len(accounts))
	for _, a := range accounts {
		r.add(a)
	}
	slices.Sort(r.roles)
	for _, role := range slices.Compact(r.roles) {
		if err := q.holdRole(ctx, realm, role); err != nil {
			return err
		}
	}
	for _, a := range r.restored {
		if err := q.restore(ctx, realm, a); err != nil {
			return err
		}
	}
	for _, table := range []*rowsOf{r.account, r.name, r.sourceName, r.apart, r.alias, r.password, r.history, r.factor, r.elsewhere, r.code, r.secret, r.role, r.line} {
		if err := q.insert(ctx, table); err != nil {
			return err
		}
	}
	return nil
}

// restore forgets that accounts with an account's names, or of its line, were deleted.
func (q queries) restore(ctx context.Context, realm uuid.UUID, a *auth.ImportedAccount) error {
	for _, n := range a.AllNames() {
		for _, d := range []auth.Dialect{n.Dialect, a.Source} {
			if _, err := q.exec(ctx, "DELETE FROM name_gone WHERE realm_id = $1 AND name_hash = $2", realm[:], nameHash(auth.AccountName{Dialect: d, Key: n.Key})); err != nil {
				return err
			}
		}
	}
	_, err := q.exec(ctx, `DELETE FROM account_import WHERE realm_id = $1 AND digest = $2
		AND NOT EXISTS (SELECT 1 FROM account a WHERE a.id = account_id)`, realm[:], a.Digest[:])
	return err
}

func (r *importRows) add(a *auth.ImportedAccount) {
	var id any = a.ID[:]
	if a.Restored {
		r.restored = append(r.restored, a)
	}
	r.account.add(id, a.Number, string(a.Kind), a.Username, a.Email, bit(a.EmailVerified), a.DisplayName, a.Org, bit(a.Disabled), a.PasswordHash)
	for _, n := range a.AllNames() {
		if n.Dialect != "" {
			r.sourceName.add(string(n.Dialect), n.Key, id)
			continue
		}
		r.name.add(n.Key, id)
	}
	if a.Apart != "" && len(a.Names) > 0 {
		r.apart.add(id, string(a.Apart))
	}
	for d, subject := range a.Aliases {
		r.alias.add(string(d), subject, id)
	}
	for _, p := range a.Passwords {
		r.password.add(id, string(p.Source), p.Hash, bit(p.Joined), micros(p.ProvenAt))
	}
	for i, hash := range a.PastPasswords {
		r.history.add(id, len(a.PastPasswords)-i, hash)
	}
	if f := a.Factor; f != nil {
		r.factor.add(id, f.Secret, f.LastStep, micros(f.ConfirmedAt))
	}
	if a.Elsewhere != "" && (a.Factor == nil || a.Factor.ConfirmedAt.IsZero()) {
		r.elsewhere.add(id, string(a.Elsewhere))
	}
	for _, hash := range a.RecoveryCodes {
		r.code.add(id, hash[:])
	}
	for _, s := range a.Secrets {
		r.secret.add(s.Hash[:], id, micros(s.ExpiresAt))
	}
	for _, role := range a.Roles {
		r.role.add(id, role)
		r.roles = append(r.roles, role)
	}
	r.line.add(a.Digest[:], id, string(a.Source))
}
