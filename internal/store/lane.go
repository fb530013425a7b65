package store

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	readCommitted = "READ COMMITTED"
	// laneBatch is how many transactions are committed together at the most: they hold
	// their locks until all of them are.
	laneBatch = 32
	// maxUnknown is how long the outcome of a commit is asked for: if somebody waits for it,
	// maxBusy.
	maxUnknown = 30 * time.Second
	// rowWait is how long a transaction waits for a row that another one has, and up to
	// three times that, by chance. Then it lets go of what it has, and begins again: so no
	// two wait for each other for long, and of two that do one gives in first.
	rowWait = 50 // milliseconds
	// headWait is how many seconds a batch waits for its place in the audit log, which others
	// hold for the length of a commit, or of a long command.
	headWait = 3
	// batchAge is for how long others may join a batch.
	batchAge = 500 * time.Millisecond
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
	for len(l.again) > 0 {
		j, l.again = l.again[0], l.again[1:]
		if j.err == nil || !j.hurried() || time.Since(j.sent) < maxBusy {
			return j
		}
		finish([]*job{j}) // with what it was told before
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
				j.alone, j.err = true, classify(err)
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
