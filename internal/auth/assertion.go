package auth

import (
	"cmp"
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/keyring"
	"github.com/ostiary/ostiary/internal/token"
)

// AssertionAlgorithm signs assertions, whatever the mounts sign their tokens with.
const AssertionAlgorithm = keyring.ES256

const (
	assertionTTL = 5 * time.Minute
	// assertionReuse is how long an assertion is given out again for the same session: it
	// then has at least four of its five minutes left.
	assertionReuse = time.Minute
)

// assertion is a JWT that was made a moment ago. Besides the identity that keeps it, it
// depends on the mount of the token that it was made for.
type assertion struct {
	jwt, kid string
	mount    *Mount
	at       time.Time
}

// AssertionIssuer is the iss of the assertions about a dialect's sessions. Subjects are
// unique within a dialect alone, so each has an issuer of its own (RFC 7519, section 4.1.2).
func AssertionIssuer(realm string, d Dialect) string { return "urn:ostiary:" + realm + ":" + string(d) }

// AssertionAudience is the aud of assertions, unless their mount says another one.
func AssertionAudience(realm string) string { return "urn:ostiary:" + realm }

// Vouch does what Identify does, and returns an assertion of it: a JWT for the servers
// behind (RFC 9068), in one format whatever dialect the client speaks. It is no
// credential of Ostiary's. It is as new as the identity, and signed at most once in
// assertionReuse while nothing of that changes.
func (s *Service) Vouch(ctx context.Context, realm uuid.UUID, p Presented) (who *Identity, jwt string, err error) {
	f, err := s.find(ctx, realm, p, s.viewOf)
	if err == nil {
		who = f.who
		s.used(f.view)
		jwt, err = s.assert(ctx, realm, f.mount, who)
	}
	s.observer.Verified(CodeOf(err))
	return who, jwt, err
}

func (s *Service) assert(ctx context.Context, realm uuid.UUID, m *Mount, who *Identity) (string, error) {
	st, err := s.state(ctx, realm)
	if err != nil {
		return "", err
	}
	now := s.now()
	if a := who.asserted.Load(); a != nil && a.mount == m && now.Sub(a.at) < assertionReuse && !now.Before(a.at) {
		if _, _, alive := st.ring.Verifier(a.kid, now); alive {
			return a.jwt, nil
		}
	}
	key, ok := st.ring.Signer(AssertionAlgorithm, now)
	if !ok {
		return "", Because(CodeInternal, "realm %s has no %s key that signs", st.name, AssertionAlgorithm)
	}
	jwt, err := token.SignAssertion(key, token.Claims{
		"iss":         AssertionIssuer(st.name, who.Dialect),
		"sub":         who.Subject,
		"aud":         cmp.Or(m.AssertionAudience, AssertionAudience(st.name)),
		"client_id":   cmp.Or(m.Audience, string(who.Dialect)),
		"iat":         now.Unix(),
		"exp":         now.Add(assertionTTL).Unix(),
		"jti":         token.JTI(who.Session),
		"auth_time":   who.AuthTime.Unix(),
		"amr":         list(who.AMR),
		"account":     who.Account.String(),
		"username":    who.Username,
		"org":         who.Org,
		"roles":       list(who.Roles),
		"datasources": list(who.Datasources),
		"dialect":     string(who.Dialect),
		"session":     who.Session.String(),
	})
	if err != nil {
		return "", AsError(err)
	}
	who.asserted.Store(&assertion{jwt, key.Kid(), m, now})
	return jwt, nil
}

// list is never null in JSON.
func list(names []string) []string {
	if names == nil {
		return []string{}
	}
	return names
}
