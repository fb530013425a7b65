package storetest

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

var writebackCases = []testCase{
	{"Order", writebackOrder},
	{"Delay", writebackDelay},
	{"Gone", writebackGone},
}

// tellBack stores a line of an account.
func (w *world) tellBack(account uuid.UUID, line string) auth.WritebackRecord {
	w.Helper()
	r := auth.WritebackRecord{ID: uuid.Must(uuid.NewV7()), RealmID: w.realm, AccountID: account, Sealed: []byte(line), CreatedAt: w.now, NextAt: w.now}
	w.in(func(tx auth.Tx) error { return tx.InsertWriteback(w.ctx, r) })
	return r
}

// wantWaiting checks which lines of the realm are due; those of several accounts have no order.
func (w *world) wantWaiting(what string, now time.Time, want ...string) map[string]auth.WritebackRecord {
	w.Helper()
	all, err := w.store.Writebacks(w.ctx, w.realm, now, 10)
	w.wantErr(what, err, nil)
	got := map[string]auth.WritebackRecord{}
	for _, r := range all {
		got[string(r.Sealed)] = r
	}
	w.same(what, slices.Sorted(maps.Keys(got)), want)
	return got
}

func (w *world) wantBacklog(n int, oldest time.Time) {
	w.Helper()
	got, at, err := w.store.WritebackBacklog(w.ctx, w.realm)
	w.wantErr("backlog", err, nil)
	if got != n || !at.Equal(oldest) {
		w.Errorf("%d lines wait since %v, want %d since %v", got, at, n, oldest)
	}
}

// writebackOrder tells those of an account one after the other, whatever their ids are, and
// those of others beside them.
func writebackOrder(w *world) {
	a, b := w.account("anna").ID, w.account("bert").ID
	w.wantWaiting("none", w.now)
	w.wantBacklog(0, time.Time{})
	first := w.tellBack(a, "a1")
	began := w.now
	w.now = w.now.Add(-time.Second) // the clock of another node
	w.tellBack(a, "a2")
	w.now = began.Add(time.Second)
	w.tellBack(b, "b1")
	w.wantWaiting("too early", began.Add(-time.Hour))
	got := w.wantWaiting("the first of each", w.now, "a1", "b1")
	first.Seq = 1
	w.same("a line", got["a1"], first)
	w.wantBacklog(3, began.Add(-time.Second))
	other := w.yes(func(tx auth.Tx) (bool, error) {
		wrong := got["a1"]
		wrong.ID = got["b1"].ID
		return tx.DeleteWriteback(w.ctx, wrong)
	})
	if other {
		w.Error("a line was deleted by another's id")
	}
	for i, want := range []bool{true, false} {
		if deleted := w.yes(func(tx auth.Tx) (bool, error) { return tx.DeleteWriteback(w.ctx, got["a1"]) }); deleted != want {
			w.Errorf("deleted for the %d. time: %v", i+1, deleted)
		}
	}
	w.wantWaiting("the next", w.now, "a2", "b1")
	w.tellBack(a, "a3")
	w.wantWaiting("the next, before another", w.now, "a2", "b1")
	limited, err := w.store.Writebacks(w.ctx, w.realm, w.now, 1)
	w.wantErr("limited", err, nil)
	if len(limited) != 1 || !bytes.Equal(limited[0].Sealed, []byte("a2")) {
		w.Errorf("limited: %v", limited)
	}
	if all, err := w.store.Writebacks(w.ctx, w.newRealm().ID, w.now, 10); len(all) > 0 || err != nil {
		w.Errorf("of another realm: %v, %v", all, err)
	}
}

// writebackDelay has those behind a line that is delayed wait too.
func writebackDelay(w *world) {
	a, b := w.account("anna").ID, w.account("bert").ID
	w.tellBack(a, "a1")
	w.tellBack(a, "a2")
	w.tellBack(b, "b1")
	line := w.wantWaiting("all", w.now, "a1", "b1")["a1"]
	later := w.now.Add(time.Minute)
	if !w.yes(func(tx auth.Tx) (bool, error) { return tx.DelayWriteback(w.ctx, line, later) }) {
		w.Error("not delayed")
	}
	w.wantWaiting("delayed", w.now, "b1")
	again := w.wantWaiting("later", later, "a1", "b1")["a1"]
	line.Tries, line.NextAt = 1, later
	w.same("delayed", again, line)
	w.yes(func(tx auth.Tx) (bool, error) { return tx.DeleteWriteback(w.ctx, again) })
	if w.yes(func(tx auth.Tx) (bool, error) { return tx.DelayWriteback(w.ctx, again, later) }) {
		w.Error("a line that is gone was delayed")
	}
	w.wantWaiting("the one behind it", w.now, "a2", "b1")
}

// writebackGone keeps what is to be told of an account that is deleted.
func writebackGone(w *world) {
	a := w.account("anna").ID
	w.tellBack(a, "a1")
	w.yes(func(tx auth.Tx) (bool, error) { return tx.DeleteAccount(w.ctx, w.realm, a, w.now) })
	w.wantWaiting("of a deleted account", w.now, "a1")
}
