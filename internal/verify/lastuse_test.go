package verify

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

// tally is a store that counts how often a session's last use is written.
type tally struct {
	auth.Store
	touches atomic.Int64
}

type tallyTx struct {
	auth.Tx
	*tally
}

func (s *tally) InTx(ctx context.Context, fn func(auth.Tx) error) error {
	return s.Store.InTx(ctx, func(tx auth.Tx) error { return fn(tallyTx{tx, s}) })
}

func (tx tallyTx) TouchSession(ctx context.Context, realm, id uuid.UUID, idleAt, now time.Time) (bool, error) {
	tx.touches.Add(1)
	return tx.Tx.TouchSession(ctx, realm, id, idleAt, now)
}

// However many ask, and at however many nodes: a session's last use is written once a
// minute, or four times in its idle time if that is shorter.
func TestSession_LastUse(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	store := &tally{Store: h.store}
	h.options.Store = store
	h.start(t)
	nodes := []*house{h, h.node(t)}
	for _, c := range []struct {
		idle, every time.Duration
	}{{12 * time.Hour, time.Minute}, {0, time.Minute}, {time.Minute, 15 * time.Second}} {
		h.mounts["one/opaque"].SessionIdle = c.idle
		g := h.login(t, "one/opaque", "ada")
		bearer := "Authorization: Bearer " + h.token(t, g)
		store.touches.Store(0)
		for step := 1; step <= 12; step++ {
			h.clock.add(c.every / 4)
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					if r := nodes[i%2].ask(t, "GET", "/ostiary/verify", "", bearer); r.StatusCode != 200 {
						t.Errorf("%v: %d", c, r.StatusCode)
					}
				})
			}
			wg.Wait()
			if step%4 == 0 {
				h.touched(t, g, h.clock.Now())
			}
		}
		if n := store.touches.Load(); n != 3 {
			t.Errorf("idle %v: written %d times in three times %v", c.idle, n, c.every)
		}
	}
}
