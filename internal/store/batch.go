package store

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
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

// errLost says that a commit has not happened, and will not.
var errLost = errors.New("the commit was lost")

// batch is a transaction of a lane, for one job or for several.
type batch struct {
	*lane
	jobs    []*job
	events  []*audit.Event // of the jobs that went well
	ends    map[ending]int // of the guesses that these have ended
	good    int            // how many have
	grow    bool           // other jobs may join
	mark    uuid.UUID      // of this try
	unknown bool           // whether the commit has happened
	by      time.Time      // the end of what a job for which somebody waits may ask
	conn    *sql.Conn
	pipe    *pipe              // to the same
	logs    [][]*audit.Event   // whose places are taken
	heads   []audit.SealedHead // that they follow
	tx      queries
	state
}

// state is what the connection is in, once everything is sent that is kept.
type state struct {
	begun bool // the transaction
	saved bool // the savepoint "job", before the last job that began
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
	b.by, b.mark, b.heads = time.Now().Add(statementLimit), uuid.Must(uuid.NewV7()), nil
	ctx, cancel := context.WithDeadline(context.Background(), b.by)
	b.conn, err = b.store.db.Conn(ctx)
	cancel()
	if err != nil {
		return err
	}
	b.pipe = &pipe{}
	defer func() {
		if err != nil && (b.control("ROLLBACK") != nil || !isRetryable(err)) {
			_ = b.conn.Raw(func(any) error { return driver.ErrBadConn }) // whatever is wrong with it
		}
		_ = b.conn.Close()
	}()
	if err := b.conn.Raw(func(c any) error {
		b.pipe.conn = c.(*stdlib.Conn).Conn()
		return nil
	}); err != nil {
		return err
	}
	b.tx = queries{&prepared{direct: b.pipe, detach: true, limit: statementLimit, headKey: &b.store.headKey}}
	b.events, b.ends, b.good, b.state = nil, map[ending]int{}, 0, state{}
	if err := b.runJobs(); err != nil {
		return err
	}
	if b.good == 0 {
		return nil
	}
	return b.end()
}

// runJobs runs the jobs, and those that wait; only an error that spoils the batch is returned.
func (b *batch) runJobs() error {
	for i := 0; i < len(b.jobs); {
		again, err := b.runJob(i)
		if err != nil {
			return err
		}
		if b.jobs[i].err != nil { // of one that went well, runJob has asked: what it left must be sent before another begins
			b.more(i)
		}
		if !again {
			i++
			continue
		}
		b.again = append(b.again, b.jobs[i])
		b.retried(1)
		b.jobs = slices.Delete(b.jobs, i, i+1)
	}
	b.grow = false
	return nil
}

// more tells whether there is a job behind another one.
func (b *batch) more(i int) bool {
	if b.grow && i+1 == len(b.jobs) && len(b.jobs) < laneBatch && time.Until(b.by) > statementLimit-batchAge {
		if next := b.next(); next != nil {
			b.jobs = append(b.jobs, next)
		}
	}
	return i+1 < len(b.jobs)
}

// runJob runs one job; again means that it had to let go of what it has.
func (b *batch) runJob(i int) (again bool, err error) {
	j := b.jobs[i]
	if j.err = j.ctx.Err(); j.err != nil || !j.begin() {
		return false, nil
	}
	b.tx.end = time.Time{}
	if j.hurried() {
		b.tx.end = b.by
	}
	before := b.state
	b.open()
	var events []*audit.Event
	var ends []ending
	j.err = call(j.fn, laneTx{b.tx, b, i, &events, &ends})
	if j.err == nil && b.more(i) { // if what it left to be sent fails, it is this job that does
		ctx, cancel := b.tx.context(context.Background())
		j.err = classify(b.pipe.flush(ctx))
		cancel()
	}
	if j.err == nil {
		b.good++
		b.events = append(b.events, events...)
		for _, e := range ends {
			b.ends[e]++
		}
		return false, nil
	}
	if e, ok := errors.AsType[*pgconn.PgError](j.err); broken(j.err) || ok && e.Code == "40001" {
		err, j.err = j.err, nil
		return false, err
	}
	if err := b.undo(before); err != nil {
		return false, err
	}
	return isRetryable(j.err) && time.Since(j.sent) < maxBusy, nil
}

// open begins the transaction, or makes a savepoint, as soon as the next job sends something:
// one that is alone needs none.
func (b *batch) open() {
	b.pipe.sent = false
	if !b.begun {
		b.begun = true
		b.pipe.keep("BEGIN ISOLATION LEVEL " + b.isolation + " READ WRITE")
		// Of few texts, since each is prepared.
		b.pipe.keep(fmt.Sprintf("SET LOCAL lock_timeout = %d", rowWait+rowWait/4*rand.N(8))) //nolint:gosec // chance, no secret
		b.pipe.keep(limitIdle, idleLimit)
		return
	}
	if b.saved {
		b.pipe.keep("RELEASE SAVEPOINT job")
	}
	b.pipe.keep("SAVEPOINT job")
	b.saved = true
}

// undo takes back what a job has done, before which the connection was in a state.
func (b *batch) undo(before state) error {
	b.heads = nil
	switch {
	case !b.pipe.sent:
		b.pipe.drop()
		b.state = before
		return nil
	case b.good > 0:
		return b.control("ROLLBACK TO SAVEPOINT job")
	}
	b.state = state{}
	return b.control("ROLLBACK")
}

// control runs a statement, and forgets those that are kept.
func (b *batch) control(statement string) error {
	b.pipe.drop()
	ctx, cancel := context.WithTimeout(context.Background(), statementLimit)
	defer cancel()
	_, err := b.pipe.conn.Exec(ctx, statement)
	return err
}

// end writes what the jobs have told the audit log, and the mark of the commit, and commits.
func (b *batch) end() error {
	// A command may have told the log of a million accounts.
	ctx, cancel := context.WithTimeout(context.Background(), statementLimit+time.Duration(len(b.events))*time.Millisecond)
	defer cancel()
	logs := logsOf(b.events)
	if b.heads == nil {
		if err := b.takeHeads(ctx, logs); err != nil {
			return err
		}
	}
	if !slices.EqualFunc(logs, b.logs, func(x, y []*audit.Event) bool { return len(x) == len(y) && x[0].RealmID == y[0].RealmID }) {
		return errOtherEvents
	}
	if err := b.tellLogs(ctx, logs); err != nil {
		return err
	}
	b.endGuesses()
	began := time.Now()
	err := b.sendCommit(ctx)
	b.watch.tell(func(o Observer) { o.StoreCommit(time.Since(began)) })
	return err
}

// errOtherEvents is for a transaction that Closing was said of, and that has told the log more
// or less than one thing after it.
var errOtherEvents = errors.New("a transaction has other entries for the audit log than it had places taken for")

// errAborted is the answer to a COMMIT of a transaction that could only be rolled back.
var errAborted = errors.New("the transaction was rolled back")

// sendCommit sends what is kept, and the commit with it, which comes to nothing if the other fails.
func (b *batch) sendCommit(ctx context.Context) error {
	b.unknown = true
	b.pipe.keep("COMMIT")
	results, err := b.pipe.send(ctx, 1)
	if err == nil {
		var tag pgconn.CommandTag
		tag, err = results.Exec()
		if end := results.Close(); err == nil {
			err = end
		}
		if err == nil && tag.String() != "COMMIT" {
			b.unknown = false
			return errAborted
		}
	}
	if _, told := errors.AsType[*pgconn.PgError](err); err == nil || told && !broken(err) {
		b.unknown = false
	}
	return err
}

// tellLogs writes the events; the last of them with what is sent next.
func (b *batch) tellLogs(ctx context.Context, logs [][]*audit.Event) error {
	key := b.tx.auditKey()
	for i, log := range logs {
		head := key.Append(b.heads[i], log...)
		for _, e := range log {
			b.pipe.keep(insertEvent, eventArgs(e)...)
			if b.pipe.kept.Len() >= maxLines {
				if err := b.pipe.flush(ctx); err != nil {
					return err
				}
			}
		}
		b.pipe.keep(moveHead, log[0].RealmID[:], head.Hash[:], head.Seal)
	}
	return nil
}

// ending is the end of a guess that was counted in a slot.
type ending struct {
	key  auth.BudgetKey
	slot int64
}

// endGuesses comes last, since many guesses count in the same rows: they are held for no
// longer than the commit takes. The order is that in which they are reserved, in most cases.
func (b *batch) endGuesses() {
	ends := slices.SortedFunc(maps.Keys(b.ends), func(x, y ending) int {
		return cmp.Or(bytes.Compare(x.key.Realm[:], y.key.Realm[:]), cmp.Compare(x.key.Subject, y.key.Subject),
			cmp.Compare(x.key.Kind, y.key.Kind), cmp.Compare(x.key.Source, y.key.Source), cmp.Compare(x.slot, y.slot))
	})
	for _, e := range ends {
		b.pipe.keep(endGuesses, endArgs(e.key, e.slot, b.ends[e])...)
	}
}

// setMark sets the mark of a commit, and tells what selectRefusal does.
const setMark = `INSERT INTO commit_mark (writer, mark, at) VALUES ($1, $2, $3)
	ON CONFLICT (writer) DO UPDATE SET mark = excluded.mark, at = excluded.at RETURNING (` + selectRefusal + ")"

// headWait is how many seconds the batch waits for its places in the logs.
func (b *batch) headWait() int {
	left := maxBusy - time.Since(b.jobs[0].sent)
	if !b.jobs[0].hurried() {
		left = maxBusy
	}
	return max(1, min(headWait, int(left/time.Second)))
}

// takeHeads sends what is kept, sets the mark, and takes the events' places in the logs, which
// are held from here on.
func (b *batch) takeHeads(ctx context.Context, logs [][]*audit.Event) error {
	results, err := b.pipe.send(ctx, b.keepHeads(logs))
	if err != nil {
		return err
	}
	err = b.readHeads(results, logs)
	return cmp.Or(err, results.Close())
}

// keepHeads keeps what takeHeads sends, and returns how many statements that are.
func (b *batch) keepHeads(logs [][]*audit.Event) int {
	b.pipe.keep(fmt.Sprintf("SET LOCAL lock_timeout = '%ds'", b.headWait()))
	b.pipe.keep(setMark, b.id[:], b.mark[:], micros(time.Now()))
	for _, log := range logs {
		b.pipe.keep(takePlaces, takeArgs(log)...)
	}
	return 2 + len(logs)
}

func (b *batch) readHeads(results pgx.BatchResults, logs [][]*audit.Event) error {
	if _, err := results.Exec(); err != nil {
		return err
	}
	var refusal string
	if err := results.QueryRow().Scan(&refusal); err != nil {
		return err
	}
	if err := b.refused(refusal); err != nil {
		return err
	}
	heads := make([]audit.SealedHead, len(logs))
	for i, log := range logs {
		var err error
		if heads[i], err = scanHead(results.QueryRow(), log); err != nil {
			return err
		}
	}
	b.logs, b.heads = logs, heads
	return nil
}

// resolve finds out what became of a commit whose answer was lost: nil if it has happened,
// errLost if it has not and can't any more. To read the mark, its row is taken: that waits
// for the transaction, if it is still there, and keeps it from coming later.
func (b *batch) resolve() (err error) {
	var mark []byte
	patience := maxUnknown
	if !slices.ContainsFunc(b.jobs, func(j *job) bool { return !j.hurried() }) {
		patience = maxBusy
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
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
		Cause: fmt.Errorf("the database went away during a commit: %w: %w", auth.ErrUnknown, err)}
}
