package store

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/ostiary/ostiary/internal/backup"
)

// Loader changes the rows of whole tables. Nobody else may use the database meanwhile.
type Loader struct {
	store *Store
	conn  *sql.Conn
}

// Load begins to change the rows of tables.
func (s *Store) Load(ctx context.Context) (*Loader, error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return nil, s.named(classify(err))
	}
	if s.writer != nil {
		if _, err := conn.ExecContext(ctx, "PRAGMA cache_size = -65536"); err != nil { // for indexes that are filled out of order
			_ = conn.Close()
			return nil, s.named(classify(err))
		}
	}
	return &Loader{s, conn}, nil
}

// Close ends it.
func (l *Loader) Close() { _ = l.conn.Close() }

// Rows reads a table as it is now.
func (l *Loader) Rows(t backup.Table) *Rows { return newRows(l.store.db, t) }

// Empty deletes all rows of all tables, but for the facts that a database has of itself.
func (l *Loader) Empty(ctx context.Context) error {
	for _, t := range Tables {
		query := "DELETE FROM " + t.Name
		if t.Name == "store_info" {
			query += " WHERE name NOT IN ('" + strings.Join(ownFacts, "', '") + "')"
		}
		if _, err := l.conn.ExecContext(ctx, query); err != nil {
			return l.store.named(classify(err))
		}
	}
	return nil
}

// Insert adds rows, all or none.
func (l *Loader) Insert(ctx context.Context, t backup.Table, rows []backup.Row) error {
	if l.store.writer != nil {
		return l.in(ctx, func() error { return l.insertSQLite(ctx, t, rows) })
	}
	if err := clean(t, rows); err != nil {
		return err
	}
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	return l.store.named(classify(l.conn.Raw(func(c any) error {
		_, err := c.(*stdlib.Conn).Conn().CopyFrom(ctx, pgx.Identifier{t.Name}, names,
			pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) { return rows[i], nil }))
		return err
	})))
}

func (l *Loader) insertSQLite(ctx context.Context, t backup.Table, rows []backup.Row) error {
	var names, places []string
	for i, c := range t.Columns {
		names, places = append(names, c.Name), append(places, "$"+strconv.Itoa(i+1))
	}
	st, err := l.conn.PrepareContext(ctx, "INSERT INTO "+t.Name+" ("+strings.Join(names, ", ")+") VALUES ("+strings.Join(places, ", ")+")")
	if err != nil {
		return err
	}
	defer st.Close()
	for _, row := range rows {
		if _, err := st.ExecContext(ctx, row...); err != nil {
			return err
		}
	}
	return nil
}

// Delete removes rows by their primary keys, all or none.
func (l *Loader) Delete(ctx context.Context, t backup.Table, rows []backup.Row) error {
	var where []string
	for i, c := range t.Columns[:t.Key] {
		where = append(where, c.Name+" = $"+strconv.Itoa(i+1))
	}
	query := "DELETE FROM " + t.Name + " WHERE " + strings.Join(where, " AND ")
	return l.in(ctx, func() error {
		for _, row := range rows {
			if _, err := l.conn.ExecContext(ctx, query, row[:t.Key]...); err != nil {
				return err
			}
		}
		return nil
	})
}

func (l *Loader) in(ctx context.Context, fn func() error) error {
	if _, err := l.conn.ExecContext(ctx, "BEGIN"); err != nil {
		return l.store.named(classify(err))
	}
	err := fn()
	if err == nil {
		_, err = l.conn.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		_, _ = l.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	}
	return l.store.named(classify(err))
}

// clean refuses texts that PostgreSQL does not take: nobody can write them any more, but an
// old row of SQLite may have them.
func clean(t backup.Table, rows []backup.Row) error {
	for _, row := range rows {
		for i, v := range row {
			if text, ok := v.(string); ok && (strings.Contains(text, "\x00") || !utf8.ValidString(text)) {
				return fmt.Errorf("a text that PostgreSQL does not take, since it has a zero byte or is no UTF-8, is in %s.%s of the row %q",
					t.Name, t.Columns[i].Name, row[:t.Key])
			}
		}
	}
	return nil
}
