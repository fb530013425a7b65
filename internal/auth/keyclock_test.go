package auth_test

import (
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/token"
)

// slow is a node on the same store whose clock is behind.
func (w *world) slow(o auth.Options, by time.Duration) *auth.Service {
	o.Now = func() time.Time { return w.clock().Add(-by) }
	return auth.New(o)
}

// clocksDiffer is what the clocks of nodes may, see docs/nodes.md.
const clocksDiffer = time.Minute

// A key that others may know is refused at once also where it is not that late yet, and signs nothing there.
func TestKeys_NowAndClockBehind(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		var options auth.Options
		w := newWorld(t, func(o *auth.Options) { options = *o })
		w.account("steve")
		known, err := w.svc.Sign(w.ctx, w.signIn("steve"), nil)
		if err != nil {
			t.Fatal(err)
		}
		w.advance(time.Hour)
		fresh := w.rotate(auth.KeyRotation{Algorithm: "RS256", Now: true})
		for _, by := range []time.Duration{time.Second, clocksDiffer} {
			node := w.slow(options, by)
			if _, err := node.Identify(w.ctx, w.realm.ID, auth.Presented{Token: known}); auth.CodeOf(err) != auth.CodeTokenInvalid {
				t.Errorf("%v behind: a token of a key that was found out: %v", by, err)
			}
			g, err := node.SignIn(w.ctx, w.one, creds("steve", goodPassword), client)
			if err != nil {
				t.Fatal(err)
			}
			jwt, err := node.Sign(w.ctx, g, nil)
			if err != nil || kidOf(t, jwt) != fresh.Kid {
				t.Errorf("%v behind: another key signs than %s: %v", by, fresh.Kid, err)
			}
		}
	})
}

// No token of a key of another server that was ended becomes a session, where it is not that late yet.
func TestForeign_EndAndClockBehind(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		var options auth.Options
		h := newOldHouse(t, newWorld, func(o *auth.Options) { options = *o })
		a := h.account("steve")
		h.importKey(numbered, "old")
		h.advance(time.Hour)
		options.Dialects, options.Mounts = h.rules(), nil
		for _, m := range h.mounts {
			options.Mounts = append(options.Mounts, m)
		}
		node := h.slow(options, clocksDiffer)
		identify := func(id string) error {
			jwt := h.old("1", token.Claims{"jti": id, "iat": h.clock().Add(-clocksDiffer).Unix()})
			_, err := node.Identify(h.ctx, h.realm.ID, auth.Presented{Token: jwt})
			return err
		}
		if err := identify("before"); err != nil {
			t.Fatal(err)
		}
		if _, n, err := h.svc.EndForeignKey(h.ctx, h.realm.ID, "old", client); err != nil || n != 1 {
			t.Fatal(n, err)
		}
		h.wantCode(identify("after"), auth.CodeTokenInvalid)
		if list := h.sessions(a.ID); len(list) != 0 {
			t.Errorf("%d sessions by a key that was ended", len(list))
		}
	})
}
