package storetest

import (
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

func (w *world) headOf(realm uuid.UUID) audit.Head {
	w.Helper()
	all, err := w.store.AuditHeads(w.ctx)
	w.wantErr("heads", err, nil)
	return all[realm]
}

func (w *world) changed(after, last int64, limit int) []uuid.UUID {
	w.Helper()
	got, err := w.store.Changed(w.ctx, w.realm, after, last, []audit.Kind{audit.SignedIn, audit.TokenRefreshed}, limit)
	w.wantErr("changed", err, nil)
	return got
}

func auditChanged(w *world) {
	w.same("no log yet", w.headOf(w.realm), audit.Head{})
	other := newWorld(w.T, w.store)
	other.event(audit.SessionEnded, newID())
	a, b := newID(), newID()
	w.event(audit.SessionEnded, a)
	w.event(audit.SignedIn, b)
	w.event(audit.TokenRefreshed, b)
	w.event(audit.RoleDeleted, uuid.Nil)
	w.event(audit.AccountDisabled, b)
	w.same("the head of a realm", w.headOf(w.realm), w.head().Head)
	w.same("another realm's", w.headOf(other.realm), other.head().Head)
	w.same("all", w.changed(0, 5, 10), []uuid.UUID{a, uuid.Nil, b})
	w.same("behind the first", w.changed(1, 5, 10), []uuid.UUID{uuid.Nil, b})
	w.same("not the last", w.changed(0, 4, 10), []uuid.UUID{a, uuid.Nil})
	w.same("at most", w.changed(0, 5, 2), []uuid.UUID{a, uuid.Nil})
	w.same("none", len(w.changed(5, 5, 10)), 0)
}

// auditFollowed: whoever reads the entries up to a head that he has seen, again and again,
// misses none, whatever is written meanwhile.
func auditFollowed(w *world) {
	const writers = 96
	var done atomic.Bool
	seen := map[uuid.UUID]int{}
	var last int64
	poll := func() error {
		all, err := w.store.AuditHeads(w.ctx)
		if err != nil {
			return err
		}
		head := all[w.realm]
		got, err := w.store.Changed(w.ctx, w.realm, last, head.Seq, nil, 1000)
		for _, a := range got {
			seen[a]++
		}
		last = head.Seq
		return err
	}
	followed := make(chan error, 1)
	go func() {
		for !done.Load() {
			if err := poll(); err != nil {
				followed <- err
				return
			}
		}
		followed <- poll()
	}()
	w.race(writers, func(int) (bool, error) {
		e := audit.Event{ID: newID(), RealmID: w.realm, At: w.now, Kind: audit.SessionEnded, Account: newID()}
		return true, w.store.InTx(w.ctx, func(tx auth.Tx) error { return tx.InsertEvent(w.ctx, e) })
	})
	done.Store(true)
	w.wantErr("following", <-followed, nil)
	for a, n := range seen {
		if n != 1 {
			w.Errorf("%s was seen %d times", a, n)
		}
	}
	w.same("all of them", len(seen), writers)
}
