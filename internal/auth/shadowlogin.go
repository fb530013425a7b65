package auth

import (
	"cmp"
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/token"
	"github.com/ostiary/ostiary/internal/trace"
)

const legacyRefused = "legacy_refused"

// inShadow is a login that the Elder of a shadowed mount has let in.
type inShadow struct {
	request Shadowed
	own     string // why this server would not have, on its own; "": it would have
	alone   string // why it does not, for all that the Elder says; "": it does
	refused bool   // alone is about what the Elder says
}

// askShadowed has the Elder answer a login whose guess is reserved. own is what this server
// has found of the password. It returns why the login is refused, if the Elder refuses it;
// one that it lets in goes on, as far as this server can follow.
func (s *Service) askShadowed(ctx context.Context, a attempt, m *Mount, got *checked, x Shadowed, own string, c Credentials) (reason string, err error) {
	sending, err := x.Sending(ctx, Sent{Name: c.Name, Password: c.Password})
	if err != nil {
		return "", err
	}
	span := trace.Start(ctx, "ask the legacy server")
	n, err := m.Elder.SignIn(sending, c, a.client)
	span.End()
	switch {
	case CodeOf(err) == CodeBadCredentials:
		x.Judged(legacyRefused, own)
		return legacyRefused, nil
	case err != nil:
		got.guess.undone = true
		return "", elderAway(err)
	}
	Use(ctx, UsedRelayed)
	got.shadow = &inShadow{request: x, own: own}
	if err := s.heard(m, got, n, c.Name); err != nil {
		got.news, got.shadow.alone, got.shadow.refused = n, err.Error(), true
		return "", nil
	}
	return "", s.learn(ctx, m, got, c)
}

// learn has the password hashed that the Elder has found right and this server has not, if it
// is one to keep: of an account that is not here yet, or has one of this dialect. What a
// reset has removed stays removed.
func (s *Service) learn(ctx context.Context, m *Mount, got *checked, c Credentials) error {
	sh := got.shadow
	switch {
	case sh.own == "":
		got.learnt = ""
	case got.keys == nil && !got.rec.sourceOf(m.Dialect).learns():
		sh.alone, got.learnt = sh.own, ""
	case got.learnt == "":
		return s.hashLearnt(ctx, got, c.Password)
	}
	return nil
}

// sourceOf is the password of a source; the zero one if there is none.
func (r *AccountRecord) sourceOf(d Dialect) (none SourceHash) {
	for _, p := range r.Passwords {
		if p.Source == d {
			return p
		}
	}
	return none
}

// learns tells whether an Elder may say what the password is. Of one that is joined it may not:
// the account goes by names that may be another person's there.
func (p SourceHash) learns() bool { return p.Source != "" && !p.Joined }

// signInShadowed completes a login in one step that the Elder has let in.
func (s *Service) signInShadowed(ctx context.Context, m *Mount, got *checked, cl Client) (g *Grant, err error) {
	sh := got.shadow
	factor := sh.alone == "" && !s.without(&got.rec)
	if factor {
		if sh.alone, err = s.mayTryCode(ctx, m, got); err != nil {
			return nil, storeError(err)
		}
	}
	if sh.alone != "" {
		return nil, s.aloneThere(ctx, m, got, cl)
	}
	g, err = s.storeLogin(ctx, m, got, factor, cl)
	if err := s.followed(ctx, m, got, err, cl); err != nil {
		return nil, err
	}
	s.rehash(ctx, m, got, cl)
	return g, nil
}

// followed is what becomes of a login that the Elder has let in, after the transaction that
// was to do so here.
func (s *Service) followed(ctx context.Context, m *Mount, got *checked, err error, cl Client) error {
	sh := got.shadow
	refused, isRefused := errors.AsType[refusedAdoption](err)
	switch {
	case err == nil:
		if sh.own != "" {
			sh.request.Learned(sh.own)
		}
		return nil
	case isRefused:
		sh.alone, sh.refused = string(refused), true
	case errors.Is(err, errWrongCode), errors.Is(err, errChanged):
		sh.alone = err.Error()
	case errors.Is(err, ErrConflict), errors.Is(err, ErrNotFound):
		return errOvertaken
	default:
		return storeError(err)
	}
	return s.aloneThere(ctx, m, got, cl)
}

// aloneThere records that the Elder has let in whom this server does not: the client has that
// server's answer, and no session here.
func (s *Service) aloneThere(ctx context.Context, m *Mount, got *checked, cl Client) error {
	sh := got.shadow
	kind := audit.LegacySignedIn
	if sh.refused {
		kind = audit.AdoptionRefused
	}
	e := s.event(m.RealmID, kind, got.account(), cl)
	e.Dialect, e.Detail = string(m.Dialect), sh.alone
	if err := got.guess.inTx(ctx, func(tx Tx) error { return tx.InsertEvent(ctx, e) }); err != nil {
		return storeError(err)
	}
	sh.request.Judged("", cmp.Or(sh.own, sh.alone))
	return &Error{Code: CodeBadCredentials, Cause: reason(sh.alone)}
}

// nobodysVersion is of a ticket that opens no session here: no account has it.
const nobodysVersion = -1

// beginShadowed stores the ticket that the Elder gave for a right password as if it were of
// ours, so that the budget of the second factor and the audit log hold at the next step.
func (s *Service) beginShadowed(ctx context.Context, m *Mount, got *checked, c Credentials, cl Client) (*Pending, error) {
	sh, given := got.shadow, got.news.Ticket
	sum, ok := token.HashForeign(string(given))
	if !ok {
		return nil, &Error{Code: CodeUnavailable, Cause: errors.New("the ticket of the legacy server is no word of ASCII")}
	}
	cl.token = audit.TagOf(sum)
	t := s.newTicket(m, got, sum)
	if sh.alone == "" {
		err := s.storeTicket(ctx, m, got, t, given, cl)
		if err = s.followed(ctx, m, got, err, cl); err == nil {
			s.rehash(ctx, m, got, cl)
			return s.pendingThere(got, given), nil
		}
		if sh.alone == "" || CodeOf(err) != CodeBadCredentials {
			return nil, err
		}
	} else if err := s.aloneThere(ctx, m, got, cl); CodeOf(err) != CodeBadCredentials {
		return nil, err
	}
	if t.Version = nobodysVersion; got.account() == uuid.Nil || got.rec.strangerAt(m.Dialect) {
		t.AccountID = s.unknownName(nameOrRaw(c.Name))
	}
	if err := s.change(ctx, func(tx Tx) error { return s.keepTicket(ctx, tx, t, given) }); err != nil {
		return nil, err
	}
	return nil, &Error{Code: CodeBadCredentials, Cause: reason(sh.alone)}
}

// pendingThere is what this server would have answered to a first step.
func (s *Service) pendingThere(got *checked, ticket Secret) *Pending {
	p := &Pending{Ticket: ticket, Factor: s.factorOf(&got.rec)}
	if p.Factor == FactorElsewhere {
		p.Factor = FactorConfirmed // there
	}
	return p
}
