package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

const (
	// maxBatch is how many transactions are committed together at the most.
	maxBatch = 256
	// maxBusy is how long a transaction waits for other processes to finish theirs.
	maxBusy = 5 * time.Second
)

// writer runs all write transactions of SQLite, which has one writer at a time, on one
// connection. Those that wait while others are committed share the next commit.
type writer struct {
	conn    *sql.Conn
	tx      queries
	jobs    chan *job
	inPlace func() error   // of the store
	refused *auth.Error    // what the jobs of this transaction are told
	events  []*audit.Event // of those that went well
	folds   *checkpointer
	writable

	mu     sync.RWMutex // held for reading by those that send a job
	closed bool
	done   chan struct{}
}

type job struct {
	ctx   context.Context
	fn    func(auth.Tx) error
	err   error
	done  chan struct{}
	sent  time.Time
	alone bool // it shares no commit with others
	state atomic.Int32
}

// The states of a job of a lane: it may run only if nobody has given it up before.
const (
	jobWaits int32 = iota
	jobRuns
	jobGivenUp
)

// begin tells whether the job may run.
func (j *job) begin() bool {
	return j.state.CompareAndSwap(jobWaits, jobRuns) || j.state.Load() == jobRuns
}

// giveUp tells whether it will not run.
func (j *job) giveUp() bool { return j.state.CompareAndSwap(jobWaits, jobGivenUp) }

// hurried tells whether somebody waits for it.
func (j *job) hurried() bool {
	_, hurried := j.ctx.Deadline()
	return hurried
}

// busyPoll is how long SQLite itself waits for another process at a time.
const busyPoll = "PRAGMA busy_timeout = 250"

func newWriter(ctx context.Context, conn *sql.Conn, s *Store) (*writer, error) {
	for _, pragma := range []string{busyPoll, "PRAGMA wal_autocheckpoint = " + strconv.Itoa(autoPages)} {
		if _, err := conn.ExecContext(ctx, pragma); err != nil {
			return nil, err
		}
	}
	w := &writer{
		conn: conn,
		tx:   queries{&prepared{prepare: conn.PrepareContext, detach: true, headKey: &s.headKey, identity: &s.identity}},
		jobs: make(chan *job, maxBatch), inPlace: s.inPlace, folds: newCheckpointer(s),
		done: make(chan struct{}), writable: writable{watch: &s.watch},
	}
	go w.run()
	return w, nil
}

var errClosed = &auth.Error{Code: auth.CodeUnavailable, Cause: errors.New("the store is closed"), RetryAfter: time.Second}

// do runs fn in a transaction and returns when it is on disk, or has failed.
func (w *writer) do(ctx context.Context, fn func(auth.Tx) error) error {
	j := &job{ctx: ctx, fn: fn, done: make(chan struct{}), sent: time.Now()}
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
		w.folds.close()
		w.tx.close()
		_ = w.conn.Close()
	}()
	for j := range w.jobs {
		pending, err := w.begin(w.gather(j))
		if len(pending) > 0 {
			finish(w.batch(pending, err))
			w.checkpoint()
		}
	}
}

// checkpoint has the log begin anew, if hardly anything of it is not in the database yet.
func (w *writer) checkpoint() {
	if w.folds.little.CompareAndSwap(true, false) {
		mustSync(w.control("PRAGMA wal_checkpoint(PASSIVE)")) // and if it is another's turn, another time
		return
	}
	w.folds.committed()
}

func finish(jobs []*job) {
	for _, j := range jobs {
		close(j.done)
	}
}

// begin starts a transaction. While another process has the database, those that wait
// gather, and each is told so after maxBusy, however many stand before it.
func (w *writer) begin(pending []*job) ([]*job, error) {
	for {
		err := w.open()
		if !isBusy(err) {
			return pending, err
		}
		for len(pending) < maxBatch {
			next := w.waiting()
			if next == nil {
				break
			}
			pending = append(pending, next)
		}
		pending = slices.DeleteFunc(pending, func(j *job) bool {
			if j.ctx.Err() == nil && time.Since(j.sent) < maxBusy {
				return false
			}
			j.err = classify(cmp.Or(j.ctx.Err(), err))
			w.healthy.Store(false)
			finish([]*job{j})
			return true
		})
		if len(pending) == 0 {
			return nil, err
		}
	}
}

// open begins a transaction on the file that is in its place.
func (w *writer) open() error {
	if err := w.inPlace(); err != nil {
		return err
	}
	return w.control("BEGIN IMMEDIATE")
}

// batch runs jobs, and those that came meanwhile, in the transaction that has begun; err
// is why it has not.
func (w *writer) batch(batch []*job, err error) []*job {
	began := time.Now()
	alone := len(batch) == 1 && auth.IsAlone(batch[0].ctx)
	err = w.end(err, func() error {
		if alone {
			return w.runAlone(batch[0])
		}
		for i := 0; i < len(batch); i++ {
			if err := w.runJob(batch[i]); err != nil {
				return err
			}
			if i+1 < len(batch) || i+1 == maxBatch {
				continue
			}
			if next := w.waiting(); next != nil {
				batch = append(batch, next)
			}
		}
		return nil
	})
	if err == nil {
		w.watch.tell(func(o Observer) { o.StoreBatch(len(batch), time.Since(began)) })
		w.lookAfter(batch)
		return batch
	}
	if len(batch) > 1 {
		w.retried(len(batch))
	}
	// Nothing of the batch is stored. Each alone, so that only those fail that must, and
	// none because of what it saw of another.
	for _, j := range batch {
		if len(batch) > 1 {
			err = w.end(w.open(), func() error { return w.runJob(j) })
		}
		switch {
		case err == nil:
			w.lookAfter([]*job{j})
		case j.err == nil:
			j.err = classify(err)
		}
	}
	return batch
}

// lookAfter tells jobs that were committed if that was to a file that has gone meanwhile, and
// so not to the database. None is run again: if the file is back, it has what they did.
func (w *writer) lookAfter(jobs []*job) {
	if err := w.inPlace(); err != nil {
		w.healthy.Store(false)
		for _, j := range jobs {
			j.err = err
		}
	}
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

// end runs what a transaction is for, if it has begun, and commits it; an error means that
// nothing of it is stored.
func (w *writer) end(err error, run func() error) error {
	if err == nil {
		w.refused, err = w.tx.refused(context.Background())
	}
	w.events = nil
	if err == nil {
		err = run()
	}
	if err == nil {
		err = w.tellLogs()
	}
	if err == nil {
		began := time.Now()
		err = w.control("COMMIT")
		w.watch.tell(func(o Observer) { o.StoreCommit(time.Since(began)) })
	}
	if err != nil {
		w.healthy.Store(false)
		_ = w.control("ROLLBACK") // the engine may have done so itself
	}
	return err
}

// runAlone runs a job that is a transaction of its own. Without a savepoint, SQLite need not
// keep each page that it changes as it was before, which for many pages takes half of the time.
func (w *writer) runAlone(j *job) error {
	switch {
	case j.ctx.Err() != nil:
		j.err = j.ctx.Err()
	case w.refused != nil && !isUnrefused(j.ctx):
		j.err = w.refused
	default:
		j.err = call(j.fn, writerTx{w.tx, &w.events})
	}
	return j.err
}

// runJob runs one job of a batch; only an error that spoils the batch is returned.
func (w *writer) runJob(j *job) error {
	if j.err = j.ctx.Err(); j.err != nil {
		return nil
	}
	if w.refused != nil && !isUnrefused(j.ctx) {
		j.err = w.refused
		return nil
	}
	if err := w.control("SAVEPOINT job"); err != nil {
		return err
	}
	told := len(w.events)
	if j.err = call(j.fn, writerTx{w.tx, &w.events}); j.err != nil {
		w.events = w.events[:told]
		if e, ok := errors.AsType[*auth.Error](j.err); ok && e.Code == auth.CodeUnavailable {
			w.healthy.Store(false)
		}
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

// tellLogs writes what the jobs have told the audit log, whose head moves once for all of them.
func (w *writer) tellLogs() error {
	ctx := context.Background()
	for _, log := range logsOf(w.events) {
		head, err := scanHead(w.tx.row(ctx, takePlaces, takeArgs(log)...), log)
		if err != nil {
			return err
		}
		head = w.tx.auditKey().Append(head, log...)
		for _, e := range log {
			if _, err := w.tx.exec(ctx, insertEvent, eventArgs(e)...); err != nil {
				return err
			}
		}
		if _, err := w.tx.exec(ctx, moveHead, log[0].RealmID[:], head.Hash[:], head.Seal); err != nil {
			return err
		}
	}
	return nil
}

// writerTx is a transaction of a batch: all of queries, but that the audit log is told at the
// batch's end.
type writerTx struct {
	queries
	events *[]*audit.Event
}

// Closing implements auth.AuditWriter: there is nothing to be had by knowing it here.
func (t writerTx) Closing(...uuid.UUID) {}

func (t writerTx) InsertEvent(_ context.Context, e audit.Event) error {
	*t.events = append(*t.events, &e)
	return nil
}

// own are the statements of a transaction, beside those that the core knows.
func own(tx auth.Tx) queries { return tx.(interface{ all() queries }).all() }

func (q queries) all() queries { return q }
