package password

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/ostiary/ostiary/internal/argon2"
	"github.com/ostiary/ostiary/internal/trace"
)

const (
	idleAfter   = 30 * time.Second      // a pool unused for so long gives its memory back
	firstGuess  = 25 * time.Millisecond // what a job is taken to cost before one has run
	averageOver = 8                     // jobs that the average cost remembers
	minRetry    = time.Second           // the shortest Retry-After
)

// errPanic is what a job returns that panicked, or who is told of it. No stored hash is known to cause
// one; if one does, its login fails and the server lives.
var errPanic = errors.New("password: a verifier panicked")

// ErrBusy says that there are more passwords to hash than can be hashed in time.
// Nothing was decided about the password.
type ErrBusy struct {
	RetryAfter time.Duration // when the queue is expected to be empty
}

func (e *ErrBusy) Error() string {
	return fmt.Sprintf("password: too many to hash, retry in %v", e.RetryAfter)
}

// Stats is a picture of the pool.
type Stats struct {
	Waiting int // in the queue
	Running int // in a slot
	Slots   int
}

// Observer is told how busy the pool is. Its methods return at once.
type Observer interface {
	HashWaited(d time.Duration) // for a slot
	Hashed(took time.Duration)  // in the slot
	HashRefused()               // there would have been no slot in time
}

type nobody struct{}

func (nobody) HashWaited(time.Duration) {}
func (nobody) Hashed(time.Duration)     {}
func (nobody) HashRefused()             {}

// A pool runs jobs in a fixed number of slots, first come, first served. A slot is a
// buffer, and while there are jobs a goroutine that goes from one to the next: the caches
// of a processor that hashes are of no use to what comes after a hash, nor theirs to it.
type pool struct {
	slots    int
	wait     time.Duration
	observer Observer

	mu      sync.Mutex
	idle    []*argon2.Buffer // free slots; the last one used is the next one used
	queue   list.List        // of *turn; empty unless all slots run
	running int
	average time.Duration // recent cost of a job
	shrink  *time.Timer
}

// turn is a job that waits for a slot, or runs in one.
type turn struct {
	ctx    context.Context
	job    func(*argon2.Buffer) error
	asked  time.Time
	queued *trace.Span
	place  *list.Element // in the queue; nil when it has left it. Under pool.mu

	done chan struct{} // closed when the job has run, with this outcome:
	took time.Duration
	err  error
}

func newPool(slots int, wait time.Duration) *pool {
	p := &pool{slots: slots, wait: wait, observer: nobody{}, average: firstGuess}
	for range slots {
		p.idle = append(p.idle, new(argon2.Buffer))
	}
	p.shrink = time.AfterFunc(idleAfter, p.dropBuffers)
	return p
}

// do runs the job in a slot. took is the time in the slot, without the queue.
func (p *pool) do(ctx context.Context, job func(*argon2.Buffer) error) (took time.Duration, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	t := &turn{ctx: ctx, job: job, asked: time.Now(), queued: trace.Start(ctx, "wait for a hash slot"), done: make(chan struct{})}
	if err := p.await(t); err != nil {
		t.queued.End()
		if _, busy := errors.AsType[*ErrBusy](err); busy {
			p.observer.HashRefused()
		}
		return 0, err
	}
	return t.took, t.err
}

// await returns when the job has run. It fails if there is no slot before the deadline, or
// before the job's context is done.
func (p *pool) await(t *turn) error {
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		slot := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.running++
		p.mu.Unlock()
		go p.work(slot, t)
		<-t.done
		return nil
	}
	if p.estimate(p.queue.Len()+1) > p.wait {
		defer p.mu.Unlock()
		return p.busy()
	}
	t.place = p.queue.PushBack(t)
	p.mu.Unlock()

	deadline := time.NewTimer(p.wait)
	defer deadline.Stop()
	var gone error
	select {
	case <-t.done:
		return nil
	case <-t.ctx.Done():
		gone = t.ctx.Err()
	case <-deadline.C:
	}

	p.mu.Lock()
	if t.place == nil { // it runs
		p.mu.Unlock()
		<-t.done
		return nil
	}
	defer p.mu.Unlock()
	p.queue.Remove(t.place)
	if gone == nil {
		gone = p.busy()
	}
	return gone
}

// work is a slot that has a job.
func (p *pool) work(slot *argon2.Buffer, t *turn) {
	for t != nil {
		p.run(slot, t)
		next := p.next(slot, t.took)
		close(t.done)
		t = next
	}
}

// run runs a job. No panic gets past it, of the job or of those who are told of it: this
// goroutine is nobody else's.
func (p *pool) run(slot *argon2.Buffer, t *turn) {
	start := time.Now()
	defer func() {
		if r := recover(); r != nil {
			slot.Release()
			t.err = fmt.Errorf("%w: %v", errPanic, r)
		}
	}()
	t.queued.End()
	p.observer.HashWaited(start.Sub(t.asked))
	span := trace.Start(t.ctx, "hash")
	defer func() {
		t.took = time.Since(start)
		span.End()
		p.observer.Hashed(t.took)
	}()
	t.err = t.job(slot)
}

// next takes the job that has waited the longest, or frees the slot.
func (p *pool) next(slot *argon2.Buffer, took time.Duration) *turn {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.average += (took - p.average) / averageOver
	for place := p.queue.Front(); place != nil; place = p.queue.Front() {
		t := p.queue.Remove(place).(*turn)
		if t.ctx.Err() != nil {
			continue // it is about to leave
		}
		t.place = nil
		return t
	}
	p.idle = append(p.idle, slot)
	p.running--
	if p.running == 0 {
		p.shrink.Reset(idleAfter)
	}
	return nil
}

// estimate is how long the one in this place of the queue will wait. p.mu is held.
func (p *pool) estimate(place int) time.Duration {
	return time.Duration(place) * p.average / time.Duration(p.slots)
}

// busy makes the error for one who can't be served. p.mu is held.
func (p *pool) busy() error {
	return &ErrBusy{RetryAfter: max(p.estimate(p.queue.Len()), minRetry)}
}

// dropBuffers makes an idle server small.
func (p *pool) dropBuffers() {
	p.mu.Lock()
	if p.running > 0 {
		p.mu.Unlock()
		return // the last one to finish starts the timer again
	}
	for _, slot := range p.idle {
		slot.Release()
	}
	p.mu.Unlock()
	debug.FreeOSMemory()
}

// backlog is how long the slots have work for.
func (p *pool) backlog() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.estimate(p.queue.Len())
}

func (p *pool) stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{Waiting: p.queue.Len(), Running: p.running, Slots: p.slots}
}
