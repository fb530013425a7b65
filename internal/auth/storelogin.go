package auth

import (
	"context"
	"errors"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/token"
)

// storeLogin opens the session of a login in one step whose password was right, in one transaction with all that the login
// changes. With factor it is errWrongCode without a right code. The tokens of the legacy server that answers are the session's too.
func (s *Service) storeLogin(ctx context.Context, m *Mount, got *checked, factor bool, cl Client) (g *Grant, err error) {
	err = got.guess.inTx(ctx, func(tx Tx) error {
		amr := []string{"pwd"}
		if factor {
			how, err := s.useCode(ctx, tx, got.rec, got.code, false)
			if err != nil {
				return err
			}
			if how == "" {
				return errWrongCode
			}
			amr = amrOf(how)
		}
		if err := s.passwordRight(ctx, tx, m, got, cl); err != nil {
			return err
		}
		bearer, hash := newBearer(m)
		var err error
		if g, err = s.openSession(ctx, tx, m, got.rec, amr, hash, cl); err != nil {
			return err
		}
		g.Bearer = bearer
		if got.shadow == nil {
			return nil
		}
		return s.LearnTokens(ctx, tx, g.Session, got.news.Tokens)
	})
	return g, err
}

// storeTicket issues the ticket of a login in two steps whose password was right. there is the legacy server's, if it gave one.
func (s *Service) storeTicket(ctx context.Context, m *Mount, got *checked, t Ticket, there Secret, cl Client) error {
	return got.guess.inTx(ctx, func(tx Tx) error {
		if err := s.passwordRight(ctx, tx, m, got, cl); err != nil {
			return err
		}
		if err := s.keepTicket(ctx, tx, t, there); err != nil {
			return err
		}
		e := s.event(m.RealmID, audit.PasswordPassed, got.rec.ID, cl)
		e.Dialect = string(m.Dialect)
		return tx.InsertEvent(ctx, e)
	})
}

// passwordRight stores what a right password changes, whatever follows: the budgets, and what an Elder has said.
func (s *Service) passwordRight(ctx context.Context, tx Tx, m *Mount, got *checked, cl Client) error {
	if err := got.guess.clear(ctx, tx); err != nil {
		return err
	}
	return s.takeOver(ctx, tx, m, got, cl)
}

// keepTicket stores a ticket, with what the legacy server gave for it, which may give the same one twice.
func (s *Service) keepTicket(ctx context.Context, tx Tx, t Ticket, there Secret) error {
	if there == "" {
		return tx.InsertTicket(ctx, t)
	}
	if _, err := tx.TicketAccount(ctx, t.RealmID, t.Hash); !errors.Is(err, ErrNotFound) {
		return err
	}
	if err := tx.InsertTicket(ctx, t); err != nil {
		return err
	}
	return tx.InsertTicketRelay(ctx, t, s.master.Seal([]byte(there), relayRow(t.Hash)))
}

// loginStored does what comes when a login is stored, of which its answer says nothing.
func (s *Service) loginStored(ctx context.Context, m *Mount, got *checked, c Credentials, cl Client) {
	if got.learnt != "" {
		Use(ctx, UsedAdopted)
	}
	s.rehash(ctx, m, got, cl)
	s.seekTwin(got, c.Password, cl)
}

// newTicket is a ticket for the account of a login, good while that is as it was checked.
func (s *Service) newTicket(m *Mount, got *checked, hash [32]byte) Ticket {
	now := s.now()
	return Ticket{
		Hash: ticketKey(m, hash), RealmID: m.RealmID, AccountID: got.rec.ID, Version: got.rec.Version,
		CreatedAt: now, ExpiresAt: now.Add(ticketTTL),
	}
}

// newBearer makes the opaque token of a login in one step, if the mount has them.
func newBearer(m *Mount) (bearer Secret, hash []byte) {
	if !m.Opaque {
		return "", nil
	}
	text, sum := token.NewOpaque()
	return Secret(text), sum[:]
}

// amrOf is how a login was proven, in the words of RFC 8176.
func amrOf(how string) []string {
	if how == "otp" {
		return []string{"pwd", "otp", "mfa"}
	}
	return []string{"pwd", "mfa"} // a recovery code has no word of its own
}
