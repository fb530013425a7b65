package auth_test

import (
	"context"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/token"
)

// A store that is away is no verdict on a token: neither on one that is new, nor on a
// refresh token.
func TestThreat65_ForeignTokenWithoutTheStore(t *testing.T) {
	h := newOldHouse(t, newWorld)
	a := h.account("steve")
	h.importKey(numbered, "old")
	bearer, refresh := h.importTokens(opaque, auth.ForeignBearer, a.ID), h.importTokens(refreshed, auth.ForeignRefresh, a.ID)
	h.mustIdentify(h.old("1", token.Claims{"jti": "before"}))
	if err := h.store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tok := range []string{h.old("1"), bearer} {
		_, err := h.identify(tok)
		h.wantCode(err, auth.CodeUnavailable)
		h.wantCode(h.svc.Revoke(h.ctx, h.realm.ID, tok, client), auth.CodeUnavailable)
	}
	_, _, err := h.refresh(refresh)
	h.wantCode(err, auth.CodeUnavailable)
}

// What has expired is swept, a key and a token alike, and a session that has one lives on.
func TestForeign_Swept(t *testing.T) {
	h := newOldHouse(t, newWorld)
	a := h.account("steve")
	h.importKey(numbered, "old")
	jwt := h.old("1")
	h.mustIdentify(jwt)
	h.importTokens(opaque, auth.ForeignBearer, a.ID)
	count := func() (n int) {
		t.Helper()
		any, err := h.store.AnyForeignToken(h.ctx, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		keys, err := h.svc.ListForeignKeys(h.ctx, h.realm.ID)
		if err != nil {
			t.Fatal(err)
		}
		if any {
			n = 10
		}
		return n + len(keys)
	}
	for _, c := range []struct {
		after time.Duration
		left  int
	}{{0, 11}, {31 * 24 * time.Hour, 11}, {38 * 24 * time.Hour, 1}, {61 * 24 * time.Hour, 0}} {
		if _, err := h.store.Sweep(context.Background(), h.clock().Add(c.after), 100, 1, auth.DefaultBudgets()); err != nil {
			t.Fatal(err)
		}
		if n := count(); n != c.left {
			t.Errorf("after %s: %d are left, want %d", c.after, n, c.left)
		}
	}
}

// A token that was ended is not good again when the key that has signed it is imported once more.
func TestForeign_EndedForLonger(t *testing.T) {
	h := newOldHouse(t, newWorld)
	h.account("steve")
	h.importKey(numbered, "old")
	jwt := h.old("1", token.Claims{"exp": h.clock().Add(300 * 24 * time.Hour).Unix()})
	h.mustIdentify(jwt)
	if err := h.svc.Logout(h.ctx, h.realm.ID, auth.Presented{Token: jwt}, client); err != nil {
		t.Fatal(err)
	}
	h.advance(100 * 24 * time.Hour)
	for range 3 {
		if _, err := h.store.Sweep(context.Background(), h.clock(), 100, 1, auth.DefaultBudgets()); err != nil {
			t.Fatal(err)
		}
	}
	h.importKey(numbered, "old")
	if _, err := h.identify(jwt); err == nil {
		t.Error("it is good again")
	}
}
