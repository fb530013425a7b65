package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
)

// CheckImported tells whether a token of another server can be imported, and fills in when it
// was issued, if that is not known: now.
func (s *Service) CheckImported(ctx context.Context, realm uuid.UUID, r *ForeignRecord) error {
	now := s.keyTime()
	if _, known := s.dialects[r.Dialect]; !known {
		return Errorf(CodeInvalidInput, "there is no dialect %q", r.Dialect)
	}
	if !s.takes(r.Dialect, r.Kind) {
		return Errorf(CodeInvalidInput, "%s has no %s that can be imported", r.Dialect, kindText(r.Kind))
	}
	if !r.ExpiresAt.After(now) || r.ExpiresAt.After(now.Add(ForeignLife)) {
		return Errorf(CodeInvalidInput, "expires_at: it must be in the year that begins now")
	}
	if r.CreatedAt.After(now) {
		return Errorf(CodeInvalidInput, "issued_at: it is in the future")
	}
	cutoff, err := s.store.SessionCutoff(ctx, realm, r.AccountID)
	if err != nil {
		return storeError(err)
	}
	switch {
	case cutoff.IsZero() || r.CreatedAt.After(cutoff):
	case r.CreatedAt.IsZero():
		return Errorf(CodeInvalidInput, "all sessions of the account were ended at %s: say by issued_at whether the token is newer", cutoff.Format(time.RFC3339))
	default:
		return Errorf(CodeInvalidInput, "all sessions of the account were ended at %s, after the token was issued", cutoff.Format(time.RFC3339))
	}
	there, err := s.store.ForeignToken(ctx, realm, r.Hash)
	if err == nil && (there.AccountID != r.AccountID || there.Dialect != r.Dialect || there.Kind != r.Kind) {
		return Errorf(CodeConflict, "the token is there already, as that of another account, dialect or kind")
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return storeError(err)
	}
	if r.CreatedAt.IsZero() {
		r.CreatedAt = now
	}
	r.RealmID = realm
	return nil
}

func kindText(k ForeignKind) string {
	switch k {
	case ForeignBearer:
		return "opaque bearers"
	case ForeignSession:
		return "session ids"
	case ForeignRefresh:
		return "refresh tokens"
	}
	return fmt.Sprintf("kind %q (bearer, session or refresh)", string(k))
}

// ImportTokens stores tokens that CheckImported has found to be good, all or none, and counts
// those that are new. CodeConflict if one is there as something else, or of another account, or if
// an account is gone by now.
func (s *Service) ImportTokens(ctx context.Context, realm uuid.UUID, tokens []ForeignRecord, cl Client) (n int, err error) {
	err = s.change(ctx, func(tx Tx) error {
		n = 0
		if err := holdOwners(ctx, tx, realm, tokens); err != nil {
			return err
		}
		for _, r := range tokens {
			r.RealmID, r.Session, r.SpentAt = realm, uuid.Nil, time.Time{}
			fresh, err := tx.InsertForeignToken(ctx, r)
			if err != nil {
				return err
			}
			s.learned.Store(true)
			if fresh {
				n++
				continue
			}
			there, err := tx.ForeignToken(ctx, realm, r.Hash)
			if err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
			if there.AccountID != r.AccountID || there.Dialect != r.Dialect || there.Kind != r.Kind {
				return Errorf(CodeConflict, "a token of account %s is there already, as that of another account, dialect or kind", r.AccountID)
			}
		}
		if n == 0 {
			return nil
		}
		e := s.event(realm, audit.TokensImported, uuid.Nil, cl)
		e.Detail = fmt.Sprintf("tokens=%d", n)
		return tx.InsertEvent(ctx, e)
	})
	return n, err
}

// holdOwners sees that the accounts of tokens are there, and stay so until the commit: a token of one
// that was merged into another one meanwhile would be nobody's.
func holdOwners(ctx context.Context, tx Tx, realm uuid.UUID, tokens []ForeignRecord) error {
	ids := make([]uuid.UUID, len(tokens))
	for i, r := range tokens {
		ids[i] = r.AccountID
	}
	err := holdAccounts(ctx, tx, realm, ids...)
	if errors.Is(err, ErrNotFound) {
		return Errorf(CodeConflict, "%v: it was merged into another one, or deleted, meanwhile: begin again", err)
	}
	return err
}

// SubjectAccount finds the account that has an alias: what it is called without one is this
// server's word, and not the other's.
func (s *Service) SubjectAccount(ctx context.Context, realm uuid.UUID, d Dialect, subject string) (Account, error) {
	rec, err := s.store.AccountBySubject(ctx, realm, d, subject)
	if errors.Is(err, ErrNotFound) {
		return Account{}, Errorf(CodeNotFound, "no account has the subject %q in %s: import it, or set the alias", subject, d)
	}
	return rec.Account, storeError(err)
}
