package auth_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/token"
)

// log are the entries of the realm after a number.
func (w *world) log(after int64) []audit.Event {
	w.t.Helper()
	list, err := w.svc.ListAudit(w.ctx, w.realm.ID, auth.AuditFilter{After: after, Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

// line is an entry as the tests compare it: kind, whom it concerns, who did it, token and detail.
func line(e audit.Event, names map[uuid.UUID]string) string {
	return strings.TrimRight(fmt.Sprint(e.Kind, " ", names[e.Account], " by=", e.Actor, " token=", e.Token, " ", e.Detail), " ")
}

// Whatever a sign-in, its tokens and its owner do is recorded, with the token that it was
// done with, and failures with their reason.
func TestAudit_WhatAccountsDo(t *testing.T) {
	w := newWorld(t)
	a := w.account("ada")
	_, secret, err := w.svc.CreateAccount(w.ctx, w.realm.ID, auth.NewAccount{Username: "robot", Kind: auth.KindService}, auth.Client{Actor: "cli: root"})
	if err != nil {
		t.Fatal(err)
	}
	names := map[uuid.UUID]string{a.ID: "ada", uuid.Nil: "-"}
	robot, err := w.svc.FindAccount(w.ctx, w.realm.ID, "robot")
	if err != nil {
		t.Fatal(err)
	}
	names[robot.ID] = "robot"
	tag := func(text auth.Secret) string { return audit.TokenTag(string(text)) }
	never := "ostsvc_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	bearer := func(g *auth.Grant) auth.Presented { return auth.Presented{Token: string(g.Bearer)} }
	passport := func(ticket, code auth.Secret) (*auth.Grant, error) {
		return w.svc.CompleteSignIn(w.ctx, w.two, ticket, code, client)
	}
	var g *auth.Grant
	var ticket auth.Secret
	for _, c := range []struct {
		name string
		do   func() error
		want func() []string
	}{
		{"unknown", func() error { _, err := w.svc.SignIn(w.ctx, w.one, creds("nobody", goodPassword), client); return err },
			func() []string { return []string{"sign_in_failed - by= token= unknown_name"} }},
		{"wrong", func() error { _, err := w.svc.SignIn(w.ctx, w.one, creds("ada", "wrong"), client); return err },
			func() []string { return []string{"sign_in_failed ada by= token= wrong_password"} }},
		{"wrong secret", func() error { _, err := w.svc.SignIn(w.ctx, w.one, creds("robot", never), client); return err },
			func() []string {
				return []string{"sign_in_failed robot by= token=" + audit.TokenTag(never) + " wrong_secret"}
			}},
		{"secret", func() error { _, err := w.svc.SignIn(w.ctx, w.one, creds("robot", string(secret)), client); return err },
			func() []string { return []string{"signed_in robot by= token=" + tag(secret)} }},
		{"password", func() error { _, err := w.svc.SignIn(w.ctx, w.one, creds("ada", goodPassword), client); return err },
			func() []string { return []string{"signed_in ada by= token="} }},
		{"a ticket that nobody has", func() error { _, err := passport("AAAA", ""); return err }, func() []string { return nil }},
		{"first step", func() error { ticket = w.ticket("ada"); return nil }, func() []string { return []string{"password_passed ada by= token=" + tag(ticket)} }},
		{"second step", func() (err error) { g, err = passport(ticket, ""); return err }, func() []string { return []string{"signed_in ada by= token=" + tag(g.Bearer)} }},
		{"the ticket again", func() error { _, err := passport(ticket, ""); return err }, func() []string { return []string{"sign_in_failed ada by= token=" + tag(ticket) + " ticket_over"} }},
		{"renewed", func() error { _, err := w.svc.Renew(w.ctx, w.two, bearer(g), client); return err }, func() []string { return []string{"token_renewed ada by= token=" + tag(g.Bearer)} }},
		{"logout", func() error { return w.svc.Logout(w.ctx, w.realm.ID, bearer(g), client) }, func() []string { return []string{"session_ended ada by= token=" + tag(g.Bearer) + " logout"} }},
		{"another", func() (err error) { ticket = w.ticket("ada"); g, err = passport(ticket, ""); return err },
			func() []string {
				return []string{"password_passed ada by= token=" + tag(ticket), "signed_in ada by= token=" + tag(g.Bearer)}
			}},
		{"revoked by a service", func() error {
			by := client
			by.Actor = "service robot"
			return w.svc.Revoke(w.ctx, w.realm.ID, string(g.Bearer), by)
		}, func() []string {
			return []string{"session_ended ada by=service robot token=" + tag(g.Bearer) + " revoked"}
		}},
	} {
		before := w.log(0)
		_ = c.do()
		var got []string
		for _, e := range w.log(int64(len(before))) {
			got = append(got, line(e, names))
			if e.RequestID != client.RequestID || e.Address != "192.0.2.1" {
				t.Errorf("%s: %+v", c.name, e)
			}
		}
		if want := c.want(); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, want)
		}
	}
}

// The chain of refresh tokens: who presented which, what became of it, and whose it was.
func TestAudit_Refreshes(t *testing.T) {
	w := newWorld(t)
	a := w.account("ada")
	g := w.signIn("ada")
	first := w.refreshToken(g)
	next, err := w.svc.Refresh(w.ctx, w.one, first, client)
	if err != nil {
		t.Fatal(err)
	}
	second := w.refreshToken(next)
	_, _ = w.svc.Refresh(w.ctx, w.one, first, client) // a retry
	if next, err = w.svc.Refresh(w.ctx, w.one, second, client); err != nil {
		t.Fatal(err)
	}
	other := *w.one
	other.Audience = "another"
	_, _ = w.svc.Refresh(w.ctx, &other, w.refreshToken(next), client)
	_, _ = w.svc.Refresh(w.ctx, w.one, first, client) // a theft
	_, _ = w.svc.Refresh(w.ctx, w.one, second, client)
	_, _ = w.svc.Refresh(w.ctx, w.one, "garbage", client)
	names := map[uuid.UUID]string{a.ID: "ada"}
	tag := func(s auth.Secret) string { return audit.TokenTag(string(s)) }
	want := []string{
		"token_refreshed ada by= token=" + tag(first), "token_refreshed ada by= token=" + tag(first) + " retry", "token_refreshed ada by= token=" + tag(second),
		"refresh_failed ada by= token=" + tag(w.refreshToken(next)) + " not_of_this_mount",
		"refresh_token_reused ada by= token=" + tag(first), "refresh_failed ada by= token=" + tag(second) + " session_ended",
	}
	var got []string
	for _, e := range w.log(0) {
		if strings.Contains(string(e.Kind), "refresh") {
			got = append(got, line(e, names))
			if e.Session != g.Session.ID {
				t.Errorf("of session %s", e.Session)
			}
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// What was good once is recorded once a minute, however often it is presented.
func TestAudit_DeadTokensAgain(t *testing.T) {
	w := newWorld(t)
	w.account("ada")
	g := w.signIn("ada")
	dead := w.refreshToken(g)
	if err := w.svc.EndSession(w.ctx, w.realm.ID, g.Session.ID, "revoked", client); err != nil {
		t.Fatal(err)
	}
	ticket := w.ticket("ada")
	if _, err := w.svc.CompleteSignIn(w.ctx, w.two, ticket, "", client); err != nil {
		t.Fatal(err)
	}
	other := *w.one
	other.Audience = "another"
	live := w.refreshToken(w.signIn("ada"))
	before := len(w.log(0))
	present := func() {
		for range 20 {
			_, err := w.svc.Refresh(w.ctx, w.one, dead, client)
			w.wantCode(err, auth.CodeTokenInvalid)
			_, err = w.svc.Refresh(w.ctx, &other, live, client)
			w.wantCode(err, auth.CodeTokenInvalid)
			_, err = w.svc.CompleteSignIn(w.ctx, w.two, ticket, "", client)
			w.wantCode(err, auth.CodeTokenInvalid)
		}
	}
	present()
	if n := len(w.log(0)) - before; n != 3 {
		t.Errorf("%d entries", n)
	}
	w.advance(time.Minute)
	present()
	if n := len(w.log(0)) - before; n != 6 {
		t.Errorf("%d entries after a minute", n)
	}
}

// Whatever a request with a code is recorded as, it says in which dialect.
func TestAudit_DialectOfCodes(t *testing.T) {
	w := newWorld(t)
	a := w.account("ada")
	secret, err := w.svc.EnrollFactor(w.ctx, w.realm.ID, a.ID, auth.Client{Actor: "cli: root"})
	if err != nil {
		t.Fatal(err)
	}
	finish := func(code auth.Secret) {
		if _, err := w.svc.CompleteSignIn(w.ctx, w.two, w.ticket("ada"), code, client); err != nil {
			t.Fatal(err)
		}
	}
	before := len(w.log(0))
	finish(w.code(secret))
	codes, err := w.svc.NewRecoveryCodes(w.ctx, w.realm.ID, a.ID, auth.Client{Actor: "cli: root"})
	if err != nil {
		t.Fatal(err)
	}
	finish(auth.Secret(codes[0]))
	seen := map[audit.Kind]bool{}
	for _, e := range w.log(int64(before)) {
		seen[e.Kind] = true
		if (e.Dialect == string(w.two.Dialect)) != (e.Actor == "") {
			t.Errorf("%s by %q has the dialect %q", e.Kind, e.Actor, e.Dialect)
		}
	}
	if !seen[audit.FactorConfirmed] || !seen[audit.RecoveryUsed] {
		t.Errorf("%v", seen)
	}
}

// What operators change is recorded with the names of what they changed, and a code that
// was wrong at the command line, too.
func TestAudit_WhatOperatorsDo(t *testing.T) {
	w := newWorld(t)
	a := w.account("ada")
	by := auth.Client{Actor: "cli: root"}
	names := map[uuid.UUID]string{a.ID: "ada"}
	before := int64(len(w.log(0)))
	email, org := "new@example.com", "acme"
	if _, err := w.svc.UpdateAccount(w.ctx, w.realm.ID, a.ID, auth.AccountChange{Email: &email, Org: &org}, by); err != nil {
		t.Fatal(err)
	}
	if _, err := w.svc.EnrollFactor(w.ctx, w.realm.ID, a.ID, by); err != nil {
		t.Fatal(err)
	}
	w.wantCode(w.svc.ConfirmFactor(w.ctx, w.realm.ID, a.ID, "000000", by), auth.CodeFactorInvalid)
	robot, secret, err := w.svc.CreateAccount(w.ctx, w.realm.ID, auth.NewAccount{Username: "robot", Kind: auth.KindService}, by)
	if err != nil {
		t.Fatal(err)
	}
	names[robot.ID] = "robot"
	rotated, err := w.svc.RotateSecret(w.ctx, w.realm.ID, robot.ID, 0, by)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range w.log(before) {
		got = append(got, line(e, names))
	}
	want := []string{
		"account_updated ada by=cli: root token= email org", "factor_enrolled ada by=cli: root token=", "factor_failed ada by=cli: root token= wrong_code",
		"account_created robot by=cli: root token=" + audit.TokenTag(string(secret)) + " service", "secret_rotated robot by=cli: root token=" + audit.TokenTag(string(rotated)),
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if _, ok := token.HashServiceSecret(string(rotated)); !ok {
		t.Error("the secret is none")
	}
}

// Times are found by their index, and an entry need not come in the order of its time.
func TestEachEvent_Times(t *testing.T) {
	w := newWorld(t)
	base := w.clock()
	for _, hours := range []time.Duration{5, 1, 3, 2, 9} {
		err := w.store.InTx(w.ctx, func(tx auth.Tx) error {
			return tx.InsertEvent(w.ctx, audit.Event{ID: uuid.New(), RealmID: w.realm.ID, At: base.Add(hours * time.Hour), Kind: audit.SignedIn})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		since, until time.Duration
		limit        int
		want         string
	}{{2, 6, 0, "3 5 6"}, {2, 6, 2, "3 5"}, {9, 99, 0, "7"}, {10, 99, 0, ""}, {0, 99, 3, "1 2 3"}} {
		var got []string
		f := auth.AuditFilter{Since: base.Add(c.since * time.Hour), Until: base.Add(c.until * time.Hour), Limit: c.limit}
		err := w.svc.EachEvent(w.ctx, w.realm.ID, f, func(e audit.Event) error {
			got = append(got, fmt.Sprint(e.Seq))
			return nil
		})
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%+v: got %q, %v", c, got, err)
		}
	}
}

// ordered is a store that notes when the audit log and tickets are written.
type ordered struct {
	auth.Store
	calls []string
}

type orderedTx struct {
	auth.Tx
	s *ordered
}

func (s *ordered) InTx(ctx context.Context, fn func(tx auth.Tx) error) error {
	return s.Store.InTx(ctx, func(tx auth.Tx) error { return fn(orderedTx{tx, s}) })
}

func (t orderedTx) InsertEvent(ctx context.Context, e audit.Event) error {
	t.s.calls = append(t.s.calls, string(e.Kind))
	return t.Tx.InsertEvent(ctx, e)
}

func (t orderedTx) InsertTicket(ctx context.Context, ticket auth.Ticket) error {
	t.s.calls = append(t.s.calls, "ticket")
	return t.Tx.InsertTicket(ctx, ticket)
}

// The head of the log is what all transactions of a realm meet at: it is taken last, so
// that none of them holds it while it waits for something else.
func TestAudit_LogIsWrittenLast(t *testing.T) {
	s := &ordered{}
	w := newWorld(t, once, func(o *auth.Options) {
		s.Store = o.Store
		o.Store = s
	})
	const old = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$"
	hash := old + argon2Tag(t, goodPassword, "somesaltsomesalt", 1, 64)
	if _, _, err := w.svc.CreateAccount(w.ctx, w.realm.ID, auth.NewAccount{Username: "old", PasswordHash: hash}, client); err != nil {
		t.Fatal(err)
	}
	s.calls = nil
	w.ticket("old") // which hashes the password anew then, and records that
	if got := strings.Join(s.calls, " "); got != "ticket password_passed password_rehashed" {
		t.Errorf("in the order %s", got)
	}
}
