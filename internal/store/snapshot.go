package store

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/ostiary/ostiary/internal/backup"
)

// pageRows are read at a time.
const pageRows = 1000

// Snapshot is a store as it was at one moment, whatever is written to it meanwhile.
type Snapshot struct {
	tx    *sql.Tx
	leave func()
}

// Snapshot begins one. While it lasts, SQLite keeps in its write-ahead log all that is written.
func (s *Store) Snapshot(ctx context.Context) (*Snapshot, error) {
	if err := s.enter(ctx); err != nil {
		return nil, classify(err)
	}
	// Of SQLite, every transaction that reads is one.
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		s.leave()
		return nil, s.named(classify(err))
	}
	n := &Snapshot{tx, s.leave}
	var facts int // it begins with what is read first
	if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM store_info").Scan(&facts); err != nil {
		n.Close()
		return nil, s.named(classify(err))
	}
	return n, nil
}

// Close ends it.
func (n *Snapshot) Close() {
	_ = n.tx.Rollback()
	n.leave()
}

// Count counts the rows of a table.
func (n *Snapshot) Count(ctx context.Context, t backup.Table) (rows int64, err error) {
	err = n.tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+t.Name).Scan(&rows)
	return rows, classify(err)
}

// Value returns a fact, or "".
func (n *Snapshot) Value(ctx context.Context, name string) (value string, err error) {
	err = n.tx.QueryRowContext(ctx, "SELECT COALESCE((SELECT value FROM store_info WHERE name = $1), '')", name).Scan(&value)
	return value, classify(err)
}

// Rows are those of a table, in the order of its primary key.
func (n *Snapshot) Rows(t backup.Table) *Rows { return newRows(n.tx, t) }

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Rows reads a table a page at a time, but for the facts that are not copied.
type Rows struct {
	from        querier
	table       backup.Table
	first, next string // queries: of the first page, and of the one behind a key
	page        []backup.Row
	last        backup.Row
	done        bool
}

func newRows(from querier, t backup.Table) *Rows {
	var names, places []string
	for i, c := range t.Columns {
		names = append(names, c.Name)
		if i < t.Key {
			places = append(places, "$"+strconv.Itoa(i+1))
		}
	}
	key := strings.Join(names[:t.Key], ", ")
	read, order := "SELECT "+strings.Join(names, ", ")+" FROM "+t.Name, " ORDER BY "+key+" LIMIT "+strconv.Itoa(pageRows)
	return &Rows{
		from: from, table: t, first: read + order,
		next: read + " WHERE (" + key + ") > (" + strings.Join(places, ", ") + ")" + order,
	}
}

// Next is the next row, or io.EOF.
func (r *Rows) Next(ctx context.Context) (backup.Row, error) {
	row, err := r.peek(ctx)
	if err == nil {
		r.skip()
	}
	return row, err
}

// peek is Next, but that the row stays there until skip.
func (r *Rows) peek(ctx context.Context) (backup.Row, error) {
	for len(r.page) == 0 {
		if r.done {
			return nil, io.EOF
		}
		if err := r.read(ctx); err != nil {
			return nil, classify(err)
		}
	}
	return r.page[0], nil
}

func (r *Rows) skip() {
	if len(r.page) > 0 {
		r.page = r.page[1:]
	}
}

func (r *Rows) read(ctx context.Context) error {
	query, args := r.first, []any(nil)
	if r.last != nil {
		query, args = r.next, r.last[:r.table.Key]
	}
	rows, err := r.from.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	width := len(r.table.Columns)
	values, into := make([]any, pageRows*width), make([]any, width)
	count := 0
	for ; rows.Next(); count++ {
		row := backup.Row(values[count*width : (count+1)*width : (count+1)*width])
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := check(r.table, row); err != nil {
			return err
		}
		r.last = row
		if !isOwnFact(r.table, row) {
			r.page = append(r.page, row)
		}
	}
	r.done = count < pageRows
	return rows.Err()
}

func isOwnFact(t backup.Table, row backup.Row) bool {
	return t.Name == "store_info" && slices.Contains(ownFacts, row[0].(string))
}

// check sees that a row has what its table says: an engine may have other types. Bytes that
// are empty come from SQLite's driver as nil, which other drivers write as NULL.
func check(t backup.Table, row backup.Row) error {
	for i, c := range t.Columns {
		ok := false
		switch v := row[i].(type) {
		case int64:
			ok = c.Kind == backup.Integer
		case string:
			ok = c.Kind == backup.Text
		case []byte:
			ok = c.Kind == backup.Bytes
			if v == nil {
				row[i] = []byte{}
			}
		case nil:
			ok = c.Nullable
		}
		if !ok {
			return fmt.Errorf("%s.%s has a %T, which is not %s", t.Name, c.Name, row[i], c.Kind)
		}
	}
	return nil
}
