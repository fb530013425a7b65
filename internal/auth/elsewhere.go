package auth

import (
	"context"
	"encoding/hex"
	"errors"

	"github.com/ostiary/ostiary/internal/token"
)

// errElsewhere is that a second factor is asked for by a server that can't be asked there.
var errElsewhere error = reason("factor_elsewhere")

// factorOf is what an account's second factor amounts to now, wherever it is asked for.
func (s *Service) factorOf(rec *AccountRecord) FactorState {
	here := s.factorState(rec.Factor)
	if rec.Elsewhere == "" || here == FactorConfirmed || here == FactorEnrolled && rec.EnrolsHere {
		return here
	}
	return FactorElsewhere
}

// notElsewhere refuses a new password for an account whose second factor a legacy server asks
// for: that server, which is asked for the code with the password, would not know it.
func (s *Service) notElsewhere(rec *AccountRecord) error {
	if s.factorOf(rec) != FactorElsewhere {
		return nil
	}
	return Errorf(CodeConflict, "the legacy server of %s asks for the account's second factor, and would not know a new password: first enrol one here (POST /ostiary/factor, or ostiary mfa enroll), or remove it (ostiary mfa reset)", rec.Elsewhere)
}

// without tells whether a dialect that has no step for a second factor lets the account in
// without one.
func (s *Service) without(rec *AccountRecord) bool {
	return rec.Elsewhere == "" && s.factorState(rec.Factor) != FactorConfirmed
}

func relayRow(hash [32]byte) string { return "ticket/" + hex.EncodeToString(hash[:]) + "/relay" }

// relay is what a legacy server gave for a ticket of ours, or "".
func (s *Service) relay(ctx context.Context, m *Mount, hash [32]byte) (Secret, error) {
	if m.Elder == nil {
		return "", nil
	}
	sealed, err := s.store.TicketRelay(ctx, m.RealmID, hash)
	if errors.Is(err, ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	ticket, err := s.master.Open(sealed, relayRow(hash))
	if err != nil {
		return "", Because(CodeInternal, "relay of a ticket: %w", err)
	}
	return Secret(ticket), nil
}

// completeElsewhere has the code of a login tried by the legacy server that asks for it. Its
// attempt is counted before, and its budgets are reserved, as if the code were tried here.
func (s *Service) completeElsewhere(ctx context.Context, m *Mount, g *guess, hash [32]byte, relay, code Secret, cl Client) (*Grant, error) {
	var t Ticket
	var rec AccountRecord
	err := s.store.InTx(ctx, func(tx Tx) (err error) {
		if t, err = tx.TryTicket(ctx, m.RealmID, hash, ticketAttempts, s.now()); err != nil {
			return cmpNotFound(err, errDeadTicket)
		}
		rec, err = tx.AccountByID(ctx, m.RealmID, t.AccountID, m.Dialect)
		if err == nil && (rec.Version != t.Version || s.factorState(rec.Factor) == FactorConfirmed) {
			err = errChanged // a ticket of a shadow has a relay, too, whoever is to ask for the code
		}
		return cmpNotFound(err, errChanged)
	})
	if err != nil {
		return nil, s.notRedeemed(ctx, m, g, err, cl)
	}
	_, err = m.Elder.Complete(ctx, relay, code, cl)
	if CodeOf(err) == CodeFactorInvalid {
		return nil, s.wrongElsewhere(ctx, m, g, cl)
	}
	if err != nil {
		g.undone = true
		if undo := s.change(ctx, func(tx Tx) error { return tx.ForgiveTicket(ctx, hash) }); undo != nil {
			return nil, undo
		}
		return nil, elderAway(err)
	}
	var grant *Grant
	err = g.inTx(ctx, func(tx Tx) error {
		spent, err := tx.SpendTicket(ctx, hash, s.now())
		if err != nil {
			return err
		}
		if !spent {
			return errDeadTicket
		}
		bearer, sum := token.NewOpaque()
		if grant, err = s.openSession(ctx, tx, m, rec, amrOf(""), sum[:], cl); err != nil {
			return err
		}
		grant.Bearer = Secret(bearer)
		return nil
	})
	if err != nil {
		return nil, s.notRedeemed(ctx, m, g, err, cl)
	}
	return grant, nil
}

// notRedeemed is what the client learns of a ticket that was given up.
func (s *Service) notRedeemed(ctx context.Context, m *Mount, g *guess, err error, cl Client) error {
	if ticketOver(err) {
		return s.refuse(ctx, m, g.account, err, cl)
	}
	return storeError(err)
}

// ticketOver tells whether a ticket is good no more, whatever its code.
func ticketOver(err error) bool {
	return errors.Is(err, errDeadTicket) || errors.Is(err, errChanged) || errors.Is(err, errElsewhere)
}

// wrongElsewhere charges a code that the legacy server has refused.
func (s *Service) wrongElsewhere(ctx context.Context, m *Mount, g *guess, cl Client) error {
	err := g.inTx(ctx, func(tx Tx) error {
		if err := tx.InsertEvent(ctx, s.redemptionFailed(m, g.account, errWrongCode, cl)); err != nil {
			return err
		}
		return g.charge(ctx, tx)
	})
	if err != nil {
		return storeError(err)
	}
	return refusal(errWrongCode)
}

func cmpNotFound(err, instead error) error {
	if errors.Is(err, ErrNotFound) {
		return instead
	}
	return err
}
