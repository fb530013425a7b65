package store

import (
	"context"
	"database/sql"

	"github.com/pressly/goose/v3"

	"github.com/ostiary/ostiary/internal/audit"
)

// goMigrations are those that SQL can't say.
func goMigrations() []*goose.Migration {
	return []*goose.Migration{goose.NewGoMigration(38, &goose.GoFunc{RunDB: chainEvents}, nil)}
}

// chainBatch is how many entries are brought into the chain in one transaction.
const chainBatch = 2000

const newEvents = `CREATE TABLE IF NOT EXISTS audit_chain (
    realm_id   BLOB    NOT NULL,
    seq        INTEGER NOT NULL, -- 1, 2, 3… in each realm
    id         BLOB    NOT NULL, -- UUIDv7
    at         INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    account_id BLOB,
    session_id BLOB,
    dialect    TEXT    NOT NULL,
    address    TEXT    NOT NULL,
    request_id TEXT    NOT NULL,
    actor      TEXT    NOT NULL, -- the operator; empty: the account itself
    token      TEXT    NOT NULL, -- of the token concerned, the first 8 digits of its hash
    detail     TEXT    NOT NULL,
    hash       BLOB    NOT NULL, -- of this and of the hash before
    PRIMARY KEY (realm_id, seq)
) STRICT, WITHOUT ROWID`

// UnsealedLogs is the fact that there are logs of an older version, which have been brought
// into the chain and not been taken over yet.
const UnsealedLogs = "unsealed_audit_logs"

// chainEvents gives the audit log its numbers and hashes: the entries of a realm get them in
// the order of their ids. They go from the old table to the new one in batches, so that the
// disk need not hold them twice, and whoever is interrupted goes on where he was.
func chainEvents(ctx context.Context, db *sql.DB) error {
	var done bool
	err := db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM pragma_table_info('audit_event') WHERE name = 'seq')").Scan(&done)
	if err != nil || done {
		return err
	}
	if err := startChain(ctx, db); err != nil {
		return err
	}
	for moved := true; moved; {
		err := inTx(ctx, db, func(tx *sql.Tx) (err error) {
			moved, err = chainSome(ctx, tx)
			return err
		})
		if err != nil {
			return err
		}
	}
	return inTx(ctx, db, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DROP TABLE audit_event; ALTER TABLE audit_chain RENAME TO audit_event")
		return err
	})
}

// startChain makes the new table, and notes that what comes into it has yet to be taken over.
func startChain(ctx context.Context, db *sql.DB) error {
	if _, err := db.ExecContext(ctx, newEvents); err != nil {
		return err
	}
	_, err := db.ExecContext(ctx, `INSERT INTO store_info (name, value) SELECT $1, 'yes' WHERE EXISTS (SELECT 1 FROM audit_event)
		ON CONFLICT (name) DO NOTHING`, UnsealedLogs)
	return err
}

func inTx(ctx context.Context, db *sql.DB, fn func(tx *sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// chainSome moves the next entries, and reports whether there were any.
func chainSome(ctx context.Context, tx *sql.Tx) (bool, error) {
	events, err := oldEvents(ctx, tx)
	if err != nil || len(events) == 0 {
		return false, err
	}
	insert, err := tx.PrepareContext(ctx, `INSERT INTO audit_chain (realm_id, seq, id, at, kind, account_id, session_id,
		dialect, address, request_id, actor, token, detail, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`)
	if err != nil {
		return false, err
	}
	defer insert.Close()
	var head audit.Head
	for i := range events {
		e := &events[i]
		if i == 0 || e.RealmID != events[i-1].RealmID {
			head = audit.Head{}
			err := tx.QueryRowContext(ctx, "SELECT COALESCE(MAX(seq), 0), COALESCE(MAX(hash), zeroblob(32)) FROM audit_head WHERE realm_id = $1", e.RealmID[:]).
				Scan(&head.Seq, bytesOf{head.Hash[:]})
			if err != nil {
				return false, err
			}
		}
		head = e.Follow(head)
		if _, err := insert.ExecContext(ctx, eventArgs(e)...); err != nil {
			return false, err
		}
		if i+1 < len(events) && e.RealmID == events[i+1].RealmID {
			continue
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO audit_head (realm_id, seq, hash, seal) VALUES ($1, $2, $3, x'') ON CONFLICT (realm_id) DO UPDATE SET seq = $2, hash = $3",
			e.RealmID[:], head.Seq, head.Hash[:]); err != nil {
			return false, err
		}
	}
	last := events[len(events)-1]
	_, err = tx.ExecContext(ctx, "DELETE FROM audit_event WHERE (realm_id, id) <= ($1, $2)", last.RealmID[:], last.ID[:])
	return true, err
}

func oldEvents(ctx context.Context, tx *sql.Tx) (events []audit.Event, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT realm_id, 0, id, at, kind, account_id, session_id, dialect, address, request_id, actor, '', detail, NULL
		FROM audit_event ORDER BY realm_id, id LIMIT $1`, chainBatch)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		e, err := scanEvent(rows)
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, rows.Err()
}
