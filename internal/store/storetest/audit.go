package storetest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

// headKey is what the tests' logs are sealed with.
var headKey = audit.HeadKey{1, 2, 3}

var auditCases = []testCase{
	{"RoundTrip", auditRoundTrip},
	{"Filter", auditFilter},
	{"Span", auditSpan},
	{"Rollback", auditRollback},
	{"ChainUnderRace", auditRace},
	{"Checkpoints", auditCheckpoints},
	{"Cut", auditCut},
	{"Changed", auditChanged},
	{"Followed", auditFollowed},
}

// event stores an event with nothing that matters but what it is given.
func (w *world) event(kind audit.Kind, account uuid.UUID, change ...func(*audit.Event)) {
	w.Helper()
	e := audit.Event{ID: newID(), RealmID: w.realm, At: w.now, Kind: kind, Account: account}
	for _, c := range change {
		c(&e)
	}
	w.in(func(tx auth.Tx) error { return tx.InsertEvent(w.ctx, e) })
}

func (w *world) events(f auth.AuditFilter) []audit.Event {
	w.Helper()
	if f.Limit == 0 {
		f.Limit = 100
	}
	got, err := w.store.Events(w.ctx, w.realm, f)
	w.wantErr("events", err, nil)
	return got
}

// numbers are the places of the events that a filter selects.
func (w *world) numbers(f auth.AuditFilter) (all []int64) {
	w.Helper()
	for _, e := range w.events(f) {
		all = append(all, e.Seq)
	}
	return all
}

func (w *world) head() audit.SealedHead {
	w.Helper()
	h, err := w.store.AuditHead(w.ctx, w.realm)
	w.wantErr("head", err, nil)
	return h
}

func auditRoundTrip(w *world) {
	_, err := w.store.AuditHead(w.ctx, w.realm)
	w.wantErr("a head before the first entry", err, auth.ErrNotFound)
	full := audit.Event{ID: newID(), RealmID: w.realm, At: w.now, Kind: audit.SignedIn, Account: newID(), Session: newID(),
		Dialect: "one", Address: "2001:db8::1", RequestID: "r", Actor: "operator", Token: "0123abcd", Detail: "so \"it\" is, ü\u2028\x01"}
	bare := audit.Event{ID: newID(), RealmID: w.realm, At: w.now.Add(-time.Hour), Kind: audit.RealmCreated}
	cut := audit.Event{ID: newID(), RealmID: w.realm, At: w.now.Add(time.Nanosecond), Kind: audit.SignedIn, Detail: "bad \xff and \x00"}
	want := []audit.Event{bare, full, cut} // in the order in which they are stored
	var head audit.SealedHead
	for i := range want {
		w.in(func(tx auth.Tx) error { return tx.InsertEvent(w.ctx, want[i]) })
		head = headKey.Append(head, &want[i])
	}
	w.same("in their order", w.events(auth.AuditFilter{}), want)
	w.same("the head", w.head(), head)
	w.same("its seal", head.Seal, headKey.Seal(w.realm, head.Head))
	w.same("the number", head.Seq, int64(3))
	w.same("what no database keeps", want[2].Detail, "bad \uFFFD and \uFFFD")
	head.Seal = []byte{}
	w.in(func(tx auth.Tx) error { return tx.SealAuditHead(w.ctx, w.realm, head) })
	w.same("another seal", w.head(), head)
	stale := audit.SealedHead{Head: audit.Head{Seq: 2, Hash: head.Hash}, Seal: []byte{1}}
	w.in(func(tx auth.Tx) error { return tx.SealAuditHead(w.ctx, w.realm, stale) })
	w.same("of what is no longer the head", w.head(), head)
	w.event(audit.SignedIn, uuid.Nil)
	w.same("what follows a wrong seal", w.head().Seal, audit.Broken)
	two, three := w.checkpoint(2, true), w.checkpoint(3, false)
	w.checkpoint(5, false)
	reset := audit.SealedHead{Head: audit.Head{Seq: 3, Hash: want[2].Hash}, Seal: []byte{2}}
	w.in(func(tx auth.Tx) error { return tx.ResetAuditHead(w.ctx, w.realm, reset) })
	w.same("reset", w.head(), reset)
	w.same("with the checkpoints up to it", w.checkpoints(0, 9), []audit.Checkpoint{two, three})
	before := *w
	w.realm = w.newRealm().ID
	w.same("another realm", len(w.events(auth.AuditFilter{})), 0)
	w.event(audit.SignedIn, uuid.Nil)
	w.same("and the head of the one before", before.head(), reset)
	w.same("has its own numbers", w.numbers(auth.AuditFilter{}), []int64{1})
	w.same("one that does not begin with the realm", w.head().Seal, audit.Broken)
}

func auditFilter(w *world) {
	a, b, session := newID(), newID(), newID()
	w.event(audit.SignedIn, a)                                                                           // 1
	w.event(audit.SignInFailed, a, func(e *audit.Event) { e.Address = "192.0.2.1" })                     // 2
	w.event(audit.SignedIn, b, func(e *audit.Event) { e.At = w.now.Add(time.Hour) })                     // 3
	w.event(audit.SignedIn, a, func(e *audit.Event) { e.Session = session })                             // 4
	w.event(audit.RoleAdded, a, func(e *audit.Event) { e.Actor = "cli: root" })                          // 5
	w.event(audit.SessionEnded, b, func(e *audit.Event) { e.Session, e.Address = session, "192.0.2.1" }) // 6
	in := []audit.Kind{audit.SignedIn}
	for _, c := range []struct {
		name string
		f    auth.AuditFilter
		want []int64
	}{
		{"all", auth.AuditFilter{}, []int64{1, 2, 3, 4, 5, 6}},
		{"page", auth.AuditFilter{After: 1, Limit: 2}, []int64{2, 3}},
		{"last", auth.AuditFilter{After: 1, Last: 3}, []int64{2, 3}},
		{"account", auth.AuditFilter{Account: a}, []int64{1, 2, 4, 5}},
		{"account, a page", auth.AuditFilter{Account: a, After: 1, Last: 4}, []int64{2, 4}},
		{"kind", auth.AuditFilter{Kinds: in}, []int64{1, 3, 4}},
		{"kinds", auth.AuditFilter{Kinds: []audit.Kind{audit.RoleAdded, audit.SignInFailed, "none"}}, []int64{2, 5}},
		{"account and kind", auth.AuditFilter{Account: a, Kinds: in}, []int64{1, 4}},
		{"account and kind, a page", auth.AuditFilter{Account: a, Kinds: in, After: 1, Limit: 1}, []int64{4}},
		{"session", auth.AuditFilter{Session: session}, []int64{4, 6}},
		{"actor", auth.AuditFilter{Actor: "cli: root"}, []int64{5}},
		{"address", auth.AuditFilter{Address: "192.0.2.1"}, []int64{2, 6}},
		{"since", auth.AuditFilter{Since: w.now.Add(time.Hour)}, []int64{3}},
		{"until", auth.AuditFilter{Until: w.now.Add(time.Hour)}, []int64{1, 2, 4, 5, 6}},
		{"all of them", auth.AuditFilter{After: 1, Last: 9, Account: b, Session: session, Kinds: []audit.Kind{audit.SessionEnded, audit.SignedIn},
			Address: "192.0.2.1", Since: w.now, Until: w.now.Add(1), Limit: 3}, []int64(nil)}, // a time has microseconds
		{"none", auth.AuditFilter{Actor: "nobody"}, []int64(nil)},
	} {
		w.same(c.name, w.numbers(c.f), c.want)
	}
}

// auditSpan: times need not be in the order of the entries.
func auditSpan(w *world) {
	for _, minutes := range []time.Duration{5, 1, 3, 2, 9} {
		w.event(audit.SignedIn, uuid.Nil, func(e *audit.Event) { e.At = w.now.Add(minutes * time.Minute) })
	}
	at := func(minutes time.Duration) time.Time { return w.now.Add(minutes * time.Minute) }
	for _, c := range []struct {
		name         string
		since, until time.Time
		first, last  int64
	}{
		{"all", time.Time{}, time.Time{}, 1, 5},
		{"since", at(3), time.Time{}, 1, 5},
		{"from one on", at(9), time.Time{}, 5, 5},
		{"until", time.Time{}, at(3), 2, 4},
		{"between", at(2), at(5), 3, 4},
		{"none", at(10), time.Time{}, 0, 0},
	} {
		first, last, err := w.store.EventSpan(w.ctx, w.realm, c.since, c.until)
		w.wantErr(c.name, err, nil)
		w.same(c.name, []int64{first, last}, []int64{c.first, c.last})
	}
}

// auditRollback: what was not committed leaves no gap.
func auditRollback(w *world) {
	w.event(audit.SignedIn, uuid.Nil)
	before := w.head()
	w.fails(errTest, func(tx auth.Tx) error {
		for range 3 {
			if err := tx.InsertEvent(w.ctx, audit.Event{ID: newID(), RealmID: w.realm, At: w.now, Kind: audit.SignedIn}); err != nil {
				return err
			}
		}
		return errTest
	})
	w.same("the head after a failure", w.head(), before)
	w.event(audit.SignedIn, uuid.Nil)
	w.same("numbers", w.numbers(auth.AuditFilter{}), []int64{1, 2})
}

// auditRace writes from many sides, some of which fail: the chain has each that did not
// exactly once, and no gap.
func auditRace(w *world) {
	const n = 80
	var stored atomic.Int64
	got := w.race(n, func(i int) (bool, error) {
		err := w.store.InTx(w.ctx, func(tx auth.Tx) error {
			for part := range 1 + i%3 {
				e := audit.Event{ID: newID(), RealmID: w.realm, At: w.now, Kind: audit.SignedIn, Detail: fmt.Sprint(i, " ", part)}
				if err := tx.InsertEvent(w.ctx, e); err != nil {
					return err
				}
			}
			if i%4 == 0 {
				return errTest
			}
			return nil
		})
		switch {
		case err == nil:
			stored.Add(int64(1 + i%3))
		case errors.Is(err, errTest) && i%4 == 0:
			err = nil
		}
		return i%4 != 0, err
	})
	w.same("committed", got, n*3/4)
	seen, head := map[string]int{}, audit.SealedHead{}
	all := w.events(auth.AuditFilter{Limit: 10 * n})
	for i := range all {
		seen[all[i].Detail]++
		again := all[i]
		if head = headKey.Append(head, &again); again.Seq != all[i].Seq || again.Hash != all[i].Hash {
			w.Fatalf("entry %d does not follow", all[i].Seq)
		}
	}
	w.same("the head", w.head(), head)
	w.same("entries", int64(len(all)), stored.Load())
	w.same("each once", len(seen), len(all))
}

func (w *world) checkpoint(seq int64, cut bool) audit.Checkpoint {
	c := audit.Checkpoint{RealmID: w.realm, Head: audit.Head{Seq: seq, Hash: audit.Hash(newHash())}, At: w.now, Cut: cut, Signature: []byte{1, 2, 0, 255}}
	w.in(func(tx auth.Tx) error { return tx.InsertCheckpoint(w.ctx, c) })
	return c
}

func (w *world) checkpoints(after int64, limit int) []audit.Checkpoint {
	w.Helper()
	list, err := w.store.Checkpoints(w.ctx, w.realm, after, limit)
	w.wantErr("checkpoints", err, nil)
	return list
}

func auditCheckpoints(w *world) {
	_, err := w.store.LastCheckpoint(w.ctx, w.realm)
	w.wantErr("no last one", err, auth.ErrNotFound)
	three, cut := w.checkpoint(3, false), w.checkpoint(1, true)
	w.same("in order", w.checkpoints(0, 9), []audit.Checkpoint{cut, three})
	w.same("after", w.checkpoints(1, 9), []audit.Checkpoint{three})
	w.same("a page", w.checkpoints(0, 1), []audit.Checkpoint{cut})
	last, err := w.store.LastCheckpoint(w.ctx, w.realm)
	w.wantErr("last", err, nil)
	w.same("last", last, three)
	w.now = w.now.Add(time.Hour)
	three = w.checkpoint(3, true)
	w.same("a cut takes its place", w.checkpoints(1, 9), []audit.Checkpoint{three})
	w.checkpoint(3, false)
	w.same("which it keeps", w.checkpoints(1, 9), []audit.Checkpoint{three})
	w.realm = w.newRealm().ID
	w.same("another realm", len(w.checkpoints(0, 9)), 0)
}

func auditCut(w *world) {
	other := w.newRealm().ID
	for range 5 {
		w.event(audit.SignedIn, uuid.Nil)
		w.event(audit.SignedIn, uuid.Nil, func(e *audit.Event) { e.RealmID = other })
	}
	one, three, five := w.checkpoint(1, true), w.checkpoint(3, false), w.checkpoint(5, false)
	head, n := w.head(), 0
	for range 2 { // the second time there is nothing left to do
		w.in(func(tx auth.Tx) (err error) {
			n, err = tx.CutEvents(w.ctx, w.realm, 3)
			return err
		})
		w.same("entries", w.numbers(auth.AuditFilter{}), []int64{4, 5})
		w.same("checkpoints", w.checkpoints(0, 9), []audit.Checkpoint{three, five})
	}
	w.same("deleted by the second", n, 0)
	w.same("one was before", one.Seq, int64(1))
	w.in(func(tx auth.Tx) (err error) {
		n, err = tx.CutEvents(w.ctx, w.realm, 9)
		return err
	})
	w.same("deleted by the last", n, 2)
	w.same("the head stays", w.head(), head)
	w.event(audit.SignedIn, uuid.Nil)
	w.same("and is followed", w.numbers(auth.AuditFilter{}), []int64{6})
	w.realm = other
	w.same("another realm", w.numbers(auth.AuditFilter{}), []int64{1, 2, 3, 4, 5})
}
