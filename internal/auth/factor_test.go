package auth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

func (w *world) passport(ticket, code auth.Secret) (*auth.Grant, error) {
	return w.svc.CompleteSignIn(w.ctx, w.two, ticket, code, client)
}

func (w *world) mustPassport(ticket, code auth.Secret) *auth.Grant {
	w.t.Helper()
	g, err := w.passport(ticket, code)
	if err != nil {
		w.t.Fatal(err)
	}
	return g
}

func TestPassport_WithoutFactor(t *testing.T) {
	w := newWorld(t)
	w.account("steve")
	ticket := w.ticket("steve")
	g := w.mustPassport(ticket, "")
	who, err := w.svc.Identify(w.ctx, w.realm.ID, auth.Presented{Token: string(g.Bearer)})
	if err != nil || who.Username != "steve" || who.Session != g.Session.ID {
		t.Fatalf("%+v, %v", who, err)
	}
	_, err = w.passport(ticket, "")
	w.wantCode(err, auth.CodeTokenInvalid)
}

func TestPassport_EnrolmentStaysTheSameUntilConfirmed(t *testing.T) {
	w := newWorld(t)
	a := w.account("steve")
	uri, err := w.svc.EnrollFactor(w.ctx, w.realm.ID, a.ID, client)
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.svc.EnrollFactor(w.ctx, w.realm.ID, a.ID, client)
	if err != nil || again != uri {
		t.Fatalf("a second enrolment gave %q, %v", again, err)
	}
	var qr string
	for range 2 {
		p, err := w.svc.BeginSignIn(w.ctx, w.two, creds("steve", goodPassword), client)
		if err != nil || p.Factor != auth.FactorEnrolled || p.QR == "" || qr != "" && p.QR != qr {
			t.Fatalf("%+v, %v", p.Factor, err)
		}
		qr = p.QR
	}
	old := w.signIn("steve") // until it is confirmed, as without a factor
	ticket := w.ticket("steve")
	_, err = w.passport(ticket, "")
	w.wantCode(err, auth.CodeFactorRequired)
	_, err = w.passport(ticket, "000000")
	w.wantCode(err, auth.CodeFactorInvalid)
	g := w.mustPassport(ticket, w.code(uri))
	if len(g.Session.AMR) != 3 {
		t.Errorf("amr %v", g.Session.AMR)
	}
	_, err = w.refresh(w.refreshToken(old))
	w.wantCode(err, auth.CodeTokenInvalid) // confirming ends the other sessions
	p, err := w.svc.BeginSignIn(w.ctx, w.two, creds("steve", goodPassword), client)
	if err != nil || p.Factor != auth.FactorConfirmed || p.QR != "" {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestPassport_EnrolmentIsWithdrawn(t *testing.T) {
	w := newWorld(t)
	a := w.account("steve")
	uri, err := w.svc.EnrollFactor(w.ctx, w.realm.ID, a.ID, client)
	if err != nil {
		t.Fatal(err)
	}
	w.advance(7*24*time.Hour - time.Minute)
	if _, err := w.passport(w.ticket("steve"), ""); auth.CodeOf(err) != auth.CodeFactorRequired {
		t.Fatalf("before 7 days: %v", err)
	}
	w.advance(time.Minute)
	w.mustPassport(w.ticket("steve"), "")
	next, err := w.svc.EnrollFactor(w.ctx, w.realm.ID, a.ID, client)
	if err != nil || next == uri {
		t.Errorf("the withdrawn secret came back: %v", err)
	}
}

func TestPassport_TicketLimits(t *testing.T) {
	w := newWorld(t)
	a := w.account("steve")
	uri := w.enroll(a)
	ticket := w.ticket("steve")
	for range 3 {
		_, err := w.passport(ticket, "") // no guess
		w.wantCode(err, auth.CodeFactorRequired)
	}
	for range 4 {
		_, err := w.passport(ticket, "000000")
		w.wantCode(err, auth.CodeFactorInvalid)
	}
	w.mustPassport(ticket, w.code(uri)) // a wrong code does not consume it

	w.advance(time.Minute)
	ticket = w.ticket("steve")
	for range 5 {
		_, err := w.passport(ticket, "000000")
		w.wantCode(err, auth.CodeFactorInvalid)
	}
	_, err := w.passport(ticket, w.code(uri)) // dead after the fifth
	w.wantCode(err, auth.CodeTokenInvalid)

	ticket = w.ticket("steve")
	w.advance(5 * time.Minute)
	_, err = w.passport(ticket, w.code(uri)) // good for 5 minutes
	w.wantCode(err, auth.CodeTokenInvalid)
}

func TestPassport_OneTicketInParallel(t *testing.T) {
	w := newWorld(t)
	w.account("steve")
	ticket := w.ticket("steve")
	if n := parallel(50, func() error { _, err := w.passport(ticket, ""); return err }); n != 1 {
		t.Errorf("one ticket passed %d times", n)
	}
}

func TestThreat14_TOTPReplay(t *testing.T) {
	w := newWorld(t)
	a := w.account("steve")
	uri := w.enroll(a)
	code := w.code(uri)
	tickets := make(chan auth.Secret, 50)
	for range cap(tickets) {
		tickets <- w.ticket("steve")
	}
	if n := parallel(50, func() error { _, err := w.passport(<-tickets, code); return err }); n != 1 {
		t.Fatalf("one code passed %d times", n)
	}
	_, err := w.passport(w.ticket("steve"), code)
	w.wantCode(err, auth.CodeFactorInvalid)
	appending := *w.one
	appending.AppendCode = true
	for _, pass := range []string{goodPassword + string(code), string(code[1:])} { // spent, and too short for a code
		_, err = w.svc.SignIn(w.ctx, &appending, creds("steve", pass), client)
		w.wantCode(err, auth.CodeBadCredentials)
	}
	w.advance(30 * time.Second)
	if _, err := w.svc.SignIn(w.ctx, &appending, creds("steve", goodPassword+string(w.code(uri))), client); err != nil {
		t.Errorf("a fresh code: %v", err)
	}
}

func TestThreat18_RecoveryCodeRace(t *testing.T) {
	w := newWorld(t)
	a := w.account("steve")
	uri := w.enroll(a)
	codes, err := w.svc.NewRecoveryCodes(w.ctx, w.realm.ID, a.ID, client)
	if err != nil || len(codes) != 10 {
		t.Fatal(codes, err)
	}
	tickets := make(chan auth.Secret, 50)
	for range cap(tickets) {
		tickets <- w.ticket("steve")
	}
	if n := parallel(50, func() error { _, err := w.passport(<-tickets, auth.Secret(codes[0])); return err }); n != 1 {
		t.Errorf("one recovery code passed %d times", n)
	}
	// A ticket with two right proofs at once still opens one session.
	ticket := w.ticket("steve")
	proofs := make(chan auth.Secret, 2)
	proofs <- auth.Secret(codes[1])
	proofs <- w.code(uri)
	if n := parallel(2, func() error { _, err := w.passport(ticket, <-proofs); return err }); n != 1 {
		t.Errorf("one ticket passed %d times", n)
	}
	if _, err := w.svc.NewRecoveryCodes(w.ctx, w.realm.ID, a.ID, client); err != nil {
		t.Fatal(err)
	}
	_, err = w.passport(w.ticket("steve"), auth.Secret(codes[5])) // old ones die
	w.wantCode(err, auth.CodeFactorInvalid)
	appending := *w.one
	appending.AppendCode = true
	_, err = w.svc.SignIn(w.ctx, &appending, creds("steve", goodPassword+codes[5]), client)
	w.wantCode(err, auth.CodeBadCredentials)
}

func TestSignIn_ConfirmedFactorNeedsAppend(t *testing.T) {
	w := newWorld(t)
	a := w.account("steve")
	uri := w.enroll(a)
	code := string(w.code(uri))
	_, err := w.svc.SignIn(w.ctx, w.one, creds("steve", goodPassword), client)
	w.wantCode(err, auth.CodeBadCredentials)
	_, err = w.svc.SignIn(w.ctx, w.one, creds("steve", goodPassword+code), client)
	w.wantCode(err, auth.CodeBadCredentials)
	appending := *w.one
	appending.AppendCode = true
	for _, wrong := range []string{"", "000000", " " + code, code[:5], "wrong" + code} {
		_, err = w.svc.SignIn(w.ctx, &appending, creds("steve", goodPassword+wrong), client)
		w.wantCode(err, auth.CodeBadCredentials)
	}
	_, err = w.svc.SignIn(w.ctx, &appending, creds("steve", "wrong password"+code), client)
	w.wantCode(err, auth.CodeBadCredentials)
	if _, err = w.svc.SignIn(w.ctx, &appending, creds("steve", goodPassword+code), client); err != nil {
		t.Errorf("a wrong password consumed the code: %v", err)
	}
	if got := w.events(audit.FactorFailed); len(got) == 0 {
		t.Error("nothing in the audit log")
	}
}

// The longest name that there can be does not keep anybody from enrolling.
func TestEnrolment_LongName(t *testing.T) {
	w := newWorld(t)
	a, _, err := w.svc.CreateAccount(w.ctx, w.realm.ID, auth.NewAccount{Username: strings.Repeat("𠀀", 255), Password: goodPassword}, client)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.svc.EnrollFactor(w.ctx, w.realm.ID, a.ID, client); err != nil {
		t.Fatal(err)
	}
	p, err := w.svc.BeginSignIn(w.ctx, w.two, creds(a.Username, goodPassword), client)
	if err != nil || !strings.HasPrefix(p.QR, "<svg") {
		t.Errorf("no QR code: %v", err)
	}
}

// Where the code has a step of its own, nothing is cut off the password, whatever the mount says.
func TestBeginSignIn_NoAppendedCode(t *testing.T) {
	w := newWorld(t)
	a := w.account("steve")
	uri := w.enroll(a)
	appending := *w.two
	appending.AppendCode = true
	if _, err := w.svc.BeginSignIn(w.ctx, &appending, creds("steve", goodPassword), client); err != nil {
		t.Errorf("the password alone: %v", err)
	}
	_, err := w.svc.BeginSignIn(w.ctx, &appending, creds("steve", goodPassword+string(w.code(uri))), client)
	w.wantCode(err, auth.CodeBadCredentials)
}

func TestFactor_ResetAndBudget(t *testing.T) {
	w := newWorld(t, withBudgets)
	a := w.account("steve")
	uri := w.enroll(a)
	var ticket auth.Secret
	for i := range 10 {
		if i%5 == 0 {
			ticket = w.ticket("steve")
		}
		_, err := w.passport(ticket, "000000")
		w.wantCode(err, auth.CodeFactorInvalid)
	}
	ticket = w.ticket("steve")
	_, err := w.passport(ticket, w.code(uri)) // across tickets
	w.wantCode(err, auth.CodeThrottled)
	w.advance(2 * time.Second)
	g := w.mustPassport(ticket, w.code(uri))

	ticket = w.ticket("steve")
	if err := w.svc.ResetFactor(w.ctx, w.realm.ID, a.ID, client); err != nil {
		t.Fatal(err)
	}
	_, err = w.svc.Identify(w.ctx, w.realm.ID, auth.Presented{Token: string(g.Bearer)})
	w.wantCode(err, auth.CodeSessionEnded)
	_, err = w.passport(ticket, "") // a ticket of before the reset is void
	w.wantCode(err, auth.CodeTokenInvalid)
	w.signIn("steve")
}

func TestThreat21_ResetPasswordKeepsFactor(t *testing.T) {
	w := newWorld(t)
	a := w.account("steve")
	w.enroll(a)
	if err := w.svc.SetPassword(w.ctx, w.realm.ID, a.ID, "another password", client); err != nil {
		t.Fatal(err)
	}
	p, err := w.svc.BeginSignIn(w.ctx, w.two, creds("steve", "another password"), client)
	if err != nil || p.Factor != auth.FactorConfirmed {
		t.Fatalf("%+v, %v", p, err)
	}
	_, err = w.passport(p.Ticket, "")
	w.wantCode(err, auth.CodeFactorRequired)
}

func TestPassport_AccountChangedMeanwhile(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(auth.Account) error{
		"disabled": func(a auth.Account) error { return w.svc.SetDisabled(w.ctx, w.realm.ID, a.ID, true, client) },
		"reset": func(a auth.Account) error {
			return w.svc.SetPassword(w.ctx, w.realm.ID, a.ID, "another password", client)
		},
		"deleted": func(a auth.Account) error { return w.svc.DeleteAccount(w.ctx, w.realm.ID, a.ID, client) },
	} {
		t.Run(name, func(t *testing.T) {
			a := w.account("user-" + name)
			ticket := w.ticket(a.Username)
			if err := change(a); err != nil {
				t.Fatal(err)
			}
			_, err := w.passport(ticket, "")
			w.wantCode(err, auth.CodeTokenInvalid)
		})
	}
}

func TestPassport_NobodysTicketIsNotAudited(t *testing.T) {
	w := newWorld(t)
	for _, ticket := range []auth.Secret{"", "garbage", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="} {
		for _, code := range []auth.Secret{"", "123456"} {
			_, err := w.passport(ticket, code)
			w.wantCode(err, auth.CodeTokenInvalid)
		}
	}
	if got := w.events(audit.SignInFailed); len(got) != 0 {
		t.Errorf("%d entries that anybody can make", len(got))
	}
}
