package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

// maxBatch is how many transactions are committed together at the most.
const maxBatch = 256

// writer runs all write transactions of SQLite, which has one writer at a time, on one
// connection. Those that wait while others are committed share the next commit.
type writer struct {
	conn *sql.Conn
	tx   queries
	jobs chan *job

	mu     sync.RWMutex // held for reading by those that send a job
	closed bool
	done   chan struct{}
}

type job struct {
	ctx  context.Context
	fn   func(auth.Tx) error
	err  error
	done chan struct{}
}

func newWriter(conn *sql.Conn) *writer {
	w := &writer{
		conn: conn,
		tx:   queries{&prepared{prepare: conn.PrepareContext, detach: true}},
		jobs: make(chan *job, maxBatch),
		done: make(chan struct{}),
	}
	go w.run()
	return w
}

var errClosed = &auth.Error{Code: auth.CodeUnavailable, Cause: errors.New("the store is closed"), RetryAfter: time.Second}

// do runs fn in a transaction and returns when it is on disk, or has failed.
func (w *writer) do(ctx context.Context, fn func(auth.Tx) error) error {
	j := &job{ctx: ctx, fn: fn, done: make(chan struct{})}
	if err := w.send(j); err != nil {
		return err
	}
	// The outcome is awaited even if ctx ends: the caller must not learn "failed" of
	// something that is then committed.
	<-j.done
	return j.err
}

func (w *writer) send(j *job) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return errClosed
	}
	select {
	case w.jobs <- j:
		return nil
	case <-j.ctx.Done():
		return j.ctx.Err()
	}
}

func (w *writer) close() {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.jobs)
	}
	w.mu.Unlock()
	<-w.done
}

func (w *writer) run() {
	defer close(w.done)
	defer func() {
		w.tx.close()
		_ = w.conn.Close()
	}()
	for j := range w.jobs {
		batch := w.batch(j)
		for _, j := range batch {
			close(j.done)
		}
	}
}

// batch runs a job, and those that came meanwhile, in one transaction.
func (w *writer) batch(first *job) []*job {
	batch := []*job{first}
	err := w.transaction(func() error {
		err := w.runJob(first)
		for err == nil && len(batch) < maxBatch {
			next := w.waiting()
			if next == nil {
				break
			}
			batch = append(batch, next)
			err = w.runJob(next)
		}
		return err
	})
	if err == nil {
		return batch
	}
	// Nothing of the batch is stored. Each alone, so that only those fail that must, and
	// none because of what it saw of another.
	for _, j := range batch {
		if len(batch) > 1 {
			err = w.transaction(func() error { return w.runJob(j) })
		}
		if err != nil && j.err == nil {
			j.err = classify(err)
		}
	}
	return batch
}

// waiting is a job that waits, or nil.
func (w *writer) waiting() *job {
	select {
	case j := <-w.jobs:
		return j
	default:
		return nil
	}
}

func (w *writer) transaction(run func() error) error {
	err := w.control("BEGIN IMMEDIATE")
	if err == nil {
		err = run()
	}
	if err == nil {
		err = w.control("COMMIT")
	}
	if err != nil {
		_ = w.control("ROLLBACK") // the engine may have done so itself
	}
	return err
}

// runJob runs one job of a batch; only an error that spoils the batch is returned.
func (w *writer) runJob(j *job) error {
	if j.err = j.ctx.Err(); j.err != nil {
		return nil
	}
	if err := w.control("SAVEPOINT job"); err != nil {
		return err
	}
	if j.err = call(j.fn, txQueries{w.tx}); j.err != nil {
		if err := w.control("ROLLBACK TO job"); err != nil {
			return err
		}
	}
	return w.control("RELEASE job")
}

func (w *writer) control(statement string) error {
	st, err := w.tx.stmt(context.Background(), statement)
	if err != nil {
		return err
	}
	_, err = st.Exec()
	return err
}

// call keeps a panic in fn from ending the writer, and with it the process.
func call(fn func(auth.Tx) error, tx auth.Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &auth.Error{Code: auth.CodeInternal, Cause: fmt.Errorf("panic: %v\n%s", p, debug.Stack())}
		}
	}()
	return fn(tx)
}

// txQueries is a transaction: all of queries.
type txQueries struct{ queries }
