package store

import (
	"context"
	"hash/fnv"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

// lanes run the write transactions of PostgreSQL: each takes those that wait, and commits
// them together. What they tell the audit log is written at the end of a batch, so that
// the log, which has one writer at a time, is held for no longer than the commit takes.
type lanes struct {
	writable
	store     *Store
	isolation string
	jobs      chan *job
	own       []chan *job // of each lane: those that would be in each other's way, see auth.Along

	mu      sync.RWMutex // held for reading by those that send a job
	closed  bool
	running sync.WaitGroup
}

func newLanes(s *Store, n int, isolation string) *lanes {
	l := &lanes{store: s, isolation: isolation, jobs: make(chan *job, maxBatch), writable: writable{watch: &s.watch}}
	for range n {
		// The mark of a commit is looked for by the lane's id.
		lane := &lane{lanes: l, id: uuid.Must(uuid.NewV7()), mine: make(chan *job, maxBatch)}
		l.own = append(l.own, lane.mine)
		l.running.Go(lane.run)
	}
	return l
}

// to is where a job is to be sent: to any lane, or to the one of its key.
func (l *lanes) to(ctx context.Context) chan<- *job {
	key := auth.AlongWith(ctx)
	if key == "" {
		return l.jobs
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	return l.own[h.Sum32()%uint32(len(l.own))] //nolint:gosec // a few lanes
}

func (l *lanes) do(ctx context.Context, fn func(auth.Tx) error) error {
	j := &job{ctx: ctx, fn: fn, done: make(chan struct{}), sent: time.Now()}
	defer l.store.waited(ctx, j.sent)
	late, stop := lateAt(endOf(ctx))
	defer stop()
	if err := l.send(j, late); err != nil {
		return err
	}
	why := error(errLate)
	select {
	case <-j.done:
		return j.err
	case <-late:
	case <-ctx.Done():
		why = ctx.Err()
	}
	if j.giveUp() {
		return why
	}
	<-j.done // what has begun is awaited: see writer.do
	return j.err
}

func (l *lanes) send(j *job, late <-chan time.Time) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return errClosed
	}
	select {
	case l.to(j.ctx) <- j:
		return nil
	case <-late:
		return errLate
	case <-j.ctx.Done():
		return j.ctx.Err()
	}
}

func (l *lanes) close() {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.jobs)
		for _, own := range l.own {
			close(own)
		}
	}
	l.mu.Unlock()
	l.running.Wait()
}
