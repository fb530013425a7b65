package shadow

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/parity"
)

const (
	// Every is how often the counts are stored.
	Every = 10 * time.Second
	// lastFlush is how long that may take at the end.
	lastFlush = 5 * time.Second
	// batch is how many counts are added, or deleted, in one transaction.
	batch = 100
	// keep is for how many days counts stay.
	keep = 90
)

// Store is where the counts are kept.
type Store interface {
	InTx(ctx context.Context, fn func(tx auth.Tx) error) error
}

// New makes a Tally. metric is told of each difference; nil: nobody is.
func New(store Store, log *slog.Logger, now func() time.Time, metric func(auth.Dialect, parity.Kind)) *Tally {
	if metric == nil {
		metric = func(auth.Dialect, parity.Kind) {}
	}
	return &Tally{store: store, log: log, now: now, metric: metric}
}

// Run stores the counts now and then, and once more when ctx ends.
func (t *Tally) Run(ctx context.Context) {
	tick := time.NewTicker(Every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			t.Flush(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlush)
			defer cancel()
			t.Flush(last)
			return
		}
	}
}

// Flush stores the counts. If that fails, it is tried again later: what was committed
// without an answer is then counted twice.
func (t *Tally) Flush(ctx context.Context) {
	t.mu.Lock()
	defer t.mu.Unlock()
	counts := t.count.Take()
	slices.SortFunc(counts, order) // nodes that take rows in one order never wait in a circle
	for left := counts; len(left) > 0; {
		some := left[:min(batch, len(left))]
		err := t.store.InTx(ctx, func(tx auth.Tx) error {
			for _, c := range some {
				if err := tx.AddParity(ctx, c); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.count.Return(left)
			if !t.fails && !errors.Is(ctx.Err(), context.Canceled) {
				t.log.Warn("where the legacy server answers otherwise was not stored, it is tried again", "err", err)
			}
			t.fails = true
			return
		}
		left, t.fails = left[len(some):], false
	}
	t.sweep(ctx)
}

// sweep deletes old counts once a day, also those of realms where nothing is compared any more.
func (t *Tally) sweep(ctx context.Context) {
	today := parity.Day(t.now())
	if t.swept == today {
		return
	}
	var realms []auth.Realm
	err := t.store.InTx(ctx, func(tx auth.Tx) (err error) {
		realms, err = tx.Realms(ctx)
		return err
	})
	if err != nil {
		return
	}
	for _, r := range realms {
		for n := batch; n == batch; {
			err := t.store.InTx(ctx, func(tx auth.Tx) (err error) {
				n, err = tx.DeleteParity(ctx, r.ID, today-keep, batch)
				return err
			})
			if err != nil {
				return
			}
		}
	}
	t.swept = today
}

func order(a, b parity.Count) int {
	return cmp.Or(bytes.Compare(a.Realm[:], b.Realm[:]), cmp.Compare(a.Day, b.Day), cmp.Compare(a.Dialect, b.Dialect),
		cmp.Compare(a.Route, b.Route), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Detail, b.Detail))
}
