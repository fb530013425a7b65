package storetest

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

var sessionCases = []testCase{
	{"RoundTrip", sessionRoundTrip},
	{"Duplicate", sessionDuplicate},
	{"Touch", sessionTouch},
	{"End", sessionEnd},
	{"EndAll", sessionEndAll},
	{"List", sessionList},
}

func sessionRoundTrip(w *world) {
	a := w.account("anna")
	s, hash := w.chain(a.ID), newHash()
	s.UserAgent, s.Generation = "Mozilla/5.0 (\"x\"; 🦊)", 3
	w.in(func(tx auth.Tx) error { return tx.InsertSession(w.ctx, s, hash[:]) })
	want := auth.SessionRecord{Session: s, Account: a}
	w.same("by id", w.sessionByID(s.ID), want)
	got, err := w.store.SessionByBearer(w.ctx, w.realm, hash)
	w.wantErr("by bearer", err, nil)
	w.same("by bearer", got, want)

	other := w.newRealm().ID
	_, err = w.store.SessionByID(w.ctx, other, s.ID)
	w.wantErr("by id in another realm", err, auth.ErrNotFound)
	_, err = w.store.SessionByBearer(w.ctx, other, hash)
	w.wantErr("by bearer in another realm", err, auth.ErrNotFound)
	_, err = w.store.SessionByID(w.ctx, w.realm, newID())
	w.wantErr("unknown id", err, auth.ErrNotFound)
	_, err = w.store.SessionByBearer(w.ctx, w.realm, newHash())
	w.wantErr("unknown bearer", err, auth.ErrNotFound)
	_, err = w.store.SessionByBearer(w.ctx, w.realm, [32]byte{})
	w.wantErr("zero bearer", err, auth.ErrNotFound)

	bare := w.session(a.ID, func(s *auth.Session) { s.AMR, s.IdleAt = []string{"pwd"}, time.Time{} })
	w.same("without a bearer or an idle limit", w.sessionByID(bare.ID).Session, bare)
	w.yes(func(tx auth.Tx) (bool, error) { return tx.SetPassword(w.ctx, a.ID, a.Version, "new", w.now) })
	if got := w.sessionByID(s.ID); got.Account.PasswordHash != "new" {
		w.Fatal("a session has its account as it is now")
	}
}

func sessionDuplicate(w *world) {
	a := w.account("anna")
	s, hash := w.chain(a.ID), newHash()
	w.in(func(tx auth.Tx) error { return tx.InsertSession(w.ctx, s, hash[:]) })
	w.fails(auth.ErrConflict, func(tx auth.Tx) error { return tx.InsertSession(w.ctx, s, nil) })
	again := w.chain(a.ID)
	w.fails(auth.ErrConflict, func(tx auth.Tx) error { return tx.InsertSession(w.ctx, again, hash[:]) })
}

// dying are sessions and the time from which they are dead.
func (w *world) dying(account uuid.UUID) map[string]struct {
	s  auth.Session
	at time.Time
} {
	type d = struct {
		s  auth.Session
		at time.Time
	}
	idle := w.session(account)
	expired := w.session(account, func(s *auth.Session) { s.IdleAt, s.ExpiresAt = time.Time{}, w.now.Add(time.Minute) })
	both := w.session(account, func(s *auth.Session) { s.ExpiresAt = w.now.Add(time.Second) })
	return map[string]d{"idle": {idle, idle.IdleAt}, "expired": {expired, expired.ExpiresAt}, "both": {both, both.ExpiresAt}}
}

func sessionTouch(w *world) {
	a := w.account("anna")
	touch := func(realm, id uuid.UUID, at time.Time, idle time.Time) bool {
		return w.yes(func(tx auth.Tx) (bool, error) { return tx.TouchSession(w.ctx, realm, id, idle, at) })
	}
	for name, d := range w.dying(a.ID) {
		if touch(w.newRealm().ID, d.s.ID, w.now, d.s.IdleAt) {
			w.Fatalf("%s: touched from another realm", name)
		}
		if touch(w.realm, d.s.ID, d.at, d.at.Add(time.Hour)) {
			w.Fatalf("%s: a dead session came back to life", name)
		}
		w.same(name, w.sessionByID(d.s.ID).Session, d.s)
		last := d.at.Add(-time.Microsecond)
		if !touch(w.realm, d.s.ID, last, d.s.IdleAt) {
			w.Fatalf("%s: dead before its time", name)
		}
		d.s.LastUsedAt = last
		w.same(name, w.sessionByID(d.s.ID).Session, d.s)
	}
	s := w.session(a.ID)
	if !touch(w.realm, s.ID, w.now, s.IdleAt.Add(time.Hour)) || !touch(w.realm, s.ID, s.IdleAt, time.Time{}) || touch(w.realm, newID(), w.now, w.now) {
		w.Fatal("a use moves the idle limit")
	}
	w.yes(func(tx auth.Tx) (bool, error) { return tx.EndSession(w.ctx, w.realm, s.ID, "x", w.now) })
	if touch(w.realm, s.ID, w.now, time.Time{}) {
		w.Fatal("an ended session came back to life")
	}
}

func sessionEnd(w *world) {
	a := w.account("anna")
	end := func(realm, id uuid.UUID, at time.Time) bool {
		return w.yes(func(tx auth.Tx) (bool, error) { return tx.EndSession(w.ctx, realm, id, "logout", at) })
	}
	s := w.session(a.ID)
	if end(w.newRealm().ID, s.ID, w.now) || end(w.realm, newID(), w.now) || !end(w.realm, s.ID, w.now) || end(w.realm, s.ID, w.now.Add(time.Second)) {
		w.Fatal("a session ends once, in its realm")
	}
	s.EndedAt, s.EndReason = w.now, "logout"
	w.same("ended", w.sessionByID(s.ID).Session, s)
	for name, d := range w.dying(a.ID) {
		if end(w.realm, d.s.ID, d.at) {
			w.Fatalf("%s: it was dead", name)
		}
	}
}

func sessionEndAll(w *world) {
	a, b := w.account("anna"), w.account("bert")
	all := func(except uuid.UUID) (n int) {
		w.in(func(tx auth.Tx) (err error) {
			n, err = tx.EndSessions(w.ctx, a.ID, except, "password_changed", w.now)
			return err
		})
		return n
	}
	kept, other := w.session(a.ID), w.session(b.ID)
	dead := w.session(a.ID, func(s *auth.Session) { s.IdleAt = w.now.Add(-time.Minute) })
	idle := w.session(a.ID, func(s *auth.Session) { s.IdleAt = w.now })
	expired := w.session(a.ID, func(s *auth.Session) { s.IdleAt, s.ExpiresAt = time.Time{}, w.now.Add(-59*time.Second) })
	w.session(a.ID)
	w.session(a.ID)
	if n := all(kept.ID); n != 2 {
		w.Fatalf("ended %d, want 2", n)
	}
	if n := all(uuid.Nil); n != 1 {
		w.Fatalf("ended %d, want the kept one", n)
	}
	if n := all(uuid.Nil); n != 0 {
		w.Fatalf("ended %d that were dead", n)
	}
	w.same("the reason", w.sessionByID(kept.ID).EndReason, "password_changed")
	w.same("dead before", w.sessionByID(dead.ID).Session, dead)
	w.same("another account's", w.sessionByID(other.ID).Session, other)
	for _, s := range []auth.Session{idle, expired} {
		if w.yes(func(tx auth.Tx) (bool, error) {
			return tx.TouchSession(w.ctx, w.realm, s.ID, time.Time{}, w.now.Add(-time.Minute))
		}) {
			w.Fatal("a session goes on by a clock that is behind, and all had ended")
		}
	}
}

func sessionList(w *world) {
	a, b := w.account("anna"), w.account("bert")
	var mine, everybody []uuid.UUID
	for range 3 {
		m, o := w.session(a.ID), w.session(b.ID)
		mine, everybody = append(mine, m.ID), append(everybody, m.ID, o.ID)
	}
	w.session(a.ID, func(s *auth.Session) { s.IdleAt = w.now })
	w.session(a.ID, func(s *auth.Session) { s.ExpiresAt = w.now })
	ended := w.session(a.ID)
	w.yes(func(tx auth.Tx) (bool, error) { return tx.EndSession(w.ctx, w.realm, ended.ID, "x", w.now) })

	pages := func(account uuid.UUID) (got []uuid.UUID) {
		for after := uuid.Nil; ; {
			page, err := w.store.Sessions(w.ctx, w.realm, account, after, 2, w.now)
			w.wantErr("list", err, nil)
			if len(page) == 0 {
				return got
			}
			for _, s := range page {
				got = append(got, s.ID)
			}
			after = page[len(page)-1].ID
		}
	}
	byID := func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) }
	slices.SortFunc(mine, byID)
	slices.SortFunc(everybody, byID)
	w.same("one account", pages(a.ID), mine)
	w.same("everybody", pages(uuid.Nil), everybody)
	w.same("nobody", len(pages(newID())), 0)
	w.realm = w.newRealm().ID
	w.same("another realm", len(pages(a.ID)), 0)
}
