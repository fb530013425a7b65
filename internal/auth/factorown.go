package auth

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
)

// factorFresh is how long ago a login may be for whoever enrols a second factor by it.
const factorFresh = 10 * time.Minute

// EnrollOwnFactor starts an enrolment of whom p, a live access credential, belongs to, and
// returns its otpauth URI. p must be of a login a moment ago with a second factor, which a
// legacy server has asked for: CodeForbidden if not, CodeConflict if there is a factor here.
func (s *Service) EnrollOwnFactor(ctx context.Context, realm uuid.UUID, p Presented, cl Client) (uri string, err error) {
	f, err := s.mayEnroll(ctx, realm, p)
	if err != nil {
		return "", err
	}
	cl.token, cl.dialect = audit.TokenTag(p.Token), f.rec.Dialect
	err = s.change(ctx, func(tx Tx) error {
		if err := s.stillLive(ctx, tx, f.rec); err != nil {
			return err
		}
		uri, err = s.enroll(ctx, tx, realm, f.rec.AccountID, false, cl)
		return err
	})
	return uri, err
}

// ConfirmOwnFactor confirms it with a first right code, which ends the account's other
// sessions. CodeFactorInvalid if the code is wrong, which is counted.
func (s *Service) ConfirmOwnFactor(ctx context.Context, realm uuid.UUID, p Presented, code Secret, cl Client) error {
	f, err := s.mayEnroll(ctx, realm, p)
	if err != nil {
		return err
	}
	id := f.rec.AccountID
	cl.token, cl.dialect = audit.TokenTag(p.Token), f.rec.Dialect
	g := &guess{svc: s, attempt: attempt{realm: realm, dialect: f.rec.Dialect, client: cl}, account: id}
	defer g.leave()
	if err := g.reserve(ctx, append(g.source(), g.factor())...); err != nil {
		return storeError(err)
	}
	wrong := false
	err = g.inTx(ctx, func(tx Tx) error {
		if err := s.stillLive(ctx, tx, f.rec); err != nil {
			return err
		}
		err := s.confirm(ctx, tx, realm, id, code, f.rec.ID, cl)
		if wrong = errors.Is(err, errWrongCode); wrong {
			return g.charge(ctx, tx)
		}
		return err
	})
	if err == nil && wrong {
		err = wrongCode()
	}
	return storeError(err)
}

// mayEnroll finds the session of a credential, and sees that it is one to enrol by.
func (s *Service) mayEnroll(ctx context.Context, realm uuid.UUID, p Presented) (found, error) {
	f, err := s.find(ctx, realm, p, s.anew)
	if err != nil {
		return f, err
	}
	s.used(f.view)
	if age := s.now().Sub(f.rec.AuthTime); !slices.Contains(f.rec.AMR, "mfa") || age > factorFresh || age < -factorFresh {
		return f, Errorf(CodeForbidden, "it takes a login with a second factor, at most %d minutes ago", factorFresh/time.Minute)
	}
	return f, nil
}

// stillLive sees that a session has not ended since it was found, and holds off until the commit
// what would end all of the account's.
func (s *Service) stillLive(ctx context.Context, tx Tx, was SessionRecord) error {
	if err := tx.HoldAccount(ctx, was.RealmID, was.AccountID); err != nil {
		return err
	}
	now, err := tx.SessionByID(ctx, was.RealmID, was.ID)
	if err == nil && !now.live(s.now()) {
		err = Because(CodeSessionEnded, "session %s has ended", was.ID)
	}
	return err
}
