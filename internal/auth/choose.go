package auth

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/password"
)

const (
	changeTries   = 3           // of a reset, or a login, when the account changes meanwhile
	breachedRetry = time.Minute // until an operator may have seen to the file
)

// chosen is a new password that the rules let pass, for an account as it was then.
type chosen struct {
	rec  AccountRecord
	hash string
	past int // how many of the account's hashes are to be remembered

	old     *oldSystem // who is to be told; nil: nobody
	oldHash string     // for it
}

// choose holds a password, called what, to the rules of its realm, and hashes it. What is compared with
// earlier passwords costs a hash each, here, outside of any transaction.
func (s *Service) choose(ctx context.Context, rec AccountRecord, what string, p Secret) (*chosen, error) {
	if rec.Kind == KindService {
		return nil, Errorf(CodeInvalidInput, "a service account has no password: rotate its secret instead")
	}
	if err := s.notElsewhere(&rec); err != nil {
		return nil, err
	}
	st, err := s.state(ctx, rec.RealmID)
	if err != nil {
		return nil, err
	}
	rules := s.passwords[st.name]
	err = rules.Check(string(p), password.For{
		Factor: !s.without(&rec),
		Words:  []string{"Ostiary", s.issuer, st.name, rec.Username, rec.Email, rec.DisplayName, rec.Org},
	})
	if err == nil && rules.Past > 0 {
		err = s.wasPast(ctx, rec, p)
	}
	if err != nil {
		return nil, chosenError(what, err)
	}
	hash, err := s.hasher.Hash(ctx, string(p))
	if err != nil {
		return nil, hashError(err)
	}
	old, err := s.oldSystem(ctx, rec.RealmID)
	if err != nil {
		return nil, err
	}
	oldHash, err := old.hash(ctx, p)
	if err != nil {
		return nil, err
	}
	return &chosen{rec: rec, hash: hash, past: rules.Past, old: old, oldHash: oldHash}, nil
}

// wasPast returns password.ErrPast for the present password of an account, or one that is remembered.
func (s *Service) wasPast(ctx context.Context, rec AccountRecord, p Secret) error {
	past, err := s.store.PastPasswords(ctx, rec.ID)
	if err != nil {
		return storeError(err)
	}
	for _, phc := range append(append(past, rec.PasswordHash), hashesOf(rec.Passwords)...) {
		if phc == "" {
			continue
		}
		res, err := s.hasher.Verify(ctx, phc, string(p))
		switch {
		case errors.Is(err, password.ErrUnsupported): // nothing is this password
		case err != nil:
			return hashError(err)
		case res.OK:
			return password.ErrPast
		}
	}
	return nil
}

// chosenError tells a reason, which is for whom chose the password, from a fault, for which
// no password can be chosen: a list that can't be asked is not taken for a yes.
func chosenError(what string, err error) error {
	if reason, ok := errors.AsType[password.Refusal](err); ok {
		return &Error{Code: CodeInvalidInput, Detail: what + reason.Error()}
	}
	if errors.Is(err, password.ErrBreachedFile) {
		return &Error{Code: CodeUnavailable, Detail: "the password can't be checked now", Cause: err, RetryAfter: breachedRetry}
	}
	return err
}

// replacePassword stores a password that was chosen in place of all that the account has,
// and ends the sessions but one, unless the account has changed since: then the error wraps
// errChanged.
func (s *Service) replacePassword(ctx context.Context, tx Tx, c *chosen, keep uuid.UUID, reason string, cl Client) error {
	id, realm, now := c.rec.ID, c.rec.RealmID, s.now()
	err := changePasswords(ctx, tx, realm, id, func(rec AccountRecord) (bool, error) {
		if err := s.notElsewhere(&rec); err != nil { // a first login there may have come since
			return false, err
		}
		if err := tx.KeepPassword(ctx, id, c.past, now); err != nil {
			return false, err
		}
		ok, err := tx.SetPassword(ctx, id, c.rec.Version, c.hash, now)
		if err == nil && !ok {
			err = &Error{Code: CodeConflict, Detail: "the account was changed meanwhile: try again", Cause: errChanged}
		}
		if err != nil {
			return false, err
		}
		if _, err = tx.DropSources(ctx, id); err != nil {
			return false, err
		}
		return true, c.old.tell(ctx, tx, rec.Account, backPassword, c.oldHash)
	})
	if err != nil {
		return err
	}
	if err := tx.ClearBudgets(ctx, realm, id.String(), BudgetFactor); err != nil {
		return err
	}
	if _, err := tx.EndSessions(ctx, id, keep, reason, now); err != nil {
		return err
	}
	e := s.event(realm, audit.PasswordChanged, id, cl)
	e.Session, e.Detail = keep, reason
	return tx.InsertEvent(ctx, e)
}
