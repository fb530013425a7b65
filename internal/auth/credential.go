package auth

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/password"
	"github.com/ostiary/ostiary/internal/token"
)

// SetPassword resets a person's password, which ends all sessions of the account.
func (s *Service) SetPassword(ctx context.Context, realm, id uuid.UUID, p Secret, cl Client) error {
	var err error
	for range changeTries {
		var rec AccountRecord
		if rec, err = s.store.AccountByID(ctx, realm, id, ""); err != nil {
			return storeError(err)
		}
		var c *chosen
		if c, err = s.choose(ctx, rec, "", p); err != nil {
			return err
		}
		err = s.change(ctx, func(tx Tx) error {
			return s.replacePassword(ctx, tx, c, uuid.Nil, "password_reset", cl)
		})
		if !errors.Is(err, errChanged) {
			break
		}
	}
	return err
}

// RotateSecret gives a service a new secret, returned this once. The old one stays
// good for the overlap; without one, it and the sessions of the account end at once.
func (s *Service) RotateSecret(ctx context.Context, realm, id uuid.UUID, overlap time.Duration, cl Client) (Secret, error) {
	secret, hash := token.NewServiceSecret()
	err := s.change(ctx, func(tx Tx) error {
		if err := tx.HoldAccount(ctx, realm, id); err != nil { // of two at once, each is to see what the other made
			return err
		}
		rec, err := tx.AccountByID(ctx, realm, id, "")
		if err != nil {
			return err
		}
		if rec.Kind != KindService {
			return Errorf(CodeInvalidInput, "only a service account has a secret: set the password instead")
		}
		now := s.now()
		if err := tx.ExpireSecrets(ctx, id, now.Add(overlap)); err != nil {
			return err
		}
		if err := tx.InsertSecret(ctx, realm, id, hash, now); err != nil {
			return err
		}
		if overlap <= 0 {
			if err := tx.ChangeVersion(ctx, id, now); err != nil {
				return err
			}
			if _, err := tx.EndSessions(ctx, id, uuid.Nil, "secret_rotated", now); err != nil {
				return err
			}
		}
		cl.token = audit.TagOf(hash)
		return tx.InsertEvent(ctx, s.event(realm, audit.SecretRotated, id, cl))
	})
	if err != nil {
		return "", err
	}
	return Secret(secret), nil
}

// ChangePassword changes one's own password: p is a live token of the account,
// current its password. The account's other sessions end. A wrong current password
// is CodeBadCredentials and counts as a guess.
func (s *Service) ChangePassword(ctx context.Context, realm uuid.UUID, p Presented, current, next Secret, cl Client) error {
	return notOvertaken(func() error { return s.changePassword(ctx, realm, p, current, next, cl) })
}

func (s *Service) changePassword(ctx context.Context, realm uuid.UUID, p Presented, current, next Secret, cl Client) error {
	f, err := s.find(ctx, realm, p, s.anew)
	if err != nil {
		return err
	}
	s.used(f.view)
	who := f.who
	if err := password.Form(string(next)); err != nil {
		return Errorf(CodeInvalidInput, "new: %v", err)
	}
	cl.token = audit.TokenTag(p.Token)
	rec, err := s.proveOwn(ctx, realm, who, current, cl)
	if err != nil {
		return err
	}
	c, err := s.choose(ctx, rec, "new: ", next)
	if err != nil {
		return err
	}
	// A change that came meanwhile, such as a reset, stands: what was proven is void.
	err = s.change(ctx, func(tx Tx) error {
		ok, err := tx.RecordSignIn(ctx, rec.ID, rec.Version, s.now())
		if err != nil {
			return err
		}
		if !ok {
			return &Error{Code: CodeBadCredentials, Cause: errChanged}
		}
		return s.replacePassword(ctx, tx, c, who.Session, "password_changed", cl)
	})
	if CodeOf(err) != CodeBadCredentials {
		return err
	}
	e := s.event(realm, audit.SignInFailed, rec.ID, cl)
	e.Session, e.Dialect, e.Detail = who.Session, string(who.Dialect), errChanged.Error()
	return cmp.Or(s.change(ctx, func(tx Tx) error { return tx.InsertEvent(ctx, e) }), err)
}

// proveOwn reads the account of a live token, and asks for its password. A wrong one is CodeBadCredentials,
// and counts as a guess.
func (s *Service) proveOwn(ctx context.Context, realm uuid.UUID, who *Identity, current Secret, cl Client) (AccountRecord, error) {
	rec, err := s.store.AccountByID(ctx, realm, who.Account, who.Dialect)
	if err != nil {
		return AccountRecord{}, storeError(err)
	}
	known, err := s.known(ctx, rec.ID, cl)
	if err != nil {
		return AccountRecord{}, storeError(err)
	}
	a := attempt{realm: realm, dialect: who.Dialect, client: cl}
	_, err = s.checkRecord(ctx, a, &rec, known, Credentials{Name: rec.Username, Password: current}, nil)
	return rec, err
}

// hashError maps what the hashing pool answers.
func hashError(err error) error {
	if err == nil {
		return nil
	}
	if busy, ok := errors.AsType[*password.ErrBusy](err); ok {
		return &Error{Code: CodeUnavailable, Detail: "the server is busy", Cause: err, RetryAfter: busy.RetryAfter}
	}
	return AsError(err)
}
