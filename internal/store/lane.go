package store

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

const (
	readCommitted = "READ COMMITTED"
	// laneBatch is how many transactions are committed together at the most: they hold
	// their locks until all of them are.
	laneBatch = 32
	// maxUnknown is how long the outcome of a commit is asked for.
	maxUnknown = 30 * time.Second
	// rowWait is how long a transaction waits for a row that another one has, and up to
	// three times that, by chance. Then it lets go of what it has, and begins again: so no
	// two wait for each other for long, and of two that do one gives in first.
	rowWait = 50 // milliseconds
	// headWait is how long a batch waits for its place in the audit log, which others
	// hold for the length of a commit, or of a long command.
	headWait = "4s"
	// maxLines is how many statements go to the database in one packet.
	maxLines = 1000
)

// lane is one of those that commit.
type lane struct {
	*lanes
	id    uuid.UUID
	mine  chan *job
	again []*job // those that had to let go
}

func (l *lane) run() {
	for first := l.wait(); first != nil; first = l.wait() {
		l.commit(first)
	}
}

// wait returns the next job, or nil once there will be none.
func (l *lane) wait() (j *job) {
	if len(l.again) > 0 {
		j, l.again = l.again[0], l.again[1:]
		return j
	}
	select {
	case j = <-l.mine:
	case j = <-l.jobs:
	}
	if j == nil { // both are closed, and one is empty
		if j = <-l.mine; j == nil {
			j = <-l.jobs
		}
	}
	return j
}

// next is a job that waits, or nil.
func (l *lane) next() *job {
	select {
	case j := <-l.mine:
		return j
	default:
	}
	select {
	case j := <-l.jobs:
		return j
	default:
		return nil
	}
}

// commit runs a job, and those that wait behind it, until it is known what became of them.
func (l *lane) commit(first *job) {
	b := &batch{lane: l, jobs: []*job{first}, grow: !first.alone}
	began := time.Now()
	err := b.try()
	for tries := 1; err != nil; tries++ {
		l.healthy.Store(false)
		late := time.Since(first.sent) > maxBusy
		switch {
		case b.unknown:
			err = b.resolve()
			l.watch.resolved(err)
			if !errors.Is(err, errLost) {
				b.finish(err)
				return
			}
			b.unknown = false
		case broken(err) && (late || tries > 3):
			b.finish(err)
			l.refuse(err)
			return
		case broken(err):
			time.Sleep(time.Duration(tries) * 10 * time.Millisecond)
		case len(b.jobs) > 1: // each alone, so that only those fail that must
			for _, j := range b.jobs {
				j.alone = true
			}
			l.again = append(l.again, b.jobs...)
			l.retried(len(b.jobs))
			return
		case late || !isRetryable(err):
			b.finish(err)
			return
		default: // let those go first that were in the way
			time.Sleep(rand.N(time.Duration(min(tries, 10)) * 5 * time.Millisecond)) //nolint:gosec // chance, no secret
		}
		l.retried(len(b.jobs))
		err = b.try()
	}
	l.healthy.Store(true)
	l.watch.tell(func(o Observer) { o.StoreBatch(len(b.jobs), time.Since(began)) })
	b.finish(nil)
}

// refuse tells those that wait that the database is away.
func (l *lane) refuse(err error) {
	for j := l.next(); j != nil; j = l.next() {
		j.err = classify(err)
		finish([]*job{j})
	}
}

// finish tells the jobs what became of them.
func (b *batch) finish(err error) {
	for _, j := range b.jobs {
		j.err = cmp.Or(j.err, classify(err))
	}
	finish(b.jobs)
}

func isRetryable(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && retryable(e)
}

// errLost says that a commit has not happened, and will not.
var errLost = errors.New("the commit was lost")

// batch is a transaction of a lane, for one job or for several.
type batch struct {
	*lane
	jobs    []*job
	events  []audit.Event // of the jobs that went well
	grow    bool          // other jobs may join
	mark    uuid.UUID     // of this try
	unknown bool          // whether the commit has happened
	tx      queries
	conn    *sql.Conn
}

// try runs the batch on a connection. An error means that nothing of it is stored, unless
// unknown is set.
func (b *batch) try() (err error) {
	era := b.store.era.Load()
	defer func() {
		if broken(err) {
			b.store.era.CompareAndSwap(era, era+1)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), statementLimit)
	b.conn, err = b.store.db.Conn(ctx)
	cancel()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = b.control("ROLLBACK")
			_ = b.conn.Raw(func(any) error { return driver.ErrBadConn }) // whatever is wrong with it
		}
		_ = b.conn.Close()
	}()
	b.tx = queries{&prepared{direct: b.conn, detach: true, limit: statementLimit, headKey: &b.store.headKey}}
	b.events = nil
	if err := b.control(fmt.Sprintf("BEGIN ISOLATION LEVEL %s READ WRITE; SET LOCAL lock_timeout = %d; SAVEPOINT job",
		b.isolation, rowWait+rand.N(2*rowWait))); err != nil { //nolint:gosec // chance, no secret
		return err
	}
	if err := b.runJobs(); err != nil {
		return err
	}
	if !slices.ContainsFunc(b.jobs, func(j *job) bool { return j.err == nil }) {
		return b.control("ROLLBACK")
	}
	return b.end()
}

// runJobs runs the jobs, and those that wait; only an error that spoils the batch is returned.
func (b *batch) runJobs() error {
	fresh := true // the savepoint
	for i := 0; i < len(b.jobs); i++ {
		if !fresh {
			if err := b.control("RELEASE SAVEPOINT job; SAVEPOINT job"); err != nil {
				return err
			}
		}
		again, err := b.runJob(b.jobs[i])
		if err != nil {
			return err
		}
		fresh = b.jobs[i].err != nil
		if again {
			b.again = append(b.again, b.jobs[i])
			b.retried(1)
			b.jobs = slices.Delete(b.jobs, i, i+1)
			i--
			fresh = true
		}
		if b.grow && i+1 == len(b.jobs) && len(b.jobs) < laneBatch {
			if next := b.next(); next != nil {
				b.jobs = append(b.jobs, next)
			}
		}
	}
	b.grow = false
	return nil
}

// runJob runs one job; again means that it had to let go of what it has.
func (b *batch) runJob(j *job) (again bool, err error) {
	if j.err = j.ctx.Err(); j.err != nil {
		return false, nil
	}
	var events []audit.Event
	if j.err = call(j.fn, laneTx{b.tx, &events}); j.err == nil {
		b.events = append(b.events, events...)
		return false, nil
	}
	if e, ok := errors.AsType[*pgconn.PgError](j.err); broken(j.err) || ok && e.Code == "40001" {
		err, j.err = j.err, nil
		return false, err
	}
	if err := b.control("ROLLBACK TO SAVEPOINT job"); err != nil {
		return false, err
	}
	return isRetryable(j.err) && time.Since(j.sent) < maxBusy, nil
}

func (b *batch) control(statements string) error {
	ctx, cancel := context.WithTimeout(context.Background(), statementLimit)
	defer cancel()
	_, err := b.conn.ExecContext(ctx, statements)
	return err
}

// end writes what the jobs have told the audit log, and the mark of the commit, and commits.
func (b *batch) end() error {
	b.mark = uuid.Must(uuid.NewV7())
	// A command may have told the log of a million accounts.
	ctx, cancel := context.WithTimeout(context.Background(), 2*statementLimit+time.Duration(len(b.events))*time.Millisecond)
	defer cancel()
	return b.conn.Raw(func(c any) error {
		conn := c.(*stdlib.Conn).Conn()
		if err := b.tellLogs(ctx, conn); err != nil {
			return err
		}
		b.unknown = true
		began := time.Now()
		_, err := conn.Exec(ctx, "COMMIT")
		b.watch.tell(func(o Observer) { o.StoreCommit(time.Since(began)) })
		if _, told := errors.AsType[*pgconn.PgError](err); err == nil || told && !broken(err) {
			b.unknown = false
		}
		return err
	})
}

// tellLogs writes the events.
func (b *batch) tellLogs(ctx context.Context, conn *pgx.Conn) error {
	realms := b.realms()
	heads, err := b.takeHeads(ctx, conn, realms)
	if err != nil {
		return err
	}
	key := b.tx.auditKey()
	lines := &pgx.Batch{}
	for i, realm := range realms {
		for _, e := range b.events {
			if e.RealmID != realm {
				continue
			}
			heads[i] = key.Append(heads[i], &e)
			if lines.Queue(insertEvent, eventArgs(e)...); lines.Len() == maxLines {
				if err := conn.SendBatch(ctx, lines).Close(); err != nil {
					return err
				}
				lines = &pgx.Batch{}
			}
		}
		lines.Queue(moveHead, realm[:], heads[i].Hash[:], heads[i].Seal)
	}
	return conn.SendBatch(ctx, lines).Close()
}

// realms are those of the events, always in the same order: their logs are held from here on.
func (b *batch) realms() (realms []uuid.UUID) {
	for _, e := range b.events {
		realms = append(realms, e.RealmID)
	}
	slices.SortFunc(realms, func(x, y uuid.UUID) int { return bytes.Compare(x[:], y[:]) })
	return slices.Compact(realms)
}

// takeHeads sets the mark, and takes the events' places in the logs.
func (b *batch) takeHeads(ctx context.Context, conn *pgx.Conn, realms []uuid.UUID) ([]audit.SealedHead, error) {
	first := &pgx.Batch{}
	first.Queue("SET LOCAL lock_timeout = '" + headWait + "'")
	first.Queue(selectRefusal)
	first.Queue(`INSERT INTO commit_mark (writer, mark, at) VALUES ($1, $2, $3)
		ON CONFLICT (writer) DO UPDATE SET mark = excluded.mark, at = excluded.at`, b.id[:], b.mark[:], micros(time.Now()))
	none := audit.SealedHead{Seal: []byte{}}
	for _, realm := range realms {
		n := 0
		for _, e := range b.events {
			if e.RealmID == realm {
				n++
			}
		}
		first.Queue(takePlaces, realm[:], none.Hash[:], none.Seal, n)
	}
	results := conn.SendBatch(ctx, first)
	defer results.Close()
	if _, err := results.Exec(); err != nil {
		return nil, err
	}
	if err := b.refusal(results); err != nil {
		return nil, err
	}
	if _, err := results.Exec(); err != nil {
		return nil, err
	}
	heads := make([]audit.SealedHead, len(realms))
	for i, realm := range realms {
		h := &heads[i]
		if err := results.QueryRow().Scan(&h.Seq, bytesOf{h.Hash[:]}, &h.Seal); err != nil {
			return nil, err
		}
		for _, e := range b.events {
			if e.RealmID == realm {
				h.Seq--
			}
		}
	}
	return heads, results.Close()
}

// resolve finds out what became of a commit whose answer was lost: nil if it has happened,
// errLost if it has not and can't any more. To read the mark, its row is taken: that waits
// for the transaction, if it is still there, and keeps it from coming later.
func (b *batch) resolve() (err error) {
	var mark []byte
	for deadline := time.Now().Add(maxUnknown); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), statementLimit)
		err = b.store.db.QueryRowContext(ctx, `INSERT INTO commit_mark (writer, mark, at) VALUES ($1, $2, $3)
			ON CONFLICT (writer) DO UPDATE SET at = excluded.at RETURNING mark`, b.id[:], uuid.Nil[:], micros(time.Now())).Scan(&mark)
		cancel()
		if err == nil {
			if bytes.Equal(mark, b.mark[:]) {
				return nil
			}
			return errLost
		}
		b.refuse(err) // they need not wait for this
	}
	return &auth.Error{Code: auth.CodeUnavailable, RetryAfter: time.Second,
		Cause: fmt.Errorf("the database went away during a commit: whether it has happened is not known: %w", err)}
}

// laneTx is a transaction of a batch: all of queries, but that the audit log is told at the
// batch's end.
type laneTx struct {
	queries
	events *[]audit.Event
}

func (t laneTx) InsertEvent(_ context.Context, e audit.Event) error {
	*t.events = append(*t.events, e)
	return nil
}
