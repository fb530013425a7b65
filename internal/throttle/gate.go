package throttle

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Gate lets no more guesses run at once than the budget could still bear if all of
// them failed. The others wait for those in flight, so that parallel honest logins pass.
type Gate struct {
	mu   sync.Mutex
	keys map[string]*flight
}

type flight struct {
	running int
	holders int           // who uses this entry
	changed chan struct{} // closed when a guess has ended
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
	for {
		g.mu.Lock()
		changed := f.changed
		g.mu.Unlock()
		state, err := load()
		if err != nil {
			g.drop(key, f, false)
			return nil, 0, err
		}
		select {
		case <-undone:
			g.drop(key, f, false)
			return nil, 0, ErrUndone
		default:
		}
		at := now()
		if until := p.Until(state, at); until.After(at) {
			g.drop(key, f, false)
			return nil, until.Sub(at), nil
		}
		if g.admit(f, changed, p.Room(state, at)) {
			var once sync.Once
			return func(undone bool) { once.Do(func() { g.end(f, undone); g.drop(key, f, true) }) }, 0, nil
		}
		select {
		case <-undone:
			g.drop(key, f, false)
			return nil, 0, ErrUndone
		case <-changed:
		case <-ctx.Done():
			g.drop(key, f, false)
			return nil, 0, ctx.Err()
		}
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
		f = &flight{changed: make(chan struct{}), undone: make(chan struct{})}
		g.keys[key] = f
	}
	f.holders++
	return f, f.undone
}

// admit starts a guess if there is room. The counter was read while changed was
// current: if a guess ended since, it must be read again.
func (g *Gate) admit(f *flight, changed chan struct{}, room int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f.changed != changed || f.running >= room {
		return false
	}
	f.running++
	return true
}

func (g *Gate) drop(key string, f *flight, ran bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if ran {
		f.running--
		close(f.changed)
		f.changed = make(chan struct{})
	}
	if f.holders--; f.holders == 0 {
		delete(g.keys, key)
	}
}
