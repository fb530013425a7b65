package auth

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"math"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/token"
	"github.com/ostiary/ostiary/internal/totp"
)

// completeShadowed redeems a ticket that the Elder issued: it is asked, under the budgets of
// whoever the ticket was issued to, and if it lets the login in, a session is opened here, too,
// for an account that could have one by the code. ok is false if the ticket is ours.
func (s *Service) completeShadowed(ctx context.Context, m *Mount, ticket, code Secret, cl Client) (g *Grant, ok bool, err error) {
	x := m.shadow(ctx)
	if x == nil {
		return nil, false, nil
	}
	hash, isTicket := token.HashForeign(string(ticket))
	if !isTicket {
		x.Own()
		return nil, false, nil
	}
	cl.token, cl.dialect = audit.TagOf(hash), m.Dialect
	hash = ticketKey(m, hash)
	owner, known, err := s.ticketOwner(ctx, m, hash, cl)
	if errors.Is(err, errNoTicket) { // nobody was given it through this server
		owner, err = s.unknownName("ticket "+hex.EncodeToString(hash[:])), nil
	} else if err == nil {
		var relay Secret
		if relay, err = s.relay(ctx, m, hash); err == nil && relay != ticket {
			x.Own()
			return nil, false, nil
		}
	}
	if err != nil {
		return nil, true, storeError(err)
	}
	g, err = s.redeemShadowed(ctx, m, x, relayed{ticket, hash, code, owner, known}, cl)
	return g, true, err
}

// errAlone gives a transaction up that would let in whom this server does not: it says why.
type errAlone string

func (e errAlone) Error() string { return string(e) }

// relayed is a ticket of the Elder's, as it is presented.
type relayed struct {
	text  Secret
	hash  [32]byte
	code  Secret
	owner uuid.UUID
	known bool // the client's source, to the owner
}

func (s *Service) redeemShadowed(ctx context.Context, m *Mount, x Shadowed, t relayed, cl Client) (*Grant, error) {
	asking, err := x.Sending(ctx, Sent{Token: t.text, Code: t.code})
	if err != nil {
		return nil, err
	}
	if err := s.notWalled(ctx, m.RealmID, t.owner, t.known, cl); err != nil {
		return nil, storeError(err)
	}
	rec, err := s.store.AccountByID(ctx, m.RealmID, t.owner, m.Dialect)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, storeError(err)
	}
	if rec.Disabled {
		return nil, s.refuse(ctx, m, rec.ID, errDeadTicket, cl)
	}
	guess := &guess{svc: s, attempt: attempt{realm: m.RealmID, dialect: m.Dialect, client: cl}, account: t.owner}
	defer guess.leave()
	if t.code != "" {
		if err := guess.reserve(ctx, append(guess.source(), guess.factor())...); err != nil {
			return nil, storeError(err)
		}
	}
	tokens, err := m.Elder.Complete(asking, t.text, t.code, cl)
	switch CodeOf(err) {
	case "":
		Use(ctx, UsedRelayed)
		return s.followTicket(ctx, m, x, guess, t, tokens, cl)
	case CodeFactorInvalid:
		return nil, s.ticketRefused(ctx, m, x, guess, t, rec, cl)
	}
	guess.undone = true
	return nil, elderAway(err)
}

// ticketRefused records that the Elder has refused a ticket, or its code: a guess, if there
// was one.
func (s *Service) ticketRefused(ctx context.Context, m *Mount, x Shadowed, guess *guess, t relayed, rec AccountRecord, cl Client) error {
	e := s.event(m.RealmID, audit.FactorFailed, rec.ID, cl)
	e.Detail = legacyRefused
	own := s.codeLacking(rec, t.code)
	err := guess.inTx(ctx, func(tx Tx) error {
		switch known, err := tx.TryTicket(ctx, m.RealmID, t.hash, math.MaxInt32, s.now()); {
		case errors.Is(err, ErrNotFound) || err == nil && known.Version != rec.Version:
			own = errDeadTicket.Error()
		case err != nil:
			return err
		}
		if t.code == "" {
			return nil
		}
		if err := tx.InsertEvent(ctx, e); err != nil {
			return err
		}
		return guess.charge(ctx, tx)
	})
	if err != nil {
		return storeError(err)
	}
	x.Judged(legacyRefused, own)
	return &Error{Code: CodeFactorInvalid, Cause: reason(legacyRefused)}
}

// codeLacking is why a code would be refused here, or "". Nothing is spent.
func (s *Service) codeLacking(rec AccountRecord, code Secret) string {
	if s.factorState(rec.Factor) != FactorConfirmed {
		return ""
	}
	if code == "" {
		return errMissingCode.Error()
	}
	secret, err := s.master.Open(rec.Factor.Secret, factorRow(rec.ID))
	if err != nil {
		return errWrongCode.Error()
	}
	if step, ok := totp.Match(secret, string(code), s.now(), factorSkew); ok && step > rec.Factor.LastStep {
		return ""
	}
	return errWrongCode.Error()
}

// followTicket opens the session of a ticket that the Elder has redeemed. Without one here,
// its client has the Elder's answer alone.
func (s *Service) followTicket(ctx context.Context, m *Mount, x Shadowed, guess *guess, t relayed, tokens []ForeignToken, cl Client) (g *Grant, err error) {
	var rec AccountRecord
	err = guess.inTx(ctx, func(tx Tx) error {
		g = nil
		known, err := tx.TryTicket(ctx, m.RealmID, t.hash, math.MaxInt32, s.now())
		if errors.Is(err, ErrNotFound) {
			return errAlone(errNoTicket.Error())
		}
		if err != nil {
			return err
		}
		rec, err = tx.AccountByID(ctx, m.RealmID, known.AccountID, m.Dialect)
		if errors.Is(err, ErrNotFound) || err == nil && rec.Version != known.Version {
			return errAlone(errChanged.Error())
		}
		if err != nil {
			return err
		}
		g, err = s.openShadowed(ctx, tx, m, rec, t, tokens, cl)
		return err
	})
	alone, isAlone := errors.AsType[errAlone](err)
	if !isAlone && !errors.Is(err, errChanged) {
		if err == nil {
			x.Judged("", "")
		}
		return g, storeError(err)
	}
	why := cmp.Or(string(alone), errChanged.Error())
	x.Judged("", why)
	e := s.event(m.RealmID, audit.LegacySignedIn, rec.ID, cl)
	e.Detail = why
	err = guess.inTx(ctx, func(tx Tx) error { return tx.InsertEvent(ctx, e) })
	return nil, cmp.Or(storeError(err), error(&Error{Code: CodeFactorInvalid, Cause: reason(why)}))
}

// openShadowed opens the session of an account whose login the Elder has completed. A second
// factor that is confirmed here has to be shown here, too.
func (s *Service) openShadowed(ctx context.Context, tx Tx, m *Mount, rec AccountRecord, t relayed, tokens []ForeignToken, cl Client) (*Grant, error) {
	amr := []string{"pwd"}
	switch {
	case s.factorState(rec.Factor) == FactorConfirmed:
		if t.code == "" {
			return nil, errAlone(errMissingCode.Error())
		}
		how, err := s.useCode(ctx, tx, rec, string(t.code), true)
		if err != nil {
			return nil, err
		}
		if how == "" {
			return nil, errAlone(errWrongCode.Error())
		}
		if err := s.codePassed(ctx, tx, &rec, FactorConfirmed, how, cl); err != nil {
			return nil, err
		}
		amr = amrOf(how)
	case rec.Elsewhere == m.Dialect && t.code != "":
		amr = []string{"pwd", "mfa"}
	}
	spent, err := tx.SpendTicket(ctx, t.hash, s.now())
	if err != nil {
		return nil, err
	}
	if !spent {
		return nil, errAlone(errDeadTicket.Error())
	}
	bearer, hash := token.NewOpaque()
	g, err := s.openSession(ctx, tx, m, rec, amr, hash[:], cl)
	if err != nil {
		return nil, err
	}
	g.Bearer = Secret(bearer)
	return g, s.LearnTokens(ctx, tx, g.Session, tokens)
}
