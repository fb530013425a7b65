package storetest

import (
	"errors"
	"math"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/ostiary/ostiary/internal/auth"
)

var refreshCases = []testCase{
	{"Table", refreshTable},
	{"NoRetry", refreshNoRetry},
	{"NotFound", refreshNotFound},
	{"Idle", refreshIdle},
	{"Account", refreshAccount},
	{"Model", refreshModel},
}

// rotate presents a generation in a transaction of its own.
func (w *world) rotate(id uuid.UUID, generation int64, retry, idle time.Duration, at time.Time) (r auth.Rotation, err error) {
	err = w.store.InTx(w.ctx, func(tx auth.Tx) (err error) {
		r, err = tx.RotateRefresh(w.ctx, &auth.Mount{RealmID: w.realm, Dialect: "one", Audience: "app", RefreshRetry: retry, SessionIdle: idle}, id, generation, at)
		return err
	})
	return r, err
}

// refreshTable rotates a chain to generation 3 and then presents each generation
// before and after the retry time.
func refreshTable(w *world) {
	a := w.account("anna")
	const retry = time.Minute
	at := w.now.Add(10 * time.Minute) // of the last rotation
	for _, c := range []struct {
		name       string
		generation int64
		after      time.Duration // the last rotation
		want       int64         // the generation that the answer has; 0: ErrNotFound
		stolen     bool
		retried    bool
	}{
		{"the good one", 3, time.Second, 4, false, false},
		{"the good one, at once", 3, 0, 4, false, false},
		{"the good one, late", 3, 30 * time.Minute, 4, false, false},
		{"the one before, at once", 2, 0, 3, false, true},
		{"the one before, in time", 2, retry - time.Microsecond, 3, false, true},
		{"the one before, late", 2, retry + time.Microsecond, 3, true, false},
		{"the one before, on another clock", 2, -time.Second, 3, false, true},
		{"two before, at once", 1, 0, 3, true, false},
		{"two before, in time", 1, time.Second, 3, true, false},
		{"two before, late", 1, 30 * time.Minute, 3, true, false},
		{"never made", 4, 0, 0, false, false},
		{"never made, far off", math.MaxInt64, 0, 0, false, false},
		{"none", 0, 0, 0, false, false},
		{"negative", -1, 0, 0, false, false},
	} {
		s := w.session(a.ID)
		for g := int64(1); g <= 2; g++ {
			r, err := w.rotate(s.ID, g, retry, time.Hour, at.Add(time.Duration(g-2)*time.Second))
			if err != nil || r.Session.Generation != g+1 || r.Stolen || r.Retried {
				w.Fatalf("generation %d: %+v, %v", g, r, err)
			}
		}
		before := w.sessionByID(s.ID).Session
		now := at.Add(c.after)
		r, err := w.rotate(s.ID, c.generation, retry, time.Hour, now)
		after := w.sessionByID(s.ID).Session
		if c.want == 0 {
			w.wantErr(c.name, err, auth.ErrNotFound)
			w.same(c.name+": nothing changes", after, before)
			continue
		}
		w.wantErr(c.name, err, nil)
		w.same(c.name+": the answer is what is stored", r.Session, after)
		if r.Session.Generation != c.want || r.Stolen != c.stolen || r.Retried != c.retried {
			w.Fatalf("%s: %+v", c.name, r)
		}
		if c.stolen != !after.EndedAt.IsZero() || c.stolen && (after.EndReason != "refresh_token_reused" || !after.EndedAt.Equal(now)) {
			w.Fatalf("%s: ended at %v: %q", c.name, after.EndedAt, after.EndReason)
		}
		_, err = w.rotate(s.ID, r.Session.Generation, retry, time.Hour, now)
		if c.stolen {
			w.wantErr(c.name+": the thief's token", err, auth.ErrNotFound)
		} else {
			w.wantErr(c.name+": the successor", err, nil)
		}
	}
}

// refreshNoRetry: without a retry time, no clock makes a spent token good.
func refreshNoRetry(w *world) {
	a := w.account("anna")
	for _, after := range []time.Duration{-time.Second, 0, time.Microsecond, time.Hour / 2} {
		s := w.session(a.ID)
		_, err := w.rotate(s.ID, 1, 0, time.Hour, w.now)
		w.wantErr("first", err, nil)
		r, err := w.rotate(s.ID, 1, 0, time.Hour, w.now.Add(after))
		w.wantErr("again", err, nil)
		if !r.Stolen || r.Retried {
			w.Fatalf("after %v: %+v", after, r)
		}
	}
}

func refreshNotFound(w *world) {
	a := w.account("anna")
	s := w.session(a.ID)
	_, err := w.rotate(newID(), 1, 0, 0, w.now)
	w.wantErr("no session", err, auth.ErrNotFound)
	for _, m := range []auth.Mount{
		{RealmID: newID(), Dialect: "one", Audience: "app"},
		{RealmID: w.realm, Dialect: "two", Audience: "app"},
		{RealmID: w.realm, Dialect: "one", Audience: "another"},
		{RealmID: w.realm, Dialect: "one"},
	} {
		w.fails(auth.ErrNotFound, func(tx auth.Tx) error {
			_, err := tx.RotateRefresh(w.ctx, &m, s.ID, 1, w.now)
			return err
		})
	}
	for name, d := range w.dying(a.ID) {
		_, err := w.rotate(d.s.ID, 1, 0, time.Hour, d.at)
		w.wantErr(name, err, auth.ErrNotFound)
		_, err = w.rotate(d.s.ID, 1, 0, time.Hour, d.at.Add(-time.Microsecond))
		w.wantErr(name+", just before", err, nil)
	}
	w.yes(func(tx auth.Tx) (bool, error) { return tx.EndSession(w.ctx, w.realm, s.ID, "x", w.now) })
	_, err = w.rotate(s.ID, 1, 0, 0, w.now)
	w.wantErr("ended", err, auth.ErrNotFound)
	w.same("the reason stays", w.sessionByID(s.ID).EndReason, "x")

	chainless := w.session(a.ID, func(s *auth.Session) { s.Generation = 0 })
	for g := range int64(2) {
		_, err = w.rotate(chainless.ID, g, time.Hour, 0, w.now)
		w.wantErr("a session without a chain", err, auth.ErrNotFound)
	}
	w.same("a session without a chain", w.sessionByID(chainless.ID).Session, chainless)
}

func refreshIdle(w *world) {
	s := w.session(w.account("anna").ID)
	w.now = w.now.Add(time.Minute)
	r, err := w.rotate(s.ID, 1, 0, time.Hour, w.now)
	w.wantErr("rotate", err, nil)
	w.same("idle", []time.Time{r.Session.IdleAt, r.Session.LastUsedAt, r.Session.ExpiresAt}, []time.Time{w.now.Add(time.Hour), w.now, s.ExpiresAt})
	r, err = w.rotate(s.ID, 2, 0, 0, w.now)
	w.wantErr("rotate", err, nil)
	w.same("no idle limit", r.Session.IdleAt, time.Time{})
}

// refreshAccount: whose the session is comes with the answer, as the mount's dialect calls him.
func refreshAccount(w *world) {
	a := w.account("anna")
	w.account("bert")
	w.in(func(tx auth.Tx) error { return tx.SetAlias(w.ctx, w.realm, a.ID, "one", "uno") })
	w.in(func(tx auth.Tx) error { return tx.SetAlias(w.ctx, w.realm, a.ID, "two", "dos") })
	r, err := w.rotate(w.session(a.ID).ID, 1, 0, time.Hour, w.now)
	w.wantErr("rotate", err, nil)
	a.Subject = "uno"
	w.same("the account", r.Account, a)
}

// refreshState is the reference: what a chain is, in a few lines of Go.
type refreshState struct {
	generation         int64
	rotated            time.Time
	idle, expires, end time.Time
}

func (m *refreshState) live(now time.Time) bool {
	return m.end.IsZero() && now.Before(m.expires) && (m.idle.IsZero() || now.Before(m.idle))
}

// rotate returns false for ErrNotFound.
func (m *refreshState) rotate(generation int64, retry, idle time.Duration, now time.Time) (stolen, retried, found bool) {
	if !m.live(now) || generation < 1 || generation > m.generation {
		return false, false, false
	}
	switch {
	case generation == m.generation:
		m.generation++
		m.rotated = now
	case generation == m.generation-1 && retry > 0 && !now.After(m.rotated.Add(retry)):
		retried = true
	default:
		m.end = now
		return true, false, true
	}
	m.idle = time.Time{}
	if idle > 0 {
		m.idle = now.Add(idle)
	}
	return false, retried, true
}

// refreshModel presents any generations at any times to a chain and to the reference.
func refreshModel(w *world) {
	a := w.account("anna")
	rapid.Check(w.T, func(t *rapid.T) {
		s := w.chain(a.ID)
		if err := w.store.InTx(w.ctx, func(tx auth.Tx) error { return tx.InsertSession(w.ctx, s, nil) }); err != nil {
			t.Fatal(err)
		}
		retry := time.Duration(rapid.SampledFrom([]int{0, 1, 60}).Draw(t, "retry")) * time.Second
		idle := time.Duration(rapid.SampledFrom([]int{0, 3600}).Draw(t, "idle")) * time.Second
		model := &refreshState{generation: 1, idle: s.IdleAt, expires: s.ExpiresAt}
		now := w.now
		for range rapid.IntRange(1, 14).Draw(t, "length") {
			now = now.Add(rapid.SampledFrom([]time.Duration{0, 0, time.Microsecond, time.Second, time.Minute, 5 * time.Minute,
				retry, retry - time.Microsecond, time.Hour - time.Microsecond, time.Hour, 12 * time.Hour}).Draw(t, "pause"))
			// Mostly the ends of the chain, where the cases are.
			generation := model.generation - rapid.SampledFrom([]int64{0, 0, 0, 1, 1, 2, 3, -1, -2}).Draw(t, "back")
			stolen, retried, found := model.rotate(generation, retry, idle, now)
			r, err := w.rotate(s.ID, generation, retry, idle, now)
			if !found {
				if !errors.Is(err, auth.ErrNotFound) {
					t.Fatalf("generation %d of %+v: %+v, %v; want ErrNotFound", generation, model, r, err)
				}
				continue
			}
			if err != nil || r.Stolen != stolen || r.Retried != retried || r.Session.Generation != model.generation ||
				!r.Session.EndedAt.Equal(model.end) || !stolen && !r.Session.IdleAt.Equal(model.idle) {
				t.Fatalf("generation %d: got %+v, %v\nwant stolen %v, retried %v, %+v", generation, r, err, stolen, retried, model)
			}
		}
	})
}
