package auth_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

// The clock jumps by an hour, and back, with everything spent that can be: codes, recovery
// codes, tickets, generations of a refresh token, guesses. None of it is good again, no
// session ends later than it would have, and no wait is longer than it can be.
func TestThreat67_AnHourEitherWay(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		stranger := auth.Client{Address: netip.MustParseAddr("198.51.100.7")}
		for name, jumps := range map[string][]time.Duration{
			"back":           {-time.Hour},
			"ahead":          {time.Hour},
			"ahead and back": {time.Hour, -time.Hour},
			"back and ahead": {-time.Hour, time.Hour},
		} {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t, withBudgets)
				w.one.AccessTTL = 30 * time.Minute
				a, b := w.account("steve"), w.account("john")
				uri := w.enroll(a)
				recovery, err := w.svc.NewRecoveryCodes(w.ctx, w.realm.ID, a.ID, client)
				if err != nil {
					t.Fatal(err)
				}
				code, ticket := w.code(uri), w.ticket("steve")
				opened := w.mustPassport(ticket, code).Session
				w.mustPassport(w.ticket("steve"), auth.Secret(recovery[0]))
				grant := w.signIn("john")
				jwt, err := w.svc.Sign(w.ctx, grant, nil)
				if err != nil {
					t.Fatal(err)
				}
				first := w.refreshToken(grant)
				second := w.mustRefresh(first)
				third := w.mustRefresh(second)
				for range 7 { // five are free
					_, _ = w.svc.SignIn(w.ctx, w.one, creds("john", "not his password"), stranger)
					w.advance(4 * time.Second)
				}
				failures := func() int {
					t.Helper()
					budgets, err := w.svc.BudgetOf(w.ctx, w.realm.ID, b.ID)
					if err != nil || len(budgets) > 1 {
						t.Fatal(budgets, err)
					}
					if len(budgets) == 0 {
						return 0
					}
					return budgets[0].Failures
				}
				counted := failures()
				var shift time.Duration
				for _, d := range jumps {
					w.advance(d)
					shift += d
				}
				// What was spent.
				appending := *w.one
				appending.AppendCode = true
				_, err = w.svc.SignIn(w.ctx, &appending, creds("steve", goodPassword+string(code)), client)
				w.wantCode(err, auth.CodeBadCredentials)
				for _, c := range []auth.Secret{code, auth.Secret(recovery[0])} {
					_, err = w.passport(w.ticket("steve"), c)
					w.wantCode(err, auth.CodeFactorInvalid)
				}
				_, err = w.passport(ticket, auth.Secret(recovery[1]))
				w.wantCode(err, auth.CodeTokenInvalid)
				if shift < 0 { // the authenticator's codes of now were of steps before the last one
					_, err = w.passport(w.ticket("steve"), w.code(uri))
					w.wantCode(err, auth.CodeFactorInvalid)
				}
				// Sessions end when they would have.
				for _, ses := range []auth.Session{opened, grant.Session} {
					rec, err := w.store.SessionByID(w.ctx, w.realm.ID, ses.ID)
					if err != nil || rec.ExpiresAt.After(ses.ExpiresAt) || !rec.EndedAt.IsZero() {
						t.Errorf("ends %s, and did %s, %v", rec.ExpiresAt, ses.ExpiresAt, err)
					}
				}
				if _, err = w.svc.Identify(w.ctx, w.realm.ID, auth.Presented{Token: jwt}); shift > 0 && err == nil {
					t.Errorf("a token of half an hour, after %s: %v", shift, err)
				}
				// Guesses count as before, but for what an hour forgives.
				if now := failures(); now < counted-4 || shift <= 0 && now < counted {
					t.Errorf("%d failures, and before %d", now, counted)
				}
				if shift < 0 {
					_, err = w.svc.SignIn(w.ctx, w.one, creds("john", goodPassword), stranger)
					w.wantCode(err, auth.CodeThrottled)
					if wait := auth.AsError(err).RetryAfter; wait > 15*time.Minute {
						t.Errorf("a wait of %s", wait)
					}
				}
				// The chain goes on by its last token alone.
				if shift >= 0 {
					third = w.mustRefresh(third)
				}
				_, err = w.refresh(first)
				w.wantCode(err, auth.CodeTokenReused)
				_, err = w.refresh(third)
				w.wantCode(err, auth.CodeTokenInvalid)
			})
		}
	})
}

// A clock that is set back gives a session no more life than it was opened with.
func TestThreat67_SessionsAreNotExtended(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		w := newWorld(t)
		w.account("steve")
		g := w.signIn("steve")
		token := w.refreshToken(g)
		end := w.clock().Add(24 * time.Hour)
		for range 24 { // an hour back for each two that pass
			w.advance(2 * time.Hour)
			next, err := w.refresh(token)
			if err != nil {
				break
			}
			token = next
			w.advance(-time.Hour)
		}
		w.advance(end.Sub(w.clock()))
		_, err := w.refresh(token)
		w.wantCode(err, auth.CodeTokenInvalid)
		rec, err := w.store.SessionByID(w.ctx, w.realm.ID, g.Session.ID)
		if err != nil || !rec.ExpiresAt.Equal(g.Session.ExpiresAt) {
			t.Errorf("it ends %s, and was to end %s: %v", rec.ExpiresAt, g.Session.ExpiresAt, err)
		}
	})
}

// Whoever gets a name that somebody had before gets nothing of what was his: no factor, no
// code, no secret, no alias, no failed guesses and no address that is known; and whatever
// opened the first account opens nothing.
func TestThreat45_RecycledCredentials(t *testing.T) {
	w := newWorld(t, withBudgets)
	old := w.account("steve")
	uri := w.enroll(old)
	recovery, err := w.svc.NewRecoveryCodes(w.ctx, w.realm.ID, old.ID, client)
	if err != nil {
		t.Fatal(err)
	}
	bearer := w.mustPassport(w.ticket("steve"), w.code(uri)).Bearer
	if err := w.svc.SetAlias(w.ctx, w.realm.ID, old.ID, "one", "legacy", client); err != nil {
		t.Fatal(err)
	}
	robot, secret, err := w.svc.CreateAccount(w.ctx, w.realm.ID, auth.NewAccount{Username: "robot", Kind: auth.KindService}, client)
	if err != nil {
		t.Fatal(err)
	}
	stranger := auth.Client{Address: netip.MustParseAddr("198.51.100.7")}
	for range 5 {
		_, _ = w.svc.SignIn(w.ctx, w.one, creds("steve", "not his password"), stranger)
	}
	for _, id := range []uuid.UUID{old.ID, robot.ID} {
		if err := w.svc.DeleteAccount(w.ctx, w.realm.ID, id, client); err != nil {
			t.Fatal(err)
		}
	}
	again := w.account("steve")
	if state, err := w.svc.Factor(w.ctx, w.realm.ID, again.ID); err != nil || state != auth.FactorNone {
		t.Errorf("the factor is %v, %v", state, err)
	}
	if budgets, err := w.svc.BudgetOf(w.ctx, w.realm.ID, again.ID); err != nil || len(budgets) != 0 {
		t.Errorf("budgets %+v, %v", budgets, err)
	}
	if known, err := w.store.KnownSource(w.ctx, again.ID, "192.0.2.1", time.Time{}); err != nil || known {
		t.Errorf("the address is known: %v, %v", known, err)
	}
	g, err := w.svc.SignIn(w.ctx, w.one, creds("steve", goodPassword), stranger) // who failed at the first one
	if err != nil || g.Subject == "legacy" || g.Account.ID != again.ID {
		t.Fatalf("%+v, %v", g, err)
	}
	_, err = w.svc.Identify(w.ctx, w.realm.ID, auth.Presented{Token: string(bearer)})
	w.wantCode(err, auth.CodeTokenInvalid)
	fresh := w.enroll(again)
	w.advance(time.Minute)
	for _, c := range []auth.Secret{w.code(uri), auth.Secret(recovery[0])} {
		_, err = w.passport(w.ticket("steve"), c)
		w.wantCode(err, auth.CodeFactorInvalid)
	}
	w.mustPassport(w.ticket("steve"), w.code(fresh))
	_, next, err := w.svc.CreateAccount(w.ctx, w.realm.ID, auth.NewAccount{Username: "robot", Kind: auth.KindService}, client)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.svc.SignIn(w.ctx, w.one, creds("robot", string(secret)), client)
	w.wantCode(err, auth.CodeBadCredentials)
	if _, err := w.svc.SignIn(w.ctx, w.one, creds("robot", string(next)), client); err != nil {
		t.Error(err)
	}
}

// Nobody becomes somebody else by a name that looks like his: it can't be taken by an
// update either, nor does it find, reset or sign in whom it looks like.
func TestThreat08_ResetOfALookalike(t *testing.T) {
	w := newWorld(t)
	admin, other := w.account("admin"), w.account("other")
	for _, name := range []string{
		"adm\u0130n", "adm\u0131n", "\u0430dmin", "admin\u200b", "admin ", " admin", "ad\u00admin", "a\u0064\u0307min", "admi\u0578", "\U0001d41admin", "admin\u0000", "admin@", "ɑdmin",
	} {
		if a, err := w.svc.FindAccount(w.ctx, w.realm.ID, name); err == nil {
			t.Errorf("%q finds %q", name, a.Username)
		}
		_, err := w.svc.SignIn(w.ctx, w.one, creds(name, goodPassword), client)
		w.wantCode(err, auth.CodeBadCredentials)
		email := name + "@example.com"
		got, err := w.svc.UpdateAccount(w.ctx, w.realm.ID, other.ID, auth.AccountChange{Username: &name, Email: &email}, client)
		if err != nil {
			continue // the best answer
		}
		// Another script is another name: then the two are apart in everything.
		if a, err := w.svc.FindAccount(w.ctx, w.realm.ID, name); err != nil || a.ID != other.ID || got.Username != name {
			t.Errorf("%q finds %+v, %v", name, a, err)
		}
	}
	for _, name := range []string{"admin", "ADMIN", "admin@example.com", "Admin@Example.Com"} {
		if a, err := w.svc.FindAccount(w.ctx, w.realm.ID, name); err != nil || a.ID != admin.ID {
			t.Errorf("%q finds %+v, %v", name, a, err)
		}
	}
	taken := "ADMIN"
	_, err := w.svc.UpdateAccount(w.ctx, w.realm.ID, other.ID, auth.AccountChange{Username: &taken}, client)
	w.wantCode(err, auth.CodeConflict)
}

// TestThreat30_TicketOfAnotherDialect: a password that is right in one dialect begins no login in another.
func TestThreat30_TicketOfAnotherDialect(t *testing.T) {
	w := newWorld(t, threeDialects)
	w.account("steve")
	p, err := w.svc.BeginSignIn(w.ctx, w.two, creds("steve", goodPassword), client)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.svc.CompleteSignIn(w.ctx, w.mounted("three"), p.Ticket, "", client)
	w.wantCode(err, auth.CodeTokenInvalid)
	if _, err := w.svc.CompleteSignIn(w.ctx, w.two, p.Ticket, "", client); err != nil {
		t.Error(err)
	}
}
