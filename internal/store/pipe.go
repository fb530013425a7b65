package store

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"
)

// direct is a database, or a connection, whose driver prepares statements by itself.
type direct interface {
	exec(ctx context.Context, query string, args []any) (int, error)
	row(ctx context.Context, query string, args, dest []any) error
	query(ctx context.Context, query string, args []any) (rows, error)
}

// rows is what sql.Rows has.
type rows interface {
	scanner
	Next() bool
	Err() error
	Close() error
}

// pool is a direct of connections that are used in turn, or of a transaction on one.
type pool struct {
	db interface {
		ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
		QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
		querier
	}
}

func (p pool) exec(ctx context.Context, query string, args []any) (int, error) {
	res, err := p.db.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	return int(n), err
}

func (p pool) row(ctx context.Context, query string, args, dest []any) error {
	return p.db.QueryRowContext(ctx, query, args...).Scan(dest...)
}

func (p pool) query(ctx context.Context, query string, args []any) (rows, error) {
	return p.db.QueryContext(ctx, query, args...) //nolint:rowserrcheck // the caller does
}

// pipe is a direct of one connection, to which several statements go in one packet: what
// costs most of a statement that changes a row is the way there and back. Those whose
// answer nobody waits for are kept until one comes that has to be answered.
type pipe struct {
	conn *pgx.Conn
	kept pgx.Batch
	sent bool // something was sent, since whoever asks set it to false
	// closing, if there is one, goes behind the next statement that is answered: it keeps
	// statements, and returns how many of them it reads the answers of.
	closing func() (n int, read func(pgx.BatchResults) error)
}

// statement is one with its arguments.
type statement struct {
	query string
	args  []any
}

// keep adds a statement to what is sent next: if it fails, that does.
func (p *pipe) keep(query string, args ...any) { p.kept.Queue(query, args...) }

// drop forgets what is kept.
func (p *pipe) drop() { p.kept, p.closing = pgx.Batch{}, nil }

// send sends what is kept, and reads the answers but for the last n.
func (p *pipe) send(ctx context.Context, n int) (pgx.BatchResults, error) {
	b := p.kept
	p.kept = pgx.Batch{}
	p.sent = true
	results := p.conn.SendBatch(ctx, &b)
	for range b.Len() - n {
		if _, err := results.Exec(); err != nil {
			_ = results.Close()
			return nil, err
		}
	}
	return results, nil
}

// flush sends what is kept.
func (p *pipe) flush(ctx context.Context) error {
	if p.kept.Len() == 0 {
		return nil
	}
	results, err := p.send(ctx, 0)
	if err != nil {
		return err
	}
	return results.Close()
}

// answered sends statements with what is kept, and has their answers read.
func (p *pipe) answered(ctx context.Context, read func(pgx.BatchResults) error, statements ...statement) error {
	for _, s := range statements {
		p.keep(s.query, s.args...)
	}
	n, closing := len(statements), p.closing
	var closed func(pgx.BatchResults) error
	if closing != nil {
		p.closing = nil
		var more int
		more, closed = closing()
		n += more
	}
	results, err := p.send(ctx, n)
	if err != nil {
		return err
	}
	if err = read(results); err == nil && closed != nil {
		err = closed(results)
	}
	if end := results.Close(); err == nil {
		err = end
	}
	return err
}

func (p *pipe) exec(ctx context.Context, query string, args []any) (n int, err error) {
	err = p.answered(ctx, func(results pgx.BatchResults) error {
		tag, err := results.Exec()
		n = int(tag.RowsAffected())
		return err
	}, statement{query, args})
	return n, err
}

func (p *pipe) row(ctx context.Context, query string, args, dest []any) error {
	return p.answered(ctx, func(results pgx.BatchResults) error { return results.QueryRow().Scan(dest...) }, statement{query, args})
}

// two reads a row of each of two statements, of which the second sees what the first has done.
func (p *pipe) two(ctx context.Context, a, b statement, destA, destB []any) error {
	return p.answered(ctx, func(results pgx.BatchResults) error {
		if err := results.QueryRow().Scan(destA...); err != nil {
			return err
		}
		return results.QueryRow().Scan(destB...)
	}, a, b)
}

func (p *pipe) query(ctx context.Context, query string, args []any) (rows, error) {
	p.keep(query, args...)
	results, err := p.send(ctx, 1)
	if err != nil {
		return nil, err
	}
	answer, err := results.Query()
	if err != nil {
		_ = results.Close()
		return nil, err
	}
	return pipeRows{answer, results}, nil
}

type pipeRows struct {
	pgx.Rows
	results pgx.BatchResults
}

func (r pipeRows) Close() error {
	r.Rows.Close()
	return r.results.Close()
}
