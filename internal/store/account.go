package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strconv"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

const accountColumns = `a.id, a.realm_id, a.number, a.kind, a.username, a.email, a.email_verified, a.display_name, a.org,
	a.disabled, a.origin, a.created_at, a.updated_at, COALESCE((SELECT MIN(o.dialect) FROM source_name o
		WHERE o.account_id = a.id AND NOT EXISTS (SELECT 1 FROM account_name n WHERE n.account_id = a.id)
			AND o.dialect = COALESCE((SELECT h.dialect FROM account_apart h WHERE h.account_id = a.id), o.dialect)), '')`

func accountFields(a *auth.Account) []any {
	return []any{&a.ID, &a.RealmID, &a.Number, &a.Kind, &a.Username, &a.Email, flag{&a.EmailVerified}, &a.DisplayName, &a.Org,
		flag{&a.Disabled}, &a.Origin, at{&a.CreatedAt}, at{&a.UpdatedAt}, &a.Apart}
}

func scanAccount(row scanner) (a auth.Account, err error) {
	err = row.Scan(accountFields(&a)...)
	return a, err
}

// recordColumns need account a, and left joins of totp_factor f, factor_elsewhere e and account_alias l.
const (
	recordColumns = accountColumns + `, a.password_hash, a.version, COALESCE(l.subject, ''),
	f.secret, COALESCE(f.last_step, 0), COALESCE(f.created_at, 0), COALESCE(f.confirmed_at, 0),
	COALESCE((SELECT string_agg(h.role, ' ') FROM account_role h WHERE h.account_id = a.id), ''),
	COALESCE((SELECT string_agg(g.datasource, ' ') FROM account_role h
		JOIN role_datasource g ON g.realm_id = h.realm_id AND g.role = h.role WHERE h.account_id = a.id), ''),
	COALESCE((SELECT string_agg(p.dialect || ' ' || p.everywhere || ' ' || p.created_at || ' ' || p.proven_at || ' ' || p.hash, '
') FROM account_password p WHERE p.account_id = a.id), ''), COALESCE(e.dialect, ''), COALESCE(e.enrols, 0)`
	recordJoins = `LEFT JOIN totp_factor f ON f.account_id = a.id
	LEFT JOIN factor_elsewhere e ON e.account_id = a.id
	LEFT JOIN account_alias l ON l.account_id = a.id AND l.dialect = `
)

// recordFields returns where to scan recordColumns, and what to do after it.
func recordFields(r *auth.AccountRecord) (fields []any, finish func()) {
	f := &auth.Factor{}
	fields = append(accountFields(&r.Account), &r.PasswordHash, &r.Version, &r.Subject,
		&f.Secret, &f.LastStep, at{&f.CreatedAt}, at{&f.ConfirmedAt}, names{&r.Roles}, names{&r.Datasources},
		sourceHashes{&r.Passwords}, &r.Elsewhere, flag{&r.EnrolsHere})
	return fields, func() {
		if f.Secret != nil {
			r.Factor = f
		}
	}
}

func scanRecord(row scanner) (r auth.AccountRecord, err error) {
	fields, finish := recordFields(&r)
	if err := row.Scan(fields...); err != nil {
		return r, classify(err)
	}
	finish()
	return r, nil
}

// named finds the account of the name $2 in the dialect $3: names that are good in one dialect
// alone go before the others there.
const named = ` WHERE a.id = COALESCE((SELECT s.account_id FROM source_name s WHERE s.realm_id = $1 AND s.dialect = $3 AND s.name_key = $2),
	(SELECT n.account_id FROM account_name n WHERE n.realm_id = $1 AND n.name_key = $2))`

func (q queries) AccountByName(ctx context.Context, realm uuid.UUID, nameKey string, d auth.Dialect) (auth.AccountRecord, error) {
	return scanRecord(q.row(ctx, "SELECT "+recordColumns+" FROM account a "+recordJoins+"$3"+named, realm[:], nameKey, string(d)))
}

func (q queries) AccountFrom(ctx context.Context, realm uuid.UUID, nameKey string, d auth.Dialect, source string, since time.Time) (r auth.AccountRecord, known bool, err error) {
	fields, finish := recordFields(&r)
	err = q.row(ctx, "SELECT "+recordColumns+`,
		EXISTS (SELECT 1 FROM known_source k WHERE k.account_id = a.id AND k.source = $4 AND k.seen_at >= $5) FROM account a `+
		recordJoins+"$3"+named, realm[:], nameKey, string(d), source, micros(since)).Scan(append(fields, &known)...)
	if err != nil {
		return r, false, classify(err)
	}
	finish()
	return r, known, nil
}

func (q queries) AccountByID(ctx context.Context, realm, id uuid.UUID, d auth.Dialect) (auth.AccountRecord, error) {
	return scanRecord(q.row(ctx, "SELECT "+recordColumns+" FROM account a "+recordJoins+`$3
		WHERE a.id = $2 AND a.realm_id = $1`, realm[:], id[:], string(d)))
}

func (q queries) Accounts(ctx context.Context, realm, after uuid.UUID, limit int) ([]auth.Account, error) {
	return list(ctx, q.prepared, scanAccount, "SELECT "+accountColumns+` FROM account a
		WHERE a.id > $2 AND a.realm_id = $1 ORDER BY a.id LIMIT $3`, realm[:], after[:], limit)
}

// AccountsByPrefix finds them by the primary key of the names, and an account that has two
// such names by the first.
func (q queries) AccountsByPrefix(ctx context.Context, realm uuid.UUID, d auth.Dialect, prefix, after string, limit int) ([]auth.NamedAccount, error) {
	from := ">"
	if after < prefix {
		from, after = ">=", prefix
	}
	query, args := prefixQuery(from), []any{realm[:], prefix, after, beyond(prefix), limit}
	if d != "" {
		query, args = apartPrefixQuery(from), append(args, string(d))
	}
	return list(ctx, q.prepared, func(row scanner) (a auth.NamedAccount, err error) {
		err = row.Scan(append(accountFields(&a.Account), &a.NameKey)...)
		return a, err
	}, query, args...)
}

func prefixQuery(from string) string {
	return "SELECT " + accountColumns + `, n.name_key FROM account_name n JOIN account a ON a.id = n.account_id
		WHERE n.realm_id = $1 AND n.name_key ` + from + ` $3 AND n.name_key < $4 AND NOT EXISTS (SELECT 1 FROM account_name o
			WHERE o.account_id = n.account_id AND o.name_key >= $2 AND o.name_key < n.name_key)
		ORDER BY n.name_key LIMIT $5`
}

// apartPrefixQuery is prefixQuery for the accounts that have no name which is good everywhere.
func apartPrefixQuery(from string) string {
	return "SELECT " + accountColumns + `, n.name_key FROM source_name n JOIN account a ON a.id = n.account_id
		WHERE n.realm_id = $1 AND n.dialect = $6 AND n.name_key ` + from + ` $3 AND n.name_key < $4
			AND NOT EXISTS (SELECT 1 FROM account_name e WHERE e.account_id = n.account_id)
			AND NOT EXISTS (SELECT 1 FROM source_name o WHERE o.account_id = n.account_id AND o.dialect = $6 AND o.name_key >= $2 AND o.name_key < n.name_key)
		ORDER BY n.name_key LIMIT $5`
}

// beyond is the first text after all that begin with a prefix, in the order of code points,
// which is that of UTF-8.
func beyond(prefix string) string {
	runes := []rune(prefix)
	for i := len(runes) - 1; i >= 0; i-- {
		if r := runes[i]; r < unicode.MaxRune {
			if r++; utf16.IsSurrogate(r) {
				r = 0xE000
			}
			return string(append(runes[:i], r))
		}
	}
	return string(unicode.MaxRune) + string(unicode.MaxRune) // no name has that character
}

func (q queries) Aliases(ctx context.Context, account uuid.UUID) (map[auth.Dialect]string, error) {
	type alias struct {
		dialect auth.Dialect
		subject string
	}
	rows, err := list(ctx, q.prepared, func(row scanner) (a alias, err error) {
		err = row.Scan(&a.dialect, &a.subject)
		return a, err
	}, "SELECT dialect, subject FROM account_alias WHERE account_id = $1", account[:])
	out := make(map[auth.Dialect]string, len(rows))
	for _, a := range rows {
		out[a.dialect] = a.subject
	}
	return out, err
}

// NextNumber skips numbers that were given explicitly, and those that another account
// goes by in a dialect.
func (q queries) NextNumber(ctx context.Context, realm uuid.UUID) (int64, error) {
	for {
		var n int64
		err := q.row(ctx, "UPDATE realm SET next_number = next_number + 1 WHERE id = $1 RETURNING next_number - 1", realm[:]).Scan(&n)
		if err != nil {
			return 0, classify(err)
		}
		taken, err := q.numberTaken(ctx, realm, uuid.Nil, n)
		if err != nil || !taken {
			return n, err
		}
		if err := q.SkipNumbers(ctx, realm); err != nil { // those that were brought along follow one another
			return 0, err
		}
	}
}

func (q queries) RaiseNumbers(ctx context.Context, realm uuid.UUID, least int64) error {
	_, err := q.exec(ctx, "UPDATE realm SET next_number = $2 WHERE id = $1 AND next_number < $2", realm[:], least)
	return err
}

func (q queries) NumberTaken(ctx context.Context, realm uuid.UUID, n int64) (bool, error) {
	return q.numberTaken(ctx, realm, uuid.Nil, n)
}

// numberTaken tells whether another account has a number, or goes by it as an alias where
// auth.MayBeNumber: a dialect that uses numbers as subjects could not tell the two apart.
func (q queries) numberTaken(ctx context.Context, realm, self uuid.UUID, n int64) (bool, error) {
	var taken bool
	err := q.row(ctx, `SELECT EXISTS (SELECT 1 FROM account WHERE realm_id = $1 AND number = $2 AND id <> $4)
		OR EXISTS (SELECT 1 FROM account_alias WHERE realm_id = $1 AND subject = $3 AND account_id <> $4
			AND dialect NOT IN ('cloudio', 'mikrocloud', 'senmo'))`,
		realm[:], n, strconv.FormatInt(n, 10), self[:]).Scan(&taken)
	return taken, classify(err)
}

func (q queries) InsertAccount(ctx context.Context, a auth.AccountRecord, nameKeys []string) error {
	if err := q.freeNumber(ctx, a.Account); err != nil {
		return err
	}
	_, err := q.exec(ctx, `INSERT INTO account (id, realm_id, number, kind, username, email, email_verified, display_name, org,
		disabled, password_hash, version, origin, created_at, updated_at, signed_in_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 0)`,
		a.ID[:], a.RealmID[:], a.Number, string(a.Kind), a.Username, a.Email, bit(a.EmailVerified), a.DisplayName, a.Org,
		bit(a.Disabled), a.PasswordHash, a.Version, a.Origin, micros(a.CreatedAt), micros(a.UpdatedAt))
	if err != nil {
		return err
	}
	return q.insertNames(ctx, a.Account, nameKeys)
}

// freeNumber holds the realm: what makes a number somebody's, in either way, must not come
// between this and the commit.
func (q queries) freeNumber(ctx context.Context, a auth.Account) error {
	if err := q.HoldRealm(ctx, a.RealmID); err != nil {
		return err
	}
	taken, err := q.numberTaken(ctx, a.RealmID, a.ID, a.Number)
	if err == nil && taken {
		err = auth.ErrConflict
	}
	return err
}

func (q queries) insertNames(ctx context.Context, a auth.Account, nameKeys []string) error {
	for _, key := range nameKeys {
		if err := q.AddName(ctx, a.RealmID, a.ID, auth.AccountName{Dialect: a.Apart, Key: key}); err != nil {
			return err
		}
	}
	return nil
}

// nameHash is what name_gone has of a name: of one that was good in one dialect, that too.
func nameHash(n auth.AccountName) []byte {
	text := n.Key
	if n.Dialect != "" {
		text = "\x00name\x00" + string(n.Dialect) + "\x00" + text
	}
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// dropNames removes an account's names, and notes those that it does not keep.
func (q queries) dropNames(ctx context.Context, realm, account uuid.UUID, keep []auth.AccountName, now time.Time) error {
	names, err := q.AccountNames(ctx, account)
	if err != nil {
		return err
	}
	for _, n := range names {
		if slices.Contains(keep, n) {
			continue
		}
		if _, err := q.exec(ctx, `INSERT INTO name_gone (realm_id, name_hash, gone_at) VALUES ($1, $2, $3)
			ON CONFLICT (realm_id, name_hash) DO NOTHING`, realm[:], nameHash(n), micros(now)); err != nil {
			return err
		}
	}
	for _, table := range []string{"account_name", "source_name"} {
		if _, err := q.exec(ctx, "DELETE FROM "+table+" WHERE account_id = $1", account[:]); err != nil {
			return err
		}
	}
	return nil
}

func (q queries) NameGone(ctx context.Context, realm uuid.UUID, nameKey string, d auth.Dialect) (gone bool, err error) {
	err = q.row(ctx, "SELECT EXISTS (SELECT 1 FROM name_gone WHERE realm_id = $1 AND name_hash IN ($2, $3))",
		realm[:], nameHash(auth.AccountName{Key: nameKey}), nameHash(auth.AccountName{Dialect: d, Key: nameKey})).Scan(&gone)
	return gone, classify(err)
}

func (q queries) UpdateAccount(ctx context.Context, a auth.Account, nameKeys []string, others ...auth.AccountName) error {
	if err := q.freeNumber(ctx, a); err != nil {
		return err
	}
	err := must(q.exec(ctx, `UPDATE account SET number = $3, username = $4, email = $5, email_verified = $6, display_name = $7,
		org = $8, updated_at = $9 WHERE id = $2 AND realm_id = $1`,
		a.RealmID[:], a.ID[:], a.Number, a.Username, a.Email, bit(a.EmailVerified), a.DisplayName, a.Org, micros(a.UpdatedAt)))
	if err != nil {
		return err
	}
	keep := slices.Clone(others)
	for _, key := range nameKeys {
		keep = append(keep, auth.AccountName{Dialect: a.Apart, Key: key})
	}
	if err := q.dropNames(ctx, a.RealmID, a.ID, keep, a.UpdatedAt); err != nil {
		return err
	}
	for _, n := range others {
		if err := q.AddName(ctx, a.RealmID, a.ID, n); err != nil {
			return err
		}
	}
	return q.insertNames(ctx, a, nameKeys)
}

func (q queries) SetDisabled(ctx context.Context, realm, id uuid.UUID, disabled bool, now time.Time) (bool, error) {
	n, err := q.exec(ctx, `UPDATE account SET disabled = $3, version = version + 1, updated_at = $4
		WHERE id = $2 AND realm_id = $1 AND disabled <> $3`, realm[:], id[:], bit(disabled), micros(now))
	return n > 0, err
}

func (q queries) HoldAccount(ctx context.Context, realm, id uuid.UUID) error {
	return must(q.exec(ctx, "UPDATE account SET updated_at = updated_at WHERE id = $2 AND realm_id = $1", realm[:], id[:]))
}

func (q queries) DeleteAccount(ctx context.Context, realm, id uuid.UUID, now time.Time) (bool, error) {
	n, err := q.exec(ctx, "DELETE FROM account WHERE id = $2 AND realm_id = $1", realm[:], id[:])
	if err != nil || n == 0 {
		return false, err
	}
	if err := q.dropNames(ctx, realm, id, nil, now); err != nil {
		return false, err
	}
	if _, err := q.exec(ctx, "DELETE FROM account_merge WHERE kept_id = $1", id[:]); err != nil {
		return false, err
	}
	for _, table := range accountTables {
		if _, err := q.exec(ctx, "DELETE FROM "+table+" WHERE account_id = $1", id[:]); err != nil {
			return false, err
		}
	}
	return true, q.ClearBudgets(ctx, realm, id.String(), "")
}

// accountTables have rows of an account, besides its names, that go with it.
var accountTables = []string{"account_alias", "service_secret", "totp_factor", "recovery_code", "ticket", "session", "known_source", "account_role",
	"password_history", "account_password", "factor_elsewhere", "foreign_token", "session_cutoff", "account_apart"}

func (q queries) SetAlias(ctx context.Context, realm, account uuid.UUID, d auth.Dialect, subject string) error {
	if _, err := q.AccountByID(ctx, realm, account, ""); err != nil {
		return err
	}
	if _, err := q.exec(ctx, "DELETE FROM account_alias WHERE account_id = $1 AND dialect = $2", account[:], string(d)); err != nil {
		return err
	}
	if subject == "" {
		return nil
	}
	if id, ok := auth.ParseID(subject); ok && id != account {
		// Nobody goes by another's id, which is its subject in most dialects.
		if _, err := q.AccountByID(ctx, realm, id, ""); !errors.Is(err, auth.ErrNotFound) {
			return cmp.Or(err, auth.ErrConflict)
		}
	}
	if n, err := strconv.ParseInt(subject, 10, 64); err == nil && auth.MayBeNumber(d) {
		if err := q.freeNumber(ctx, auth.Account{ID: account, RealmID: realm, Number: n}); err != nil {
			return err
		}
	}
	_, err := q.exec(ctx, "INSERT INTO account_alias (realm_id, dialect, subject, account_id) VALUES ($1, $2, $3, $4)",
		realm[:], string(d), subject, account[:])
	return err
}

func (q queries) RecordSignIn(ctx context.Context, account uuid.UUID, version int64, now time.Time) (bool, error) {
	n, err := q.exec(ctx, "UPDATE account SET signed_in_at = $3 WHERE id = $1 AND version = $2 AND disabled = 0",
		account[:], version, micros(now))
	return n > 0, err
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
