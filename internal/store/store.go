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

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

// Store is an open database. It implements auth.Store.
type Store struct {
	queries
	committer
	db       *sql.DB
	writer   *writer     // the committer of SQLite
	file     os.FileInfo // the SQLite database, as it was opened
	info     Info
	headKey  atomic.Pointer[audit.HeadKey]
	era      atomic.Uint64 // of the connections to PostgreSQL
	turns    turns         // of those that reserve guesses in PostgreSQL
	watch    watch
	identity identity
}

// committer runs transactions.
type committer interface {
	// do runs fn in a transaction and returns when it is committed, or has failed.
	do(ctx context.Context, fn func(auth.Tx) error) error
	// close waits for the transactions in flight.
	close()
	// health is what is known of it.
	health() *writable
}

// writable is whether transactions are committed.
type writable struct {
	// healthy is set once something has been written, and until something could not be.
	healthy atomic.Bool
	watch   *watch
}

func (w *writable) health() *writable { return w }

// Info says what the database is.
type Info struct {
	Engine  string // "SQLite 3.54.1", "PostgreSQL 15.18"
	Path    string // of the file, or the URL without who, with what, and how
	Before  int64  // the schema that was found; 0: the database is new
	Schema  int64  // the version of the last migration that ran
	Current int64  // the one that this binary knows
}

// Info returns what the database is.
func (s *Store) Info() Info { return s.info }

// InTx implements auth.Store. The transactions that wait at the same time are
// committed together, with one sync of the disk for all of them.
func (s *Store) InTx(ctx context.Context, fn func(tx auth.Tx) error) error {
	err := s.do(ctx, fn)
	s.watch.transaction(err)
	return s.named(err)
}

// named says of a fault which database has it.
func (s *Store) named(err error) error {
	if e, ok := errors.AsType[*auth.Error](err); ok && e.Cause != nil && FaultOf(err) != FaultOther {
		return &auth.Error{Code: e.Code, RetryAfter: e.RetryAfter, Cause: fmt.Errorf("%s: %w", s.info.Path, e.Cause)}
	}
	return err
}

// Ping implements auth.Store: it sees that the database is still the file that was opened,
// reads, and sees that the writer takes work. After a write that failed, it writes something
// itself: a full disk can be read from very well.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.canRead(ctx); err != nil {
		return err
	}
	ctx = Unrefused(ctx) // a database that takes no writes can be read, and those who write are told why
	if s.health().healthy.Load() {
		return s.do(ctx, func(auth.Tx) error { return nil })
	}
	if err := s.SetValue(ctx, writtenFact, time.Now().UTC().Format(time.RFC3339)); err != nil {
		return err
	}
	s.health().healthy.Store(true)
	return nil
}

// canRead reads, and in PostgreSQL, where each table has rights of its own, asks for those of all.
func (s *Store) canRead(ctx context.Context) error {
	if s.writer == nil {
		return s.usable(ctx)
	}
	var one int
	if err := s.row(ctx, "SELECT 1 FROM store_info LIMIT 1").Scan(&one); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return classify(err)
	}
	return nil
}

// inPlace sees that the database is still the file that was opened. What is read from a
// file that is gone may have been changed in the one that is there now, and what is
// written to it is lost. It is asked each time: it costs a twentieth of the least read.
func (s *Store) inPlace() error {
	if now, err := os.Stat(s.info.Path); err != nil || !os.SameFile(s.file, now) {
		return &auth.Error{Code: auth.CodeUnavailable, RetryAfter: time.Second,
			Cause: fmt.Errorf("%s is gone, or is another file than the one in use: bring that one back; or stop, move its -wal and -shm away, and start with the other", s.info.Path)}
	}
	return nil
}

// Close waits for the transactions in flight and closes the database.
func (s *Store) Close() error {
	s.close() // that of the committer
	return s.db.Close()
}

// queries holds every statement, for a transaction or outside of one.
type queries struct{ *prepared }

// prepared runs statements that it prepares once.
type prepared struct {
	prepare func(ctx context.Context, query string) (*sql.Stmt, error)
	cache   sync.Map // query → *sql.Stmt
	// direct is in place of prepare.
	direct direct
	detach bool          // a statement, once begun, is not cancelled
	limit  time.Duration // for one statement of somebody who waits; 0: none
	end    time.Time     // of what a transaction may ask; zero: nobody waits for it
	// slots, if there are any, are the connections that reads may wait for. With a
	// connection at hand, a row is read to its end: watching a context meanwhile would
	// cost a goroutine and half as much again as the read itself.
	slots   chan struct{}
	inPlace func() error // of the store that has the slots
	// era, if there is one, moves on when a connection has broken: those of an earlier era
	// are not used again, since what ended the one has ended most of them.
	era      *atomic.Uint64
	headKey  *atomic.Pointer[audit.HeadKey]
	watch    *watch    // of the store that has the slots
	identity *identity // likewise, for its writer
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
	if end := endOf(ctx); p.era != nil && !end.IsZero() && !time.Now().Before(end) {
		return errLate
	}
	select {
	case p.slots <- struct{}{}:
	default:
		asked := time.Now()
		late, stop := lateAt(endOf(ctx))
		defer stop()
		select {
		case p.slots <- struct{}{}:
			p.watch.tell(func(o Observer) { o.StoreWaited(time.Since(asked)) })
		case <-late:
			return errNoSlot
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := p.inPlace()
	if err != nil {
		p.leave()
	}
	return err
}

// errNoSlot is for those that have waited too long behind others, which the database keeps
// waiting: they can't be helped, and should not wait for as long as these all together.
var errNoSlot = &auth.Error{Code: auth.CodeUnavailable, RetryAfter: time.Second,
	Cause: fmt.Errorf("all connections for reading were busy for %s: the database is too slow, or there are too few of them (database_connections)", maxBusy)}

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

// context is the one that a statement runs in.
func (p *prepared) context(ctx context.Context) (context.Context, context.CancelFunc) {
	end := p.end
	if p.slots != nil && p.limit > 0 {
		end = endOf(ctx)
	}
	if p.detach {
		ctx = context.WithoutCancel(ctx)
	}
	switch {
	case p.limit == 0:
		return ctx, func() {}
	case end.IsZero():
		return context.WithTimeout(ctx, bulkLimit)
	}
	return context.WithTimeout(ctx, min(p.limit, time.Until(end)))
}

// exec runs a statement and returns how many rows it changed.
func (p *prepared) exec(ctx context.Context, query string, args ...any) (int, error) {
	ctx, cancel := p.context(ctx)
	defer cancel()
	n, err := p.run(ctx, query, args)
	return n, classify(err)
}

func (p *prepared) run(ctx context.Context, query string, args []any) (int, error) {
	if p.direct != nil {
		return p.direct.exec(ctx, query, args)
	}
	st, err := p.stmt(ctx, query)
	if err != nil {
		return 0, err
	}
	res, err := st.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	return int(n), err
}

// keep runs a statement whose answer nobody waits for, now or with a later one of the same
// transaction. It must be one that doesn't fail because of what is stored: it is the later
// one, or the transaction, that has its error.
func (p *prepared) keep(ctx context.Context, query string, args ...any) error {
	if pipe, ok := p.direct.(*pipe); ok {
		pipe.keep(query, args...)
		return nil
	}
	_, err := p.exec(ctx, query, args...)
	return err
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
	defer r.waited(r.ctx, time.Now())
	if err := r.enter(r.ctx); err != nil {
		return err
	}
	defer r.leave()
	return r.again(func() error {
		ctx, cancel := r.context(r.ctx)
		defer cancel()
		if r.slots != nil && !r.detach {
			ctx = context.WithoutCancel(ctx)
		}
		if r.direct != nil {
			return r.direct.row(ctx, r.query, r.args, dest)
		}
		st, err := r.stmt(ctx, r.query)
		if err != nil {
			return err
		}
		return st.QueryRowContext(ctx, r.args...).Scan(dest...)
	})
}

// two reads a row of each of two statements of a transaction, with one way there and back
// where that can be. Its errors are the driver's.
func (p *prepared) two(ctx context.Context, a, b statement, destA, destB []any) error {
	if pipe, ok := p.direct.(*pipe); ok {
		ctx, cancel := p.context(ctx)
		defer cancel()
		return pipe.two(ctx, a, b, destA, destB)
	}
	if err := p.row(ctx, a.query, a.args...).Scan(destA...); err != nil {
		return err
	}
	return p.row(ctx, b.query, b.args...).Scan(destB...)
}

// again reads once more on a new connection, if the one that was read on has broken.
func (p *prepared) again(read func() error) error {
	began := time.Now()
	err := p.onceMore(read)
	p.watch.read(began, err)
	return err
}

func (p *prepared) onceMore(read func() error) error {
	if p.era == nil {
		return read()
	}
	era, began := p.era.Load(), time.Now()
	err := read()
	if late := errors.Is(err, context.DeadlineExceeded); broken(err) {
		if !late || time.Since(began) > statementLimit/3 { // less says nothing of the connections
			p.era.CompareAndSwap(era, era+1)
		}
		if !late { // then whoever asked has waited long enough
			err = read()
		}
	}
	return err
}

// list runs a query and scans each of its rows.
func list[T any](ctx context.Context, p *prepared, scan func(scanner) (T, error), query string, args ...any) (out []T, err error) {
	defer p.waited(ctx, time.Now())
	if err := p.enter(ctx); err != nil {
		return nil, classify(err)
	}
	defer p.leave()
	err = p.again(func() (err error) {
		out, err = listOnce(ctx, p, scan, query, args)
		return err
	})
	return out, classify(err)
}

func listOnce[T any](ctx context.Context, p *prepared, scan func(scanner) (T, error), query string, args []any) (out []T, err error) {
	ctx, cancel := p.context(ctx)
	defer cancel()
	rows, err := p.query(ctx, query, args)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

func (p *prepared) query(ctx context.Context, query string, args []any) (rows, error) {
	if p.direct != nil {
		return p.direct.query(ctx, query, args)
	}
	st, err := p.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(ctx, args...) //nolint:rowserrcheck // the caller does
}

// must turns "no row was changed" into ErrNotFound.
func must(n int, err error) error {
	if err == nil && n == 0 {
		return auth.ErrNotFound
	}
	return err
}
