package auth_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

func (w *world) refresh(token auth.Secret) (auth.Secret, error) {
	g, err := w.svc.Refresh(w.ctx, w.one, token, client)
	if err != nil {
		return "", err
	}
	return w.refreshToken(g), nil
}

func (w *world) refreshToken(g *auth.Grant) auth.Secret {
	w.t.Helper()
	token, err := w.svc.RefreshToken(w.ctx, g)
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

func (w *world) mustRefresh(token auth.Secret) auth.Secret {
	w.t.Helper()
	next, err := w.refresh(token)
	if err != nil {
		w.t.Fatal(err)
	}
	return next
}

func (w *world) events(kind audit.Kind) []audit.Event {
	w.t.Helper()
	list, err := w.svc.ListAudit(w.ctx, w.realm.ID, auth.AuditFilter{Kinds: []audit.Kind{kind}, Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

func TestRefresh_Rotates(t *testing.T) {
	w := newWorld(t)
	w.account("steve")
	token := w.refreshToken(w.signIn("steve"))
	for range 5 {
		next := w.mustRefresh(token)
		if next == token {
			t.Fatal("the successor is the token that was presented")
		}
		token = next
		w.advance(time.Hour)
	}
}

func TestThreat36_ParallelRefreshes(t *testing.T) {
	w := newWorld(t)
	w.account("steve")
	token := w.refreshToken(w.signIn("steve"))
	var mu sync.Mutex
	successors := map[auth.Secret]int{}
	if n := parallel(100, func() error {
		next, err := w.refresh(token)
		mu.Lock()
		successors[next]++
		mu.Unlock()
		return err
	}); n != 100 || len(successors) != 1 {
		t.Fatalf("%d of 100 succeeded, with %d successors", n, len(successors))
	}
	for next := range successors {
		w.mustRefresh(next)
	}
}

func TestThreat37_LostAnswerAndTheft(t *testing.T) {
	w := newWorld(t)
	w.account("steve")
	first := w.refreshToken(w.signIn("steve"))
	second := w.mustRefresh(first)
	w.advance(time.Minute) // the last moment at which a retry is honest
	if again := w.mustRefresh(first); again != second {
		t.Fatal("the retry got another successor")
	}
	third := w.mustRefresh(second)
	_, err := w.refresh(first) // the grandparent
	w.wantCode(err, auth.CodeTokenReused)
	for _, token := range []auth.Secret{first, second, third} {
		_, err := w.refresh(token)
		w.wantCode(err, auth.CodeTokenInvalid)
	}
	if got := w.events(audit.RefreshReused); len(got) != 1 {
		t.Errorf("%d thefts in the audit log", len(got))
	}
}

func TestThreat37_RetryTooLate(t *testing.T) {
	w := newWorld(t)
	w.account("steve")
	first := w.refreshToken(w.signIn("steve"))
	second := w.mustRefresh(first)
	w.advance(time.Minute + time.Microsecond)
	_, err := w.refresh(first)
	w.wantCode(err, auth.CodeTokenReused)
	_, err = w.refresh(second)
	w.wantCode(err, auth.CodeTokenInvalid)
}

func TestRefresh_RetryAfterSuccessorWasUsed(t *testing.T) {
	w := newWorld(t)
	w.account("steve")
	first := w.refreshToken(w.signIn("steve"))
	w.mustRefresh(w.mustRefresh(first))
	_, err := w.refresh(first)
	w.wantCode(err, auth.CodeTokenReused)
}

func TestRefresh_Lifetimes(t *testing.T) {
	w := newWorld(t)
	w.account("steve")
	idle := w.refreshToken(w.signIn("steve"))
	w.advance(12 * time.Hour)
	_, err := w.refresh(idle)
	w.wantCode(err, auth.CodeTokenInvalid)
	token := w.refreshToken(w.signIn("steve"))
	for range 2 {
		w.advance(11 * time.Hour)
		token = w.mustRefresh(token)
	}
	w.advance(2 * time.Hour) // the absolute lifetime is over, whatever the use
	_, err = w.refresh(token)
	w.wantCode(err, auth.CodeTokenInvalid)
}

func TestRefresh_OtherDialectAndRealm(t *testing.T) {
	w := newWorld(t)
	w.account("steve")
	token := w.refreshToken(w.signIn("steve"))
	other := *w.one
	other.Dialect = "three"
	_, err := w.svc.Refresh(w.ctx, &other, token, client)
	w.wantCode(err, auth.CodeTokenInvalid)
	realm, err := w.svc.CreateRealm(w.ctx, "second", client)
	if err != nil {
		t.Fatal(err)
	}
	foreign := *w.one
	foreign.RealmID = realm.ID
	_, err = w.svc.Refresh(w.ctx, &foreign, token, client)
	w.wantCode(err, auth.CodeTokenInvalid)
	w.mustRefresh(token)
}

func TestRefresh_SeesEndedSessionsAtOnce(t *testing.T) {
	w := newWorld(t)
	for name, end := range map[string]func(auth.Account, uuid.UUID) error{
		"disable": func(a auth.Account, _ uuid.UUID) error {
			return w.svc.SetDisabled(w.ctx, w.realm.ID, a.ID, true, client)
		},
		"delete": func(a auth.Account, _ uuid.UUID) error { return w.svc.DeleteAccount(w.ctx, w.realm.ID, a.ID, client) },
		"reset": func(a auth.Account, _ uuid.UUID) error {
			return w.svc.SetPassword(w.ctx, w.realm.ID, a.ID, "another password", client)
		},
		"revoke": func(_ auth.Account, s uuid.UUID) error { return w.svc.EndSession(w.ctx, w.realm.ID, s, "test", client) },
		"all": func(a auth.Account, _ uuid.UUID) error {
			_, err := w.svc.EndSessions(w.ctx, w.realm.ID, a.ID, "test", client)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.account("user-" + name)
			g := w.signIn(a.Username)
			token := w.refreshToken(g)
			if err := end(a, g.Session.ID); err != nil {
				t.Fatal(err)
			}
			_, err := w.refresh(token)
			w.wantCode(err, auth.CodeTokenInvalid)
		})
	}
}

// What was granted is handed out though its client seems to have gone: he may have closed his side alone, and wait.
func TestRefreshToken_ClientGone(t *testing.T) {
	var options auth.Options
	w := newWorld(t, func(o *auth.Options) { options = *o })
	w.account("ada")
	g := w.signIn("ada")
	gone, leave := context.WithCancel(w.ctx)
	leave()
	text, err := auth.New(options).RefreshToken(gone, g) // by a node that has the realm still to read
	if err != nil || text != w.refreshToken(g) {
		t.Errorf("%v, and the token is another one: %v", err, text != w.refreshToken(g))
	}
}

func TestRenew_WithinTheSession(t *testing.T) {
	w := newWorld(t)
	w.account("steve")
	g := w.signIn("steve")
	jwt, err := w.svc.Sign(w.ctx, g, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.advance(30 * time.Minute)
	again, err := w.svc.Renew(w.ctx, w.one, auth.Presented{Token: jwt}, client)
	if err != nil {
		t.Fatal(err)
	}
	if again.Session.ID != g.Session.ID || !again.Session.ExpiresAt.Equal(g.Session.ExpiresAt) {
		t.Error("another session, or another end of it")
	}
	other := *w.one
	other.Dialect = "three"
	_, err = w.svc.Renew(w.ctx, &other, auth.Presented{Token: jwt}, client)
	w.wantCode(err, auth.CodeTokenInvalid)
	w.advance(time.Hour)
	_, err = w.svc.Renew(w.ctx, w.one, auth.Presented{Token: jwt}, client)
	w.wantCode(err, auth.CodeTokenInvalid)
}

// A token is for one audience: neither a refresh nor a renewal at another mount makes it
// one for another.
func TestThreat29_AudienceStays(t *testing.T) {
	other := &auth.Mount{Dialect: "one", Issuer: "urn:one", Audience: "another", Algorithm: "RS256", AccessTTL: time.Hour,
		SessionMax: 24 * time.Hour, RefreshRetry: time.Minute}
	w := newWorld(t, func(o *auth.Options) { o.Mounts = append(o.Mounts, other) })
	other.RealmID = w.realm.ID
	w.account("steve")
	g := w.signIn("steve")
	jwt, err := w.svc.Sign(w.ctx, g, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.svc.Renew(w.ctx, other, auth.Presented{Token: jwt}, client)
	w.wantCode(err, auth.CodeTokenInvalid)
	_, err = w.svc.Refresh(w.ctx, other, w.refreshToken(g), client)
	w.wantCode(err, auth.CodeTokenInvalid)
	w.mustRefresh(w.refreshToken(g))
}

func TestThreat67_ClockSetBack(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		w := newWorld(t, withBudgets)
		w.account("steve")
		first := w.refreshToken(w.signIn("steve"))
		for range 5 {
			_, err := w.svc.SignIn(w.ctx, w.one, creds("nobody", "wrong password"), client)
			w.wantCode(err, auth.CodeBadCredentials)
		}
		w.mustRefresh(first)
		w.advance(-24 * time.Hour)
		_, err := w.svc.SignIn(w.ctx, w.one, creds("nobody", "wrong password"), client)
		w.wantCode(err, auth.CodeThrottled)
		if wait := auth.AsError(err).RetryAfter; wait > 15*time.Minute {
			t.Errorf("a wait of %v", wait)
		}
		_, err = w.refresh(first)
		w.wantCode(err, auth.CodeTokenReused)
	})
}
