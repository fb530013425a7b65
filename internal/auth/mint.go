package auth

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/keyring"
	"github.com/ostiary/ostiary/internal/token"
)

// Sign makes a JWT of a grant: the dialect's own claims, and iss, sub, iat, exp and jti
// (RFC 7519, section 4.1). exp is the mount's AccessTTL from now, or the end of the
// session if that comes first; a dialect that promises another one sets it itself.
func (s *Service) Sign(ctx context.Context, g *Grant, own token.Claims) (string, error) {
	st, err := s.state(ctx, g.Session.RealmID)
	if err != nil {
		return "", err
	}
	key, ok := st.ring.Signer(g.Mount.Algorithm, s.now())
	if !ok {
		return "", Because(CodeInternal, "realm %s has no %s key that signs", st.name, g.Mount.Algorithm)
	}
	exp := g.Session.ExpiresAt
	if ttl := g.Mount.AccessTTL; ttl > 0 && g.IssuedAt.Add(ttl).Before(exp) {
		exp = g.IssuedAt.Add(ttl)
	}
	claims := token.Claims{
		"iss": g.Mount.Issuer,
		"sub": g.Subject,
		"iat": g.IssuedAt.Unix(),
		"exp": exp.Unix(),
		"jti": token.JTI(g.Session.ID),
	}
	for name, value := range own {
		claims[name] = value
	}
	jwt, err := token.Sign(key, claims)
	if err != nil {
		return "", AsError(err)
	}
	return jwt, nil
}

// JWKS returns the realm's public keys (RFC 7517): those that sign, those about to,
// and those whose tokens may still live.
func (s *Service) JWKS(ctx context.Context, realm uuid.UUID) ([]byte, error) {
	st, err := s.state(ctx, realm)
	if err != nil {
		return nil, err
	}
	return st.ring.JWKS(s.now()), nil
}

// EnsureKey makes a first signing key of an algorithm for a realm that has none.
func (s *Service) EnsureKey(ctx context.Context, realm uuid.UUID, algorithm string, cl Client) error {
	st, err := s.reload(ctx, realm)
	if err != nil {
		return err
	}
	if _, ok := st.ring.Signer(algorithm, s.now()); ok {
		return nil
	}
	key, err := keyring.Generate(s.master, realm, algorithm, 0, s.now())
	if err != nil {
		return AsError(err)
	}
	if err := s.insertKey(ctx, key, time.Time{}, cl); err != nil {
		return err
	}
	_, err = s.reload(ctx, realm)
	return err
}
