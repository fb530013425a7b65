package auth_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/token"
)

func (h *oldHouse) refresh(tok string) (string, *auth.Grant, error) {
	g, err := h.svc.Refresh(h.ctx, h.mounts[refreshed], auth.Secret(tok), client)
	if err != nil {
		return "", nil, err
	}
	next, err := h.svc.RefreshToken(h.ctx, g)
	return string(next), g, err
}

// An old refresh token is spent for one of ours: once, and all that present it at once get
// the same one.
func TestForeign_RefreshRace(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		h := newOldHouse(t, newWorld)
		a := h.account("steve")
		old := h.importTokens(refreshed, auth.ForeignRefresh, a.ID)
		var mu sync.Mutex
		successors := map[string]int{}
		if n := parallel(100, func() error {
			next, _, err := h.refresh(old)
			if err == nil {
				mu.Lock()
				successors[next]++
				mu.Unlock()
			}
			return err
		}); n != 100 || len(successors) != 1 {
			t.Fatalf("%d of 100, %d successors", n, len(successors))
		}
		if list := h.sessions(a.ID); len(list) != 1 || !list[0].ExpiresAt.Equal(h.clock().Add(24*time.Hour)) {
			t.Errorf("%+v", list)
		}
	})
}

// The rules are those of our own refresh tokens.
func TestForeign_RefreshRules(t *testing.T) {
	h := newOldHouse(t, newWorld)
	a := h.account("steve")
	begin := func() (old, next string, ses uuid.UUID) {
		t.Helper()
		old = h.importTokens(refreshed, auth.ForeignRefresh, a.ID)
		next, g, err := h.refresh(old)
		if err != nil || g.Subject != a.ID.String() || g.Session.Audience != "app" {
			t.Fatal(g, err)
		}
		return old, next, g.Session.ID
	}
	ended := func(id uuid.UUID) string {
		rec, err := h.store.SessionByID(h.ctx, h.realm.ID, id)
		if err != nil {
			t.Fatal(err)
		}
		return rec.EndReason
	}
	// In time, as long as the successor has not been used.
	old, next, id := begin()
	h.advance(time.Minute)
	if again, g, err := h.refresh(old); err != nil || again != next || g.Session.ID != id {
		t.Fatal(again, err)
	}
	if _, _, err := h.refresh(next); err != nil {
		t.Fatal(err)
	}
	_, _, err := h.refresh(old)
	h.wantCode(err, auth.CodeTokenReused)
	if why := ended(id); why != "refresh_token_reused" {
		t.Errorf("ended: %q", why)
	}
	// Later it is a theft, too.
	old, next, id = begin()
	h.advance(time.Minute + time.Second)
	_, _, err = h.refresh(old)
	h.wantCode(err, auth.CodeTokenReused)
	for _, tok := range []string{old, next} {
		_, _, err = h.refresh(tok)
		h.wantCode(err, auth.CodeTokenInvalid)
	}
	if why := ended(id); why != "refresh_token_reused" {
		t.Errorf("ended: %q", why)
	}
	// Expired, void, of another dialect or kind, of an account that is disabled, or cut off.
	expired := h.importTokens(refreshed, auth.ForeignRefresh, a.ID)
	h.advance(31 * 24 * time.Hour)
	void := h.importTokens(refreshed, auth.ForeignRefresh, a.ID)
	if err := h.svc.Revoke(h.ctx, h.realm.ID, void, client); err != nil {
		t.Fatal(err)
	}
	bearer := h.importTokens(opaque, auth.ForeignBearer, a.ID)
	cut := h.importTokens(refreshed, auth.ForeignRefresh, a.ID)
	h.advance(time.Second)
	if err := h.svc.SetDisabled(h.ctx, h.realm.ID, a.ID, true, client); err != nil {
		t.Fatal(err)
	}
	disabled := h.importRaw(refreshed, auth.ForeignRefresh, a.ID, h.clock())
	for name, tok := range map[string]string{"expired": expired, "void": void, "bearer": bearer, "disabled": disabled, "garbage": "garbage", "long": string(make([]byte, 1<<20))} {
		if _, _, err = h.refresh(tok); auth.CodeOf(err) != auth.CodeTokenInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := h.svc.SetDisabled(h.ctx, h.realm.ID, a.ID, false, client); err != nil {
		t.Fatal(err)
	}
	if _, _, err = h.refresh(cut); auth.CodeOf(err) != auth.CodeSessionEnded {
		t.Errorf("cut off: %v", err)
	}
	if _, err = h.identify(cut); auth.CodeOf(err) != auth.CodeTokenInvalid {
		t.Errorf("a refresh token as a bearer: %v", err)
	}
	// One that was spent ends its session if it is revoked.
	old, next, id = begin()
	if err := h.svc.Revoke(h.ctx, h.realm.ID, old, client); err != nil {
		t.Fatal(err)
	}
	if _, _, err = h.refresh(next); auth.CodeOf(err) != auth.CodeTokenInvalid || ended(id) != "revoked" {
		t.Errorf("%v, ended %q", err, ended(id))
	}
}

// importRaw stores a token as it is.
func (h *oldHouse) importRaw(d auth.Dialect, kind auth.ForeignKind, account uuid.UUID, issued time.Time) string {
	h.t.Helper()
	text := uuid.NewString()
	hash, _ := token.HashForeign(text)
	r := auth.ForeignRecord{Hash: hash, AccountID: account, Dialect: d, Kind: kind, CreatedAt: issued, ExpiresAt: h.clock().Add(time.Hour)}
	if _, err := h.svc.ImportTokens(h.ctx, h.realm.ID, []auth.ForeignRecord{r}, client); err != nil {
		h.t.Fatal(err)
	}
	return text
}

// The refresh token of a login that was seen here is that session's, and its chain goes on.
func TestForeign_RefreshLearned(t *testing.T) {
	h := newOldHouse(t, newWorld)
	h.account("steve")
	g := h.signInAt(refreshed, "steve")
	h.learn(g.Session, auth.ForeignToken{Kind: auth.ForeignRefresh, Text: "old-refresh-token"}, auth.ForeignToken{Kind: auth.ForeignSession, Text: "not-of-this-dialect"})
	next, again, err := h.refresh("old-refresh-token")
	if err != nil || again.Session.ID != g.Session.ID {
		t.Fatal(again, err)
	}
	if _, _, err := h.refresh(next); err != nil {
		t.Fatal(err)
	}
	_, _, err = h.refresh("old-refresh-token")
	h.wantCode(err, auth.CodeTokenReused)
}

// What can be imported, and what can't.
func TestForeign_ImportChecked(t *testing.T) {
	h := newOldHouse(t, newWorld)
	a := h.account("steve")
	ok := auth.ForeignRecord{AccountID: a.ID, Dialect: opaque, Kind: auth.ForeignBearer, ExpiresAt: h.clock().Add(time.Hour)}
	for name, c := range map[string]struct {
		change func(r *auth.ForeignRecord)
		want   auth.Code
	}{
		"good":                 {func(*auth.ForeignRecord) {}, ""},
		"expired":              {func(r *auth.ForeignRecord) { r.ExpiresAt = h.clock() }, auth.CodeInvalidInput},
		"of more than a year":  {func(r *auth.ForeignRecord) { r.ExpiresAt = h.clock().Add(367 * 24 * time.Hour) }, auth.CodeInvalidInput},
		"issued in the future": {func(r *auth.ForeignRecord) { r.CreatedAt = h.clock().Add(time.Minute) }, auth.CodeInvalidInput},
		"no kind":              {func(r *auth.ForeignRecord) { r.Kind = "jwt" }, auth.CodeInvalidInput},
		"not of the dialect":   {func(r *auth.ForeignRecord) { r.Kind = auth.ForeignRefresh }, auth.CodeInvalidInput},
		"csrf goes with it":    {func(r *auth.ForeignRecord) { r.Dialect = paired }, auth.CodeInvalidInput},
		"no dialect":           {func(r *auth.ForeignRecord) { r.Dialect = "none" }, auth.CodeInvalidInput},
	} {
		r := ok
		c.change(&r)
		if err := h.svc.CheckImported(h.ctx, h.realm.ID, &r); auth.CodeOf(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.advance(time.Hour)
	if _, err := h.svc.EndSessions(h.ctx, h.realm.ID, a.ID, "x", client); err != nil {
		t.Fatal(err)
	}
	ok.ExpiresAt = h.clock().Add(time.Hour)
	for issued, want := range map[time.Time]auth.Code{
		{}:                         auth.CodeInvalidInput,
		h.clock():                  auth.CodeInvalidInput,
		h.clock().Add(time.Second): "",
	} {
		r := ok
		r.CreatedAt = issued
		if want == "" {
			h.advance(time.Minute)
		}
		if err := h.svc.CheckImported(h.ctx, h.realm.ID, &r); auth.CodeOf(err) != want {
			t.Errorf("issued %s: %v", issued, err)
		}
	}
	// The same again changes nothing; another's is refused, with all that came beside it.
	b := h.account("john")
	one := auth.ForeignRecord{Hash: [32]byte{1}, AccountID: a.ID, Dialect: opaque, Kind: auth.ForeignBearer, CreatedAt: h.clock(), ExpiresAt: h.clock().Add(time.Hour)}
	two, theirs := one, one
	two.Hash, theirs.AccountID = [32]byte{2}, b.ID
	for _, c := range []struct {
		list []auth.ForeignRecord
		n    int
		want auth.Code
	}{{[]auth.ForeignRecord{one}, 1, ""}, {[]auth.ForeignRecord{one}, 0, ""}, {[]auth.ForeignRecord{two, theirs}, 0, auth.CodeConflict}, {[]auth.ForeignRecord{one, two}, 1, ""}} {
		n, err := h.svc.ImportTokens(h.ctx, h.realm.ID, c.list, client)
		if auth.CodeOf(err) != c.want || err == nil && n != c.n {
			t.Errorf("%d, %v; want %d, %q", n, err, c.n, c.want)
		}
	}
}
