// Package store keeps the accounts, sessions, keys and the audit log in a database.
//
// There is one text of every statement, with $1 parameters, times as microseconds UTC
// and ids as 16 bytes. What differs between engines is how they are opened, their
// migrations, how a transaction is run, and what their errors mean.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

// Store is an open database. It implements auth.Store.
type Store struct {
	queries
	db     *sql.DB
	writer *writer
	file   os.FileInfo // the database, as it was opened
	info   Info
}

// Info says what the database is.
type Info struct {
	Engine  string // "SQLite 3.54.1"
	Path    string
	Before  int64 // the schema that was found; 0: the database is new
	Schema  int64 // the version of the last migration that ran
	Current int64 // the one that this binary knows
}

// Info returns what the database is.
func (s *Store) Info() Info { return s.info }

// InTx implements auth.Store. The transactions that wait at the same time are
// committed together, with one sync of the disk for all of them.
func (s *Store) InTx(ctx context.Context, fn func(tx auth.Tx) error) error {
	err := s.writer.do(ctx, fn)
	if e, ok := errors.AsType[*auth.Error](err); ok && e.Cause != nil && FaultOf(err) != FaultOther {
		return &auth.Error{Code: e.Code, RetryAfter: e.RetryAfter, Cause: fmt.Errorf("%s: %w", s.info.Path, e.Cause)}
	}
	return err
}

// Ping implements auth.Store: it sees that the database is still the file that was opened,
// reads, and sees that the writer takes work. After a write that failed, it writes something
// itself: a full disk can be read from very well.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	if err := s.row(ctx, "SELECT 1 FROM store_info LIMIT 1").Scan(&one); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return classify(err)
	}
	if s.writer.healthy.Load() {
		return s.writer.do(ctx, func(auth.Tx) error { return nil })
	}
	if err := s.SetValue(ctx, "written_at", time.Now().UTC().Format(time.RFC3339)); err != nil {
		return err
	}
	s.writer.healthy.Store(true)
	return nil
}

// inPlace sees that the database is still the file that was opened. What is read from a
// file that is gone may have been changed in the one that is there now, and what is
// written to it is lost. It is asked each time: it costs a twentieth of the least read.
func (s *Store) inPlace() error {
	if now, err := os.Stat(s.info.Path); err != nil || !os.SameFile(s.file, now) {
		return &auth.Error{Code: auth.CodeUnavailable, RetryAfter: time.Second,
			Cause: fmt.Errorf("%s is gone, or is another file than the one in use: restore it and start again", s.info.Path)}
	}
	return nil
}

// Close waits for the transactions in flight and closes the database.
func (s *Store) Close() error {
	s.writer.close()
	return s.db.Close()
}

// queries holds every statement, for a transaction or outside of one.
type queries struct{ *prepared }

// prepared runs statements that it prepares once.
type prepared struct {
	prepare func(ctx context.Context, query string) (*sql.Stmt, error)
	cache   sync.Map // query → *sql.Stmt
	detach  bool     // a statement, once begun, is not cancelled
	// slots, if there are any, are the connections that reads may wait for. With a
	// connection at hand, a row is read to its end: watching a context meanwhile would
	// cost a goroutine and half as much again as the read itself.
	slots   chan struct{}
	inPlace func() error // of the store that has the slots
	headKey atomic.Pointer[audit.HeadKey]
}

// enter waits for a connection, and sees that there is still something to read; leave
// gives it back.
func (p *prepared) enter(ctx context.Context) error {
	if p.slots == nil {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case p.slots <- struct{}{}:
		err := p.inPlace()
		if err != nil {
			p.leave()
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *prepared) leave() {
	if p.slots != nil {
		<-p.slots
	}
}

func (p *prepared) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if st, ok := p.cache.Load(query); ok {
		return st.(*sql.Stmt), nil
	}
	st, err := p.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	if old, loaded := p.cache.LoadOrStore(query, st); loaded {
		_ = st.Close()
		st = old.(*sql.Stmt)
	}
	return st, nil
}

// close ends the prepared statements. One that is left open keeps its connection, and
// then the write-ahead log is not folded into the database when that is closed.
func (p *prepared) close() {
	p.cache.Range(func(_, st any) bool {
		_ = st.(*sql.Stmt).Close()
		return true
	})
}

func (p *prepared) context(ctx context.Context) context.Context {
	if p.detach {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

// exec runs a statement and returns how many rows it changed.
func (p *prepared) exec(ctx context.Context, query string, args ...any) (int, error) {
	ctx = p.context(ctx)
	st, err := p.stmt(ctx, query)
	if err != nil {
		return 0, classify(err)
	}
	res, err := st.ExecContext(ctx, args...)
	if err != nil {
		return 0, classify(err)
	}
	n, err := res.RowsAffected()
	return int(n), classify(err)
}

// scanner is a row to be scanned.
type scanner interface{ Scan(dest ...any) error }

// oneRow is a query for one row, which runs when it is scanned.
type oneRow struct {
	*prepared
	ctx   context.Context
	query string
	args  []any
}

// row makes a query for one row. Its Scan returns errors of the driver: classify them.
func (p *prepared) row(ctx context.Context, query string, args ...any) scanner {
	return &oneRow{p, ctx, query, args}
}

func (r *oneRow) Scan(dest ...any) error {
	if err := r.enter(r.ctx); err != nil {
		return err
	}
	defer r.leave()
	ctx := r.context(r.ctx)
	if r.slots != nil {
		ctx = context.WithoutCancel(ctx)
	}
	st, err := r.stmt(ctx, r.query)
	if err != nil {
		return err
	}
	return st.QueryRowContext(ctx, r.args...).Scan(dest...)
}

// list runs a query and scans each of its rows.
func list[T any](ctx context.Context, p *prepared, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	if err := p.enter(ctx); err != nil {
		return nil, classify(err)
	}
	defer p.leave()
	ctx = p.context(ctx)
	st, err := p.stmt(ctx, query)
	if err != nil {
		return nil, classify(err)
	}
	rows, err := st.QueryContext(ctx, args...)
	if err != nil {
		return nil, classify(err)
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, classify(err)
		}
		out = append(out, v)
	}
	return out, classify(rows.Err())
}

// must turns "no row was changed" into ErrNotFound.
func must(n int, err error) error {
	if err == nil && n == 0 {
		return auth.ErrNotFound
	}
	return err
}

// micros is how a time is stored; the zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// at scans a time.
type at struct{ t *time.Time }

func (a at) Scan(src any) error {
	us, ok := src.(int64)
	if !ok {
		return errors.New("a time that is not an integer")
	}
	*a.t = fromMicros(us)
	return nil
}

// nullable is how an id is stored where there may be none.
func nullable(id uuid.UUID) any {
	if id == uuid.Nil {
		return nil
	}
	return id[:]
}
