package verify

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

// follower is another server on the same store, with a feed that polls when it is told to.
func (h *house) follower(t *testing.T, store auth.Store) (*house, *auth.Feed) {
	t.Helper()
	other := *h
	other.options.Feed = auth.NewFeed(h.clock.Now)
	other.options.Store = store
	other.start(t)
	return &other, other.options.Feed
}

func (h *house) poll(t *testing.T, f *auth.Feed) {
	t.Helper()
	if err := f.Poll(t.Context(), h.store); err != nil {
		t.Fatal(err)
	}
}

// TestThreat40_ChangeFeed: what one node changes shows at another one with its next poll,
// whatever it is that the views say; and what changes nothing has nothing read again.
func TestThreat40_ChangeFeed(t *testing.T) {
	h := build(t)
	counted := &reads{Store: h.store, real: h.store}
	other, feed := h.follower(t, counted)
	ctx, realm, none := t.Context(), h.one.ID, auth.Client{}
	for what, c := range map[string]struct {
		change func(a auth.Account, g *auth.Grant) error
		status int
		reads  int64 // of the session, by the other node
	}{
		"nothing": {func(auth.Account, *auth.Grant) error { return nil }, 200, 0},
		"a login": {func(a auth.Account, _ *auth.Grant) error { h.login(t, "one/plain", a.Username); return nil }, 200, 0},
		"an enrolment": {func(a auth.Account, _ *auth.Grant) error {
			_, err := h.svc.EnrollFactor(ctx, realm, a.ID, none)
			return err
		}, 200, 0},
		"a name": {func(a auth.Account, _ *auth.Grant) error {
			org := "another"
			_, err := h.svc.UpdateAccount(ctx, realm, a.ID, auth.AccountChange{Org: &org}, none)
			return err
		}, 200, 1},
		"an alias": {func(a auth.Account, _ *auth.Grant) error {
			return h.svc.SetAlias(ctx, realm, a.ID, opaque, "of opaque "+a.Username, none)
		}, 200, 1},
		"a role":              {func(a auth.Account, _ *auth.Grant) error { return h.svc.RemoveRole(ctx, realm, a.ID, a.Username, none) }, 200, 1},
		"a role of all":       {func(a auth.Account, _ *auth.Grant) error { return h.svc.DeleteRole(ctx, realm, a.Username, none) }, 200, 1},
		"a datasource of all": {func(a auth.Account, _ *auth.Grant) error { return h.svc.DeleteDatasource(ctx, realm, a.Username, none) }, 200, 1},
		"another realm":       {func(auth.Account, *auth.Grant) error { return h.svc.CreateRole(ctx, h.two.ID, "x", none) }, 200, 1},
		"its end": {func(_ auth.Account, g *auth.Grant) error {
			return h.svc.EndSession(ctx, realm, g.Session.ID, "test", none)
		}, 401, 1},
		"a factor":   {func(a auth.Account, _ *auth.Grant) error { return h.refactor(t, a) }, 401, 1},
		"a password": {func(a auth.Account, _ *auth.Grant) error { return h.svc.SetPassword(ctx, realm, a.ID, pass, none) }, 401, 1},
		"all sessions": {func(a auth.Account, _ *auth.Grant) error {
			_, err := h.svc.EndSessions(ctx, realm, a.ID, "test", none)
			return err
		}, 401, 1},
		"a theft":  {func(_ auth.Account, g *auth.Grant) error { return h.steal(t, g) }, 401, 1},
		"disabled": {func(a auth.Account, _ *auth.Grant) error { return h.svc.SetDisabled(ctx, realm, a.ID, true, none) }, 401, 1},
		"deleted":  {func(a auth.Account, _ *auth.Grant) error { return h.svc.DeleteAccount(ctx, realm, a.ID, none) }, 401, 1},
	} {
		name := strings.ReplaceAll(what, " ", "-")
		a := h.account(t, "one", name)
		h.equip(t, a, name, name)
		g := h.login(t, "one/plain", name)
		bearer := "Authorization: Bearer " + h.token(t, g)
		h.poll(t, feed)
		other.verdict(t, bearer)
		h.clock.add(2 * time.Second) // too long for a node without a feed
		counted.sessions.Store(0)
		if err := c.change(a, g); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		h.poll(t, feed)
		if r := other.ask(t, "GET", "/ostiary/verify", "", bearer); r.StatusCode != c.status {
			t.Errorf("%s: %d %s", what, r.StatusCode, r.body)
		}
		if n := counted.sessions.Load(); n != c.reads {
			t.Errorf("%s: %d reads", what, n)
		}
	}
}

// steal presents a refresh token whose successor has been used.
func (h *house) steal(t *testing.T, g *auth.Grant) error {
	t.Helper()
	first, err := h.svc.RefreshToken(t.Context(), g)
	for presented := first; err == nil; presented, err = h.svc.RefreshToken(t.Context(), g) {
		if g, err = h.svc.Refresh(t.Context(), g.Mount, presented, auth.Client{}); err == nil && g.Session.Generation == 3 {
			_, err = h.svc.Refresh(t.Context(), g.Mount, first, auth.Client{})
		}
		if err != nil {
			break
		}
	}
	if auth.CodeOf(err) != auth.CodeTokenReused {
		return fmt.Errorf("no theft: %w", err)
	}
	return nil
}

// refactor gives an account a second factor, and takes it away.
func (h *house) refactor(t *testing.T, a auth.Account) error {
	t.Helper()
	if _, err := h.svc.EnrollFactor(t.Context(), h.one.ID, a.ID, auth.Client{}); err != nil {
		return err
	}
	return h.svc.ResetFactor(t.Context(), h.one.ID, a.ID, auth.Client{})
}

// TestVerify_NoRead: while the feed is fresh, a busy token's session is read once a minute.
func TestVerify_NoRead(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	counted := &reads{Store: h.store, real: h.store}
	other, feed := h.follower(t, counted)
	bearer := "Authorization: Bearer " + h.token(t, h.login(t, "one/opaque", "ada"))
	h.poll(t, feed)
	for range 59 {
		for range 5 {
			if r := other.ask(t, "GET", "/ostiary/verify", "", bearer); r.StatusCode != 200 {
				t.Fatalf("%d %s", r.StatusCode, r.body)
			}
		}
		h.clock.add(time.Second)
		h.poll(t, feed)
	}
	if n := counted.sessions.Load(); n != 1 {
		t.Errorf("%d reads in 295 verifications of a minute", n)
	}
	// Without the feed it is as before: two seconds.
	h.clock.add(time.Second)
	h.poll(t, feed)
	other.verdict(t, bearer)
	if n := counted.sessions.Load(); n != 2 {
		t.Errorf("%d reads after a minute", n)
	}
	for _, c := range []struct {
		wait  time.Duration
		reads int64
	}{{3*time.Second - time.Millisecond, 0}, {time.Millisecond, 1}, {2*time.Second - time.Millisecond, 0}, {time.Millisecond, 1}} {
		before := counted.sessions.Load()
		h.clock.add(c.wait)
		other.verdict(t, bearer)
		if n := counted.sessions.Load() - before; n != c.reads {
			t.Errorf("%d reads after %s more, want %d", n, c.wait, c.reads)
		}
	}
}

// heads is a log that is told to be another one.
type heads struct {
	auth.AuditReader
	change func(map[uuid.UUID]audit.Head) error
}

func (l heads) AuditHeads(ctx context.Context) (map[uuid.UUID]audit.Head, error) {
	all, err := l.AuditReader.AuditHeads(ctx)
	if err == nil {
		err = l.change(all)
	}
	return all, err
}

// What a feed can't be sure of makes everything void: a log that has gone back or is another
// one, a realm that is gone, more changes than are told one by one, and a time without it.
func TestFeed_Doubt(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	crowd := h.account(t, "one", "crowd")
	counted := &reads{Store: h.store, real: h.store}
	other, feed := h.follower(t, counted)
	bearer := "Authorization: Bearer " + h.token(t, h.login(t, "one/opaque", "ada"))
	away := errors.New("away")
	for what, c := range map[string]struct {
		change func(map[uuid.UUID]audit.Head) error
		wait   time.Duration
		err    error
		reads  int64
	}{
		"all well":  {func(map[uuid.UUID]audit.Head) error { return nil }, 0, nil, 0},
		"gone back": {func(m map[uuid.UUID]audit.Head) error { m[h.two.ID] = audit.Head{Seq: m[h.two.ID].Seq - 1}; return nil }, 0, nil, 1},
		"another":   {func(m map[uuid.UUID]audit.Head) error { m[h.two.ID] = audit.Head{Seq: m[h.two.ID].Seq}; return nil }, 0, nil, 1},
		"gone":      {func(m map[uuid.UUID]audit.Head) error { delete(m, h.two.ID); return nil }, 0, nil, 1},
		"away":      {func(m map[uuid.UUID]audit.Head) error { return away }, 0, away, 0},
		"too late":  {func(m map[uuid.UUID]audit.Head) error { return nil }, 3 * time.Second, nil, 1},
		"many": {func(m map[uuid.UUID]audit.Head) error {
			err := h.store.InTx(t.Context(), func(tx auth.Tx) error {
				for range 1001 {
					e := audit.Event{ID: uuid.Must(uuid.NewV7()), RealmID: h.one.ID, At: h.clock.Now(), Kind: audit.SessionEnded, Account: crowd.ID}
					if err := tx.InsertEvent(t.Context(), e); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			all, err := h.store.AuditHeads(t.Context())
			m[h.one.ID] = all[h.one.ID]
			return err
		}, 0, nil, 1},
	} {
		h.poll(t, feed)
		h.poll(t, feed) // as it is, after what it was told to be
		other.verdict(t, bearer)
		counted.sessions.Store(0)
		h.clock.add(c.wait)
		if err := feed.Poll(t.Context(), heads{h.store, c.change}); !errors.Is(err, c.err) {
			t.Fatalf("%s: %v", what, err)
		}
		other.verdict(t, bearer)
		if n := counted.sessions.Load(); n != c.reads {
			t.Errorf("%s: %d reads", what, n)
		}
		h.clock.add(time.Minute) // the next one begins anew
	}
}

// TestVerify_TouchWithinAView: a session that is in use does not end for being idle, though
// one view serves for longer than its idle time.
func TestVerify_TouchWithinAView(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	h.mounts["one/opaque"].SessionIdle = 20 * time.Second
	other, feed := h.follower(t, h.store)
	g := h.login(t, "one/opaque", "ada")
	bearer := "Authorization: Bearer " + h.token(t, g)
	h.poll(t, feed)
	for second := range 60 {
		other.verdict(t, bearer)
		if second%5 == 0 && second > 0 { // a quarter of the idle time
			h.touched(t, g, h.clock.Now())
		}
		h.clock.add(time.Second)
		h.poll(t, feed)
	}
}
