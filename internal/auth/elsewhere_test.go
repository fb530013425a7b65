package auth_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

// relayed is a world whose two-step mount takes over from one where ada has a second factor,
// and her authenticator there.
func relayed(t *testing.T, make worldMaker, options ...func(*auth.Options)) (w *world, two *elder, uri string) {
	t.Helper()
	w, _, two = takenOver(t, make, options...)
	uri = two.old.enroll(two.old.account("ada"))
	return w, two, uri
}

func (w *world) passes(m *auth.Mount, name, password string) bool {
	w.t.Helper()
	_, err := w.svc.SignIn(w.ctx, m, creds(name, password), client)
	return err == nil
}

func TestElsewhere_Relays(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		w, two, uri := relayed(t, newWorld)
		p, err := w.svc.BeginSignIn(w.ctx, w.two, creds("ada", goodPassword), client)
		if err != nil || p.Factor != auth.FactorConfirmed || p.QR != "" {
			t.Fatalf("got %+v, %v", p, err)
		}
		_, err = w.passport(p.Ticket, "")
		w.wantCode(err, auth.CodeFactorRequired)
		_, err = w.passport(p.Ticket, "000000")
		w.wantCode(err, auth.CodeFactorInvalid)
		g, err := w.passport(p.Ticket, two.old.code(uri))
		if err != nil || g.Bearer == "" || !slices.Contains(g.Session.AMR, "mfa") || two.codes != 2 {
			t.Fatalf("got %+v, %v, after %d codes", g, err, two.codes)
		}
		_, err = w.passport(p.Ticket, two.old.code(uri))
		w.wantCode(err, auth.CodeTokenInvalid)
		if state, err := w.svc.Factor(w.ctx, w.realm.ID, g.Account.ID); err != nil || state != auth.FactorElsewhere {
			t.Fatalf("got %v, %v", state, err)
		}
		// It is asked there each time, once the password is right here.
		two.old.advance(2 * time.Minute)
		_, err = w.svc.BeginSignIn(w.ctx, w.two, creds("ada", "wrong"), client)
		w.wantCode(err, auth.CodeBadCredentials)
		if two.questions() != 1 {
			t.Errorf("the other server was asked about a password that is wrong here")
		}
		if _, err = w.passport(w.ticket("ada"), two.old.code(uri)); err != nil || two.questions() != 2 {
			t.Errorf("the second login: %v, after %d questions", err, two.questions())
		}
		if got := w.details(audit.AccountAdopted); !slices.Equal(got, []string{"factor_elsewhere"}) {
			t.Errorf("the log has %q", got)
		}
	})
}

// A code that the legacy server refuses is a wrong one here: of its ticket, and of the factor's
// budget. One that it can't look at is not.
func TestElsewhere_WrongCodes(t *testing.T) {
	w, two, uri := relayed(t, newWorld, with(func(b *auth.Budgets) { b.Factor.Free = 7 }))
	ticket := w.ticket("ada")
	for range 5 {
		_, err := w.passport(ticket, "000000")
		w.wantCode(err, auth.CodeFactorInvalid)
	}
	_, err := w.passport(ticket, two.old.code(uri))
	w.wantCode(err, auth.CodeTokenInvalid)
	next := w.ticket("ada")
	two.away = true
	for range 9 {
		_, err = w.passport(next, "000000")
		w.wantCode(err, auth.CodeUnavailable)
	}
	two.away = false
	for range 2 {
		_, err = w.passport(next, "000000")
		w.wantCode(err, auth.CodeFactorInvalid)
	}
	_, err = w.passport(next, two.old.code(uri))
	w.wantCode(err, auth.CodeThrottled)
	if two.codes != 5+9+2 {
		t.Errorf("the legacy server saw %d codes", two.codes)
	}
}

// Whoever has a second factor at the legacy server has one at every dialect here.
func TestThreat19_FactorElsewhere(t *testing.T) {
	w, two, uri := relayed(t, newWorld)
	ticket := w.ticket("ada")
	a, err := w.svc.FindAccount(w.ctx, w.realm.ID, "ada")
	if err != nil {
		t.Fatal(err)
	}
	w.put(a, auth.SourceHash{Source: "two", Hash: w.record(a.ID, "").Passwords[0].Hash, Joined: true}) // good at one, too
	for _, appends := range []bool{false, true} {
		w.one.AppendCode = appends
		if w.passes(w.one, "ada", goodPassword) || w.passes(w.one, "ada", goodPassword+string(two.old.code(uri))) {
			t.Errorf("a login without its second factor (append: %v)", appends)
		}
	}
	if got := w.details(audit.FactorFailed); !slices.Contains(got, "factor_elsewhere") {
		t.Errorf("the log has %q", got)
	}
	// A ticket that was not given by the legacy server's word is nothing there.
	two.change = func(n *auth.Newcomer) { n.Factor, n.Ticket = false, "" }
	two.old.account("bob")
	bobs := w.ticket("bob")
	b, err := w.svc.FindAccount(w.ctx, w.realm.ID, "bob")
	if err != nil {
		t.Fatal(err)
	}
	w.tx(func(tx auth.Tx) error { return tx.SetElsewhere(w.ctx, w.realm.ID, b.ID, "two", false, w.clock()) })
	_, err = w.passport(bobs, "000000")
	w.wantCode(err, auth.CodeTokenInvalid)
	// Without that server, nobody gets past it.
	w.two.Elder = nil
	_, err = w.svc.BeginSignIn(w.ctx, w.two, creds("ada", goodPassword), client)
	w.wantCode(err, auth.CodeBadCredentials)
	_, err = w.passport(ticket, two.old.code(uri))
	w.wantCode(err, auth.CodeTokenInvalid)
}

// An operator's enrolment shows its QR code at the next login, and the first right code ends
// what the legacy server asks for; until then no other dialect lets the account in.
func TestElsewhere_Enrolled(t *testing.T) {
	w, two, theirs := relayed(t, newWorld)
	w.ticket("ada")
	a, err := w.svc.FindAccount(w.ctx, w.realm.ID, "ada")
	if err != nil {
		t.Fatal(err)
	}
	uri, err := w.svc.EnrollFactor(w.ctx, w.realm.ID, a.ID, client)
	if err != nil {
		t.Fatal(err)
	}
	w.put(a, auth.SourceHash{Source: "two", Hash: w.record(a.ID, "").Passwords[0].Hash, Joined: true})
	if w.passes(w.one, "ada", goodPassword) {
		t.Error("a login without a second factor, while one is enrolled")
	}
	asked := two.questions()
	p, err := w.svc.BeginSignIn(w.ctx, w.two, creds("ada", goodPassword), client)
	if err != nil || p.Factor != auth.FactorEnrolled || p.QR == "" || two.questions() != asked {
		t.Fatalf("got %+v, %v", p, err)
	}
	_, err = w.passport(p.Ticket, two.old.code(theirs))
	w.wantCode(err, auth.CodeFactorInvalid)
	if _, err = w.passport(p.Ticket, w.code(uri)); err != nil {
		t.Fatal(err)
	}
	if rec := w.record(a.ID, ""); rec.Elsewhere != "" {
		t.Errorf("got %+v", rec)
	}
	if state, _ := w.svc.Factor(w.ctx, w.realm.ID, a.ID); state != auth.FactorConfirmed {
		t.Errorf("the factor is %v", state)
	}
	w.advance(3 * time.Minute)
	if p, err = w.svc.BeginSignIn(w.ctx, w.two, creds("ada", goodPassword), client); err != nil || p.Factor != auth.FactorConfirmed || two.questions() != asked {
		t.Errorf("got %+v, %v", p, err)
	}
}

func TestElsewhere_Reset(t *testing.T) {
	w, two, _ := relayed(t, newWorld)
	w.ticket("ada")
	a, err := w.svc.FindAccount(w.ctx, w.realm.ID, "ada")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.svc.ResetFactor(w.ctx, w.realm.ID, a.ID, client); err != nil {
		t.Fatal(err)
	}
	asked := two.questions()
	p, err := w.svc.BeginSignIn(w.ctx, w.two, creds("ada", goodPassword), client)
	if err != nil || p.Factor != auth.FactorNone || two.questions() != asked {
		t.Errorf("got %+v, %v", p, err)
	}
	if err := w.svc.ResetFactor(w.ctx, w.realm.ID, a.ID, client); auth.CodeOf(err) != auth.CodeNotFound {
		t.Errorf("a second reset: %v", err)
	}
}

// A factor that was given up at the legacy server is none here, either.
func TestElsewhere_NoLongerAskedFor(t *testing.T) {
	w, two, _ := relayed(t, newWorld)
	w.ticket("ada")
	theirs, err := two.old.svc.FindAccount(w.ctx, two.old.realm.ID, "ada")
	if err != nil {
		t.Fatal(err)
	}
	if err := two.old.svc.ResetFactor(w.ctx, two.old.realm.ID, theirs.ID, client); err != nil {
		t.Fatal(err)
	}
	p, err := w.svc.BeginSignIn(w.ctx, w.two, creds("ada", goodPassword), client)
	if err != nil || p.Factor != auth.FactorNone {
		t.Fatalf("got %+v, %v", p, err)
	}
	if _, err := w.passport(p.Ticket, ""); err != nil {
		t.Fatal(err)
	}
	if got := w.details(audit.FactorReset); !slices.Equal(got, []string{"no_longer_asked_for"}) {
		t.Errorf("the log has %q", got)
	}
}

// A login by one legacy server does not drop the second factor that another one has begun to ask
// for meanwhile.
func TestElsewhere_TwoAtOnce(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		w, one, two := takenOver(t, newWorld)
		two.old.enroll(two.old.account("ada"))
		one.old = newWorld(t) // a server of its own, without a second factor
		one.mount = one.old.one
		one.old.account("ada")
		a := w.bare("ada")
		w.put(a, auth.SourceHash{Source: "one"})
		w.put(a, auth.SourceHash{Source: "two"})
		one.before = func() {
			one.before = nil
			w.ticket("ada")
		}
		_, err := w.svc.SignIn(w.ctx, w.one, creds("ada", goodPassword), client)
		w.wantCode(err, auth.CodeBadCredentials)
		if state, err := w.svc.Factor(w.ctx, w.realm.ID, a.ID); err != nil || state != auth.FactorElsewhere {
			t.Errorf("the factor is %v, %v", state, err)
		}
	})
}

// Whoever has just signed in with the second factor that a legacy server asks for can enrol
// one here. Somebody who has the password alone sees nothing of that.
func TestElsewhere_EnrolledByOneself(t *testing.T) {
	w, two, theirs := relayed(t, newWorld, with(func(b *auth.Budgets) { b.Factor.Free = 2 }))
	other := w.mustPassport(w.ticket("ada"), two.old.code(theirs))
	two.old.advance(time.Minute)
	g := w.mustPassport(w.ticket("ada"), two.old.code(theirs))
	enroll := func(g *auth.Grant) (string, error) {
		return w.svc.EnrollOwnFactor(w.ctx, w.realm.ID, auth.Presented{Token: string(g.Bearer)}, client)
	}
	confirm := func(code auth.Secret) error {
		return w.svc.ConfirmOwnFactor(w.ctx, w.realm.ID, auth.Presented{Token: string(g.Bearer)}, code, client)
	}
	w.wantCode(confirm("000000"), auth.CodeNotFound)
	w.advance(11 * time.Minute)
	_, err := enroll(g)
	w.wantCode(err, auth.CodeForbidden)
	w.advance(-11 * time.Minute)
	uri, err := enroll(g)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := enroll(g); err != nil || again != uri {
		t.Errorf("another one: %v", err)
	}
	asked := two.questions()
	p, err := w.svc.BeginSignIn(w.ctx, w.two, creds("ada", goodPassword), client)
	if err != nil || p.Factor != auth.FactorConfirmed || p.QR != "" || two.questions() != asked+1 {
		t.Errorf("a login meanwhile: %+v, %v", p, err)
	}
	_, err = w.passport(p.Ticket, w.code(uri)) // which the legacy server does not know
	w.wantCode(err, auth.CodeFactorInvalid)
	w.wantCode(confirm("000000"), auth.CodeFactorInvalid)
	w.wantCode(confirm(w.code(uri)), auth.CodeThrottled)
	if err := w.svc.Unlock(w.ctx, w.realm.ID, g.Account.ID, client); err != nil {
		t.Fatal(err)
	}
	if err := confirm(w.code(uri)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		g    *auth.Grant
		want auth.Code
	}{{g, ""}, {other, auth.CodeSessionEnded}} {
		_, err := w.svc.Identify(w.ctx, w.realm.ID, auth.Presented{Token: string(c.g.Bearer)})
		w.wantCode(err, c.want)
	}
	if rec := w.record(g.Account.ID, ""); rec.Elsewhere != "" || rec.Factor == nil || rec.Factor.ConfirmedAt.IsZero() {
		t.Errorf("got %+v", rec)
	}
	_, err = enroll(g)
	w.wantCode(err, auth.CodeConflict)
	// Nobody enrols by a login without a second factor.
	w.account("bob")
	_, err = enroll(w.mustPassport(w.ticket("bob"), ""))
	w.wantCode(err, auth.CodeForbidden)
}

// A password is not chosen here while a legacy server asks for the second factor, and one that
// was is not told to that server.
func TestElsewhere_NewPassword(t *testing.T) {
	const other = "violet herons borrow ladders"
	w, two, uri := relayed(t, newWorld)
	g := w.mustPassport(w.ticket("ada"), two.old.code(uri))
	id := g.Account.ID
	for _, err := range []error{
		w.svc.SetPassword(w.ctx, w.realm.ID, id, other, client),
		w.svc.ChangePassword(w.ctx, w.realm.ID, auth.Presented{Token: string(g.Bearer)}, goodPassword, other, client),
	} {
		w.wantCode(err, auth.CodeConflict)
		if !strings.Contains(err.Error(), "POST /ostiary/factor") || !strings.Contains(err.Error(), "ostiary mfa reset") {
			t.Errorf("does not say what to do: %v", err)
		}
	}
	two.old.advance(2 * time.Minute)
	w.mustPassport(w.ticket("ada"), two.old.code(uri)) // the old one is good still
	if err := w.svc.ResetFactor(w.ctx, w.realm.ID, id, client); err != nil {
		t.Fatal(err)
	}
	if err := w.svc.SetPassword(w.ctx, w.realm.ID, id, other, client); err != nil {
		t.Fatal(err)
	}
	w.tx(func(tx auth.Tx) error { return tx.SetElsewhere(w.ctx, w.realm.ID, id, "two", false, w.clock()) })
	asked := two.questions()
	_, err := w.svc.BeginSignIn(w.ctx, w.two, creds("ada", other), client)
	w.wantCode(err, auth.CodeBadCredentials)
	if got := w.details(audit.FactorFailed); len(got) == 0 || got[len(got)-1] != "factor_elsewhere" || two.questions() != asked {
		t.Errorf("after %d questions more, the log has %q", two.questions()-asked, got)
	}
}
