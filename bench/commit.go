package main

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
)

// rowSize is about what the smallest change of a session takes in the database.
const rowSize = 200

// commitLimit is what SQLite's driver alone can put on the disk: one connection, as SQLite has
// one writer, that inserts so many rows in each transaction, and syncs each, as the server's
// does. So many clients, of whom each waits for an answer, have no more to share a commit with.
func commitLimit(rows int) func(context.Context, *bench, *row) error {
	return func(ctx context.Context, b *bench, r *row) error {
		ctx = context.WithoutCancel(ctx) // the driver watches one that can end, in each statement
		file := filepath.Join(b.dir, fmt.Sprintf("commits-%d.db", rows))
		db, err := sql.Open("sqlite", "file:"+file+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
		if err != nil {
			return err
		}
		b.closers = append(b.closers, db.Close)
		db.SetMaxOpenConns(1)
		if _, err := db.ExecContext(ctx, "CREATE TABLE change (id INTEGER PRIMARY KEY, body BLOB NOT NULL)"); err != nil {
			return err
		}
		insert := fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO change (body) SELECT zeroblob(%d) FROM n", rows, rowSize)
		r.mallocs = ownMallocs
		r.workers = []worker{func() error { _, err := db.ExecContext(ctx, insert); return err }}
		return nil
	}
}
