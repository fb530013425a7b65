package auth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/token"
)

// Introspection is what a live access credential means (RFC 7662, section 2.2).
type Introspection struct {
	*Identity
	Claims    token.Claims // of a JWT; nil for an opaque token
	ClientID  string       // the audience of the mount that the login was for; may be empty
	Scope     string
	IssuedAt  time.Time
	ExpiresAt time.Time // the token or its session is over by then at the latest
}

// Introspect tells what an access credential of a realm means, for a service that it was
// presented to. CodeTokenMissing, CodeTokenInvalid or CodeSessionEnded if it is dead.
func (s *Service) Introspect(ctx context.Context, realm uuid.UUID, p Presented) (*Introspection, error) {
	f, err := s.find(ctx, realm, p, s.viewOf)
	s.observer.Introspected(CodeOf(err))
	if err != nil {
		return nil, err
	}
	s.used(f.view)
	i := &Introspection{
		Identity: f.who, Claims: f.claims, ClientID: f.mount.Audience, Scope: f.mount.Scope,
		IssuedAt: f.rec.AuthTime, ExpiresAt: f.rec.ExpiresAt,
	}
	if f.claims != nil {
		if iat := f.claims.Time("iat"); !iat.IsZero() { // what another server issued may lack it
			i.IssuedAt = iat
		}
		if exp := f.claims.Time("exp"); !exp.IsZero() && exp.Before(i.ExpiresAt) {
			i.ExpiresAt = exp
		}
	}
	return i, nil
}

// Revoke ends the session that a token belongs to, of whatever kind the token is: an
// access credential, a refresh token even if it is spent, an id token (RFC 7009, section
// 2). A token that is none, or dead, is no error: it does nothing already.
func (s *Service) Revoke(ctx context.Context, realm uuid.UUID, tok string, cl Client) error {
	id, err := s.sessionOf(ctx, realm, tok)
	cl.token = audit.TokenTag(tok)
	switch {
	case err == nil:
		err = s.EndSession(ctx, realm, id, "revoked", cl)
	case CodeOf(err) == CodeNotFound || CodeOf(err) == CodeTokenInvalid:
		err = s.revokeForeign(ctx, realm, tok, err, cl)
	}
	code := CodeOf(err)
	s.observer.Revoked(code)
	switch code {
	case CodeNotFound, CodeTokenInvalid, CodeSessionEnded:
		return nil
	}
	return err
}

func (s *Service) sessionOf(ctx context.Context, realm uuid.UUID, tok string) (uuid.UUID, error) {
	st, err := s.state(ctx, realm)
	if err != nil {
		return uuid.Nil, err
	}
	if id, _, ok := st.refresh.Parse(tok); ok {
		return id, nil
	}
	if hash, ok := token.HashOpaque(tok); ok {
		rec, err := s.store.SessionByBearer(ctx, realm, hash)
		return rec.ID, storeError(err)
	}
	claims, key, err := s.parse(ctx, realm, tok)
	if err != nil {
		return uuid.Nil, err
	}
	if key != nil {
		f, err := s.findForeign(ctx, realm, Presented{Token: tok, AnyCSRF: true}, claims, key, s.anew)
		if err != nil {
			return uuid.Nil, err
		}
		return f.rec.ID, nil
	}
	id, ok := token.SessionOf(claims.String("jti"))
	if !ok {
		return uuid.Nil, Because(CodeTokenInvalid, "jti names no session")
	}
	return id, nil
}

// caller is a service account whose secret was right a moment ago.
type caller struct {
	rec    AccountRecord
	loaded time.Time
	mark   uint64
}

// Caller authenticates a service account by its secret, for what one of the server's own
// roles allows. CodeBadCredentials if it is none, CodeForbidden if it lacks the role.
// Of several readings of one credential the first that is right counts.
//
// A password is refused unseen: it would be checked here without its second factor. A
// secret that is right costs no write, since a service asks often; one that is wrong
// takes the way of a failed login, with its budgets, its entry in the log and its time.
func (s *Service) Caller(ctx context.Context, realm uuid.UUID, readings []Credentials, role string, cl Client) (Account, error) {
	var wrong *Credentials
	began := time.Now()
	for _, c := range readings {
		hash, ok := token.HashServiceSecret(string(c.Password))
		if !ok {
			continue
		}
		got, err := s.callerOf(ctx, realm, c.Name, hash)
		if err != nil {
			return Account{}, err
		}
		if got != nil {
			return mayCall(got.rec, role)
		}
		wrong = &c
	}
	if wrong == nil {
		return Account{}, Because(CodeBadCredentials, "not a service account's secret")
	}
	checked, err := overtaken(func() (*checked, error) {
		return s.check(ctx, attempt{realm: realm, client: cl, began: began}, nil, *wrong)
	})
	if err != nil {
		return Account{}, err
	}
	return mayCall(checked.rec, role) // it was made good meanwhile
}

func mayCall(rec AccountRecord, role string) (Account, error) {
	if !slices.Contains(rec.Roles, role) {
		return rec.Account, &Error{
			Code: CodeForbidden, Detail: "the service account lacks the role " + role,
			Cause: fmt.Errorf("service account %s (%s) lacks the role %s", rec.ID, cmp.Or(rec.Username, rec.Email), role),
		}
	}
	return rec.Account, nil
}

// callerOf returns the service account whose secret this is, as it is or was at most
// realmFresh ago, since the secret may have its end; nil if there is none.
func (s *Service) callerOf(ctx context.Context, realm uuid.UUID, name string, hash [32]byte) (*caller, error) {
	key := sha256.Sum256(append(append(realm[:], hash[:]...), name...))
	got, known := s.callers.Get(key)
	if known && recently(got.loaded, s.now()) && !s.feed.since(got.rec.ID, got.mark) {
		return got, nil
	}
	got = &caller{loaded: s.now(), mark: s.feed.mark()}
	var err error
	got.rec, err = s.store.AccountByName(ctx, realm, nameKey(name), "")
	switch {
	case errors.Is(err, ErrNotFound), err == nil && (got.rec.Kind != KindService || got.rec.Disabled):
		return nil, nil
	case err != nil:
		return nil, storeError(err)
	}
	lives, err := s.store.SecretLives(ctx, got.rec.ID, hash, got.loaded)
	if err != nil || !lives {
		return nil, storeError(err)
	}
	s.callers.Put(key, got, got.rec.weight())
	return got, nil
}
