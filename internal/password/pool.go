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

// errPanic is what a job that panicked returns. No stored hash is known to cause
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

// A pool runs jobs in a fixed number of slots, first come, first served. A slot
// is a buffer: who holds the buffer runs.
type pool struct {
	slots    int
	wait     time.Duration
	observer Observer

	mu      sync.Mutex
	idle    []*argon2.Buffer // free slots; the last one used is the next one used
	queue   list.List        // of *waiter; empty unless all slots run
	running int
	average time.Duration // recent cost of a job
	shrink  *time.Timer
}

type waiter struct {
	slot chan *argon2.Buffer // filled with pool.mu held, when the waiter has left the queue
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
	asked := time.Now()
	span := trace.Start(ctx, "wait for a hash slot")
	slot, err := p.acquire(ctx)
	span.End()
	if err != nil {
		if _, busy := errors.AsType[*ErrBusy](err); busy {
			p.observer.HashRefused()
		}
		return 0, err
	}
	start := time.Now()
	p.observer.HashWaited(start.Sub(asked))
	span = trace.Start(ctx, "hash")
	defer func() {
		if r := recover(); r != nil {
			slot = new(argon2.Buffer)
			err = fmt.Errorf("%w: %v", errPanic, r)
		}
		took = time.Since(start)
		span.End()
		p.observer.Hashed(took)
		p.release(slot, took)
	}()
	return 0, job(slot)
}

// acquire waits for a slot, until the deadline or until ctx is done.
func (p *pool) acquire(ctx context.Context) (*argon2.Buffer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		slot := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.running++
		p.mu.Unlock()
		return slot, nil
	}
	if p.estimate(p.queue.Len()+1) > p.wait {
		defer p.mu.Unlock()
		return nil, p.busy()
	}
	w := &waiter{slot: make(chan *argon2.Buffer, 1)}
	place := p.queue.PushBack(w)
	p.mu.Unlock()

	deadline := time.NewTimer(p.wait)
	defer deadline.Stop()
	var gone error
	select {
	case slot := <-w.slot:
		return slot, nil
	case <-ctx.Done():
		gone = ctx.Err()
	case <-deadline.C:
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case slot := <-w.slot: // the turn came in the same moment
		if gone == nil {
			return slot, nil
		}
		p.next(slot)
		return nil, gone
	default:
	}
	p.queue.Remove(place)
	if gone == nil {
		gone = p.busy()
	}
	return nil, gone
}

// release gives the slot back after a job.
func (p *pool) release(slot *argon2.Buffer, took time.Duration) {
	slot.Release(Default.Memory) // a stored hash may have needed more
	p.mu.Lock()
	defer p.mu.Unlock()
	p.average += (took - p.average) / averageOver
	p.next(slot)
}

// next hands the slot to the first in the queue. p.mu is held.
func (p *pool) next(slot *argon2.Buffer) {
	if first := p.queue.Front(); first != nil {
		p.queue.Remove(first).(*waiter).slot <- slot
		return
	}
	p.idle = append(p.idle, slot)
	p.running--
	if p.running == 0 {
		p.shrink.Reset(idleAfter)
	}
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
		slot.Release(0)
	}
	p.mu.Unlock()
	debug.FreeOSMemory()
}

func (p *pool) stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{Waiting: p.queue.Len(), Running: p.running, Slots: p.slots}
}
