package throttle

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"
)

// Gate lets no more guesses run at once than the budget could still bear if all of
// them failed. The others wait for those in flight, first come, first served, so that
// parallel honest logins pass.
type Gate struct {
	mu   sync.Mutex
	keys map[string]*flight
}

type flight struct {
	running int
	holders int           // who uses this entry
	ended   int           // guesses so far: what was read of the counter before one ended is old
	queue   list.List     // of chan struct{}, one for each that waits: told that it may look again
	undone  chan struct{} // closed when one could not be decided
}

// NewGate makes an empty gate.
func NewGate() *Gate { return &Gate{keys: map[string]*flight{}} }

// Enter waits until a guess under key may run. Its leave must be called after the
// failure, if it is one, has been stored; undone tells that it could not be decided, and
// then those that wait now are told so too. A wait > 0 is a refusal: come back after it.
// load reads the counter.
func (g *Gate) Enter(ctx context.Context, key string, p Policy, now func() time.Time, load func() (State, error)) (leave func(undone bool), wait time.Duration, err error) {
	if p.Free == 0 {
		return func(bool) {}, 0, nil
	}
	f, undone := g.hold(key)
	for waited := false; ; waited = true {
		ended := g.endedOf(f)
		state, err := load()
		if err != nil {
			g.drop(key, f, false, everybody)
			return nil, 0, err
		}
		select {
		case <-undone:
			g.drop(key, f, false, next)
			return nil, 0, ErrUndone
		default:
		}
		at := now()
		if until := p.Until(state, at); until.After(at) {
			g.drop(key, f, false, next)
			return nil, until.Sub(at), nil
		}
		turn, ok := g.admit(f, ended, p.Room(state, at), waited)
		if ok {
			var once sync.Once
			return func(undone bool) { once.Do(func() { g.end(f, undone); g.drop(key, f, true, next) }) }, 0, nil
		}
		select {
		case <-undone:
			err = ErrUndone
		case <-turn.Value.(chan struct{}):
			continue
		case <-ctx.Done():
			err = ctx.Err()
		}
		g.leave(f, turn)
		g.drop(key, f, false, next)
		return nil, 0, err
	}
}

// ErrUndone says that a guess before this one could not be decided.
var ErrUndone = errors.New("a guess before this one could not be decided")

// end tells those that wait behind a guess that it was undone.
func (g *Gate) end(f *flight, undone bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if undone {
		close(f.undone)
		f.undone = make(chan struct{})
	}
}

func (g *Gate) hold(key string) (*flight, chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.keys[key]
	if f == nil {
		f = &flight{undone: make(chan struct{})}
		g.keys[key] = f
	}
	f.holders++
	return f, f.undone
}

func (g *Gate) endedOf(f *flight) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return f.ended
}

// admit starts a guess if there is room, and tells the next one if there is more; or it
// gives it a turn to wait for. The counter was read when so many guesses had ended: if one
// did since, it must be read again, at once. Who has not waited goes behind those who do,
// and who has keeps the place before them.
func (g *Gate) admit(f *flight, ended, room int, waited bool) (turn *list.Element, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f.ended == ended && f.running < room && (waited || f.queue.Len() == 0) {
		if f.running++; f.running < room {
			f.tell(next)
		}
		return nil, true
	}
	told := make(chan struct{}, 1)
	if waited {
		turn = f.queue.PushFront(told)
	} else {
		turn = f.queue.PushBack(told)
	}
	if f.ended != ended || f.running < room { // those who run may have told before
		f.tell(next)
	}
	return turn, false
}

// next and everybody are who is told that there may be room.
const (
	next      = 1
	everybody = 1 << 30
)

// tell takes the first ones out of the queue, to look again. The gate is locked.
func (f *flight) tell(most int) {
	for ; most > 0 && f.queue.Len() > 0; most-- {
		f.queue.Remove(f.queue.Front()).(chan struct{}) <- struct{}{}
	}
}

// leave is for who does not wait any more; who was told at the same moment tells the next
// by the drop that follows.
func (g *Gate) leave(f *flight, turn *list.Element) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f.queue.Remove(turn)
}

func (g *Gate) drop(key string, f *flight, ran bool, tell int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if ran {
		f.running--
		f.ended++
	}
	f.tell(tell)
	if f.holders--; f.holders == 0 {
		delete(g.keys, key)
	}
}
