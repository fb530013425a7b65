package auth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/token"
	"github.com/ostiary/ostiary/internal/totp"
)

const (
	ticketTTL      = 5 * time.Minute
	ticketAttempts = 5 // wrong codes, after which a ticket is dead
)

// Why a transaction of a login was given up; the cause that the audit log gets.
var (
	errWrongCode   error = reason("wrong_code")
	errMissingCode error = reason("missing_code")
	errChanged     error = reason("account_changed_meanwhile")
	errNoTicket    error = reason("no_such_ticket")
	errDeadTicket  error = reason("ticket_over") // spent, expired, or tried too often
)

// SignIn completes a login in one step, for the dialects that have no step for a
// second factor. An account with a confirmed one gets in only if the mount takes the
// code appended to the password; every refusal is CodeBadCredentials.
func (s *Service) SignIn(ctx context.Context, m *Mount, c Credentials, cl Client) (*Grant, error) {
	g, err := overtaken(func() (*Grant, error) { return s.signIn(ctx, m, c, cl) })
	s.observer.Login(m.Dialect, outcome(OutcomeSignedIn, err))
	use(ctx, UsedSignedIn, err)
	return g, err
}

func (s *Service) signIn(ctx context.Context, m *Mount, c Credentials, cl Client) (*Grant, error) {
	a := attempt{realm: m.RealmID, dialect: m.Dialect, client: cl, elder: m.Elder}
	got, err := s.check(ctx, a, m, c)
	if err != nil {
		return nil, err
	}
	defer got.guess.leave()
	return s.passed(ctx, m, a, got, c)
}

// passed is what comes after the password was right. It is a function of its own so that its variables are not
// on the stack of those who wait for a hash: with them, each connection's stack is twice as large.
func (s *Service) passed(ctx context.Context, m *Mount, a attempt, got *checked, c Credentials) (*Grant, error) {
	ctx, cancel := unhurried(ctx)
	defer cancel()
	cl := a.client
	if got.shadow != nil {
		return s.signInShadowed(ctx, m, got, cl)
	}
	factor := !s.without(&got.rec)
	if factor {
		reason, err := s.mayTryCode(ctx, m, got)
		if err != nil {
			return nil, storeError(err)
		}
		if reason != "" {
			return nil, s.fail(ctx, a, got, audit.FactorFailed, reason)
		}
	}
	cl.token = got.secret
	g, err := s.storeLogin(ctx, m, got, factor, cl)
	switch {
	case errors.Is(err, errWrongCode):
		return nil, s.fail(ctx, a, got, audit.FactorFailed, err.Error())
	case errors.Is(err, errChanged):
		return nil, errOvertaken // by a merge, perhaps, that the password outlives: what is right is decided anew
	}
	if err != nil {
		return nil, storeError(cmp.Or(s.notAdopted(ctx, a, got, err), err))
	}
	s.loginStored(ctx, m, got, c, cl)
	return g, nil
}

// mayTryCode reserves a guess at the second factor, and says why it can't be made.
func (s *Service) mayTryCode(ctx context.Context, m *Mount, got *checked) (reason string, err error) {
	switch {
	case s.factorOf(&got.rec) != FactorConfirmed:
		return errElsewhere.Error(), nil
	case !m.AppendCode:
		return "factor_required", nil
	case got.code == "":
		return errMissingCode.Error(), nil
	}
	err = got.guess.reserve(ctx, got.guess.factor())
	if CodeOf(err) == CodeThrottled {
		return "factor_budget_spent", nil // the same answer as a wrong password
	}
	return "", err
}

// BeginSignIn checks name and password, and issues a ticket for CompleteSignIn.
func (s *Service) BeginSignIn(ctx context.Context, m *Mount, c Credentials, cl Client) (*Pending, error) {
	p, err := overtaken(func() (*Pending, error) { return s.beginSignIn(ctx, m, c, cl) })
	s.observer.Login(m.Dialect, outcome(OutcomePassed, err))
	use(ctx, UsedPassed, err)
	return p, err
}

func (s *Service) beginSignIn(ctx context.Context, m *Mount, c Credentials, cl Client) (*Pending, error) {
	a := attempt{realm: m.RealmID, dialect: m.Dialect, client: cl, elder: m.Elder, codeLater: true}
	got, err := s.check(ctx, a, m, c)
	if err != nil {
		return nil, err
	}
	defer got.guess.leave()
	return s.issueTicket(ctx, m, a, got, c)
}

// issueTicket is what passed is, for a login in two steps.
func (s *Service) issueTicket(ctx context.Context, m *Mount, a attempt, got *checked, c Credentials) (*Pending, error) {
	ctx, cancel := unhurried(ctx)
	defer cancel()
	cl := a.client
	if got.shadow != nil {
		return s.beginShadowed(ctx, m, got, c, cl)
	}
	p := &Pending{Factor: s.factorOf(&got.rec)}
	var there Secret // the ticket of whose server asks for the code
	if p.Factor == FactorElsewhere {
		if got.news == nil {
			return nil, s.fail(ctx, a, got, audit.FactorFailed, errElsewhere.Error())
		}
		p.Factor, there = FactorConfirmed, got.news.Ticket
	}
	if p.Factor == FactorEnrolled {
		uri, err := s.factorURI(got.rec)
		if err != nil {
			return nil, err
		}
		if p.QR, err = totp.SVG(uri); err != nil {
			return nil, AsError(err)
		}
	}
	ticket, hash := token.NewOpaque()
	p.Ticket = Secret(ticket)
	cl.token = audit.TagOf(hash)
	err := s.storeTicket(ctx, m, got, s.newTicket(m, got, hash), there, cl)
	if err != nil {
		return nil, storeError(cmp.Or(s.notAdopted(ctx, a, got, err), err))
	}
	s.loginStored(ctx, m, got, c, cl)
	return p, nil
}

// CompleteSignIn redeems a ticket, with a code if the account has a second factor, and
// opens a session with an opaque token. The first right code confirms an enrolment.
// CodeTokenInvalid for a ticket that is not good, CodeFactorRequired without a code,
// CodeFactorInvalid with a wrong one; the ticket stays good until its fifth wrong code.
func (s *Service) CompleteSignIn(ctx context.Context, m *Mount, ticket, code Secret, cl Client) (*Grant, error) {
	whole, cancel := unhurried(ctx)
	defer cancel()
	g, err := overtaken(func() (*Grant, error) { return s.completeSignIn(whole, m, ticket, code, cl) })
	s.observer.Login(m.Dialect, outcome(OutcomeSignedIn, err))
	use(ctx, UsedSignedIn, err)
	return g, err
}

func (s *Service) completeSignIn(ctx context.Context, m *Mount, ticket, code Secret, cl Client) (*Grant, error) {
	if g, theirs, err := s.completeShadowed(ctx, m, ticket, code, cl); theirs {
		return g, err
	}
	hash, ok := ticketHash(m, ticket)
	if !ok {
		return nil, s.refuse(ctx, m, uuid.Nil, errNoTicket, cl)
	}
	cl.token, cl.dialect = audit.TagOf(hash), m.Dialect
	hash = ticketKey(m, hash)
	owner, known, err := s.ticketOwner(ctx, m, hash, cl)
	if err != nil {
		return nil, s.refuse(ctx, m, uuid.Nil, err, cl)
	}
	if err := s.notWalled(ctx, m.RealmID, owner, known, cl); err != nil {
		return nil, storeError(err)
	}
	relay, err := s.relay(ctx, m, hash)
	if err != nil {
		return nil, storeError(err)
	}
	g := &guess{svc: s, attempt: attempt{realm: m.RealmID, dialect: m.Dialect, client: cl}, account: owner}
	defer g.leave()
	if code != "" {
		if err := g.reserve(ctx, append(g.source(), g.factor())...); err != nil {
			return nil, storeError(err)
		}
	}
	if relay != "" && code != "" {
		return s.completeElsewhere(ctx, m, g, hash, relay, code, cl)
	}
	var grant *Grant
	var refused error
	err = g.inTx(ctx, func(tx Tx) error {
		grant, refused = nil, nil
		t, rec, err := tx.TryTicketIn(ctx, m.RealmID, m.Dialect, hash, ticketAttempts, s.now())
		if errors.Is(err, ErrNotFound) {
			return errDeadTicket
		}
		if err != nil {
			return err
		}
		grant, refused, err = s.redeem(ctx, tx, m, t, rec, string(code), cl)
		if err != nil || refused == nil {
			return err
		}
		if err := tx.InsertEvent(ctx, s.redemptionFailed(m, owner, refused, cl)); err != nil {
			return err
		}
		if errors.Is(refused, errWrongCode) {
			return g.charge(ctx, tx)
		}
		return tx.ForgiveTicket(ctx, hash)
	})
	switch {
	case err != nil:
		return nil, s.notRedeemed(ctx, m, g, err, cl)
	case refused != nil:
		return nil, refusal(refused)
	}
	return grant, nil
}

// ticketHash is the hash of a ticket. Where a legacy server has answered before,
// tickets may be its own.
func ticketHash(m *Mount, ticket Secret) ([32]byte, bool) {
	if m.Elder != nil {
		return token.HashForeign(string(ticket))
	}
	return token.HashOpaque(string(ticket))
}

// ticketKey is what a ticket is stored under: a password that is right in one dialect may not be in another.
func ticketKey(m *Mount, hash [32]byte) [32]byte {
	return sha256.Sum256(append(hash[:], m.Dialect...))
}

// redeem tries the code of a live ticket. refused is errWrongCode or errMissingCode.
func (s *Service) redeem(ctx context.Context, tx Tx, m *Mount, t Ticket, rec AccountRecord, code string, cl Client) (_ *Grant, refused, err error) {
	if rec.Version != t.Version {
		return nil, nil, errChanged
	}
	amr := []string{"pwd"}
	state := s.factorOf(&rec)
	if state != FactorNone {
		if code == "" {
			return nil, errMissingCode, nil
		}
		if state == FactorElsewhere {
			return nil, nil, errElsewhere // this ticket was not given for that server's
		}
		how, err := s.useCode(ctx, tx, rec, code, true)
		if err != nil {
			return nil, nil, err
		}
		if how == "" {
			return nil, errWrongCode, nil
		}
		amr = amrOf(how)
		if err := s.codePassed(ctx, tx, &rec, state, how, cl); err != nil {
			return nil, nil, err
		}
	}
	spent, err := tx.SpendTicket(ctx, t.Hash, s.now())
	if err != nil {
		return nil, nil, err
	}
	if !spent {
		return nil, nil, errDeadTicket
	}
	bearer, hash := token.NewOpaque()
	g, err := s.openSession(ctx, tx, m, rec, amr, hash[:], cl)
	if err != nil {
		return nil, nil, err
	}
	g.Bearer = Secret(bearer)
	return g, nil, nil
}

// codePassed stores what a right code changes besides being spent.
func (s *Service) codePassed(ctx context.Context, tx Tx, rec *AccountRecord, state FactorState, how string, cl Client) error {
	if how == "recovery" {
		return tx.InsertEvent(ctx, s.event(rec.RealmID, audit.RecoveryUsed, rec.ID, cl))
	}
	if state == FactorEnrolled {
		return s.confirmed(ctx, tx, rec, uuid.Nil, cl)
	}
	return nil
}

// ticketOwner finds whose ticket it is, before anything is made of it, and whether the client's source has signed that
// account in before.
func (s *Service) ticketOwner(ctx context.Context, m *Mount, hash [32]byte, cl Client) (account uuid.UUID, known bool, err error) {
	account, known, err = s.store.TicketFrom(ctx, m.RealmID, hash, sourceOf(cl.Address), s.knownSince())
	if errors.Is(err, ErrNotFound) {
		err = errNoTicket
	}
	return account, known, err
}

// refuse records a redemption that failed and maps the cause to its code. A ticket that
// is nobody's is no entry: anybody could fill the disk with those.
func (s *Service) refuse(ctx context.Context, m *Mount, account uuid.UUID, cause error, cl Client) error {
	if account != uuid.Nil {
		e := s.redemptionFailed(m, account, cause, cl)
		if err := s.noteOnce(ctx, cl.token, e); err != nil {
			return err
		}
	}
	return refusal(cause)
}

func (s *Service) redemptionFailed(m *Mount, account uuid.UUID, cause error, cl Client) audit.Event {
	e := s.event(m.RealmID, audit.FactorFailed, account, cl)
	if CodeOf(refusal(cause)) == CodeTokenInvalid {
		e.Kind = audit.SignInFailed
	}
	e.Dialect, e.Detail = string(m.Dialect), cause.Error()
	return e
}

// refusal is what the client learns of a redemption that failed.
func refusal(cause error) error {
	switch {
	case errors.Is(cause, errMissingCode):
		return &Error{Code: CodeFactorRequired, Cause: cause}
	case errors.Is(cause, errWrongCode):
		return &Error{Code: CodeFactorInvalid, Cause: cause}
	case errors.Is(cause, errNoTicket), ticketOver(cause):
		return &Error{Code: CodeTokenInvalid, Cause: cause}
	}
	return storeError(cause)
}
