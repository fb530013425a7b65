package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/password"
	"github.com/ostiary/ostiary/internal/store"
)

// firstNumber is above those of the accounts that are made one by one.
const firstNumber = 1000

func grownName(i int) string { return fmt.Sprintf("person%07d", i) }

// fillAccounts makes n accounts as an import does; they all have the same password.
func fillAccounts(ctx context.Context, st *store.Store, n int) error {
	realm, err := st.RealmByName(ctx, "default")
	if err != nil {
		return err
	}
	hash, err := password.New(1, time.Minute).Hash(ctx, secret)
	if err != nil {
		return err
	}
	if err := st.Bulk(ctx); err != nil {
		return err
	}
	const batch = 20_000
	for first := 0; first < n; first += batch {
		now := time.Now()
		var list []*auth.ImportedAccount
		for i := first; i < min(first+batch, n); i++ {
			name := grownName(i)
			list = append(list, &auth.ImportedAccount{
				AccountRecord: auth.AccountRecord{Account: auth.Account{
					ID: uuid.Must(uuid.NewV7()), RealmID: realm.ID, Number: int64(firstNumber + i), Kind: auth.KindPerson, Username: name,
					Email: name + "@example.com", DisplayName: "One of the crowd",
				}, PasswordHash: hash},
				NameKeys: []string{name + "@example.com", name}, Digest: sha256.Sum256([]byte(name)),
			})
		}
		if err := st.InTx(auth.Alone(ctx), func(tx auth.Tx) error { return tx.InsertAccounts(ctx, realm.ID, list, now) }); err != nil {
			return err
		}
	}
	return nil
}

// sessionID is a UUIDv7 (RFC 9562, section 5.7) whose time grows with a number.
func sessionID(number string) string {
	return `unhex(printf('%012x', unixepoch() * 1000 - 10000000 + ` + number + `) || '7' || substr(hex(randomblob(2)), 1, 3) || '8' || substr(hex(randomblob(8)), 1, 15))`
}

// fillSessions gives each account that was filled in a session like one of the two that are
// there: half of them are senmo's, half mikrocloud's with an opaque token.
func fillSessions(ctx context.Context, file string) (err error) {
	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()
	values := map[string]string{
		"id": sessionID("a.number"), "account_id": "a.id", "expires_at": "t.expires_at + a.number",
		"bearer_hash": "CASE WHEN t.bearer_hash IS NULL THEN NULL ELSE randomblob(32) END",
	}
	for i, bearer := range []string{"NULL", "NOT NULL"} {
		from := fmt.Sprintf("account a CROSS JOIN (SELECT * FROM session WHERE bearer_hash IS %s AND expires_at > unixepoch() * 1000000 ORDER BY id LIMIT 1) t WHERE a.number >= %d AND a.number %% 2 = %d",
			bearer, firstNumber, i)
		if err := copySessions(ctx, db, values, from); err != nil {
			return err
		}
	}
	return nil
}

// copySessions makes sessions like t, but for some columns.
func copySessions(ctx context.Context, db *sql.DB, values map[string]string, from string) error {
	var names string
	if err := db.QueryRowContext(ctx, "SELECT group_concat(name) FROM pragma_table_info('session')").Scan(&names); err != nil {
		return err
	}
	columns := strings.Split(names, ",")
	for i, name := range columns {
		if columns[i] = values[name]; columns[i] == "" {
			columns[i] = "t." + name
		}
	}
	_, err := db.ExecContext(ctx, "PRAGMA cache_size = -262144; PRAGMA synchronous = OFF; INSERT INTO session ("+names+") SELECT "+strings.Join(columns, ", ")+" FROM "+from)
	return err
}

// fillAudit fills the table of the audit log: entries of a realm that is not there, so that
// their hashes need not follow from each other.
func fillAudit(ctx context.Context, file string, n int) (err error) {
	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()
	realm := uuid.New()
	_, err = db.ExecContext(ctx, `PRAGMA cache_size = -262144; PRAGMA synchronous = OFF;
		INSERT INTO audit_event (realm_id, seq, id, at, kind, account_id, session_id, dialect, address, request_id, actor, token, detail, hash)
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < `+fmt.Sprint(n)+`)
		SELECT unhex('`+strings.ReplaceAll(realm.String(), "-", "")+`'), i, randomblob(16), 1700000000000000 + i * 1000, 'signed_in', unhex(printf('%032x', i / 10)), randomblob(16),
			'senmo', '192.0.2.1', 'abcdefghijklmnop', '', '', '', randomblob(32) FROM n`)
	return err
}
