package auth

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/keyring"
	"github.com/ostiary/ostiary/internal/token"
	"github.com/ostiary/ostiary/internal/trace"
)

// Sign makes a JWT of a grant: the dialect's own claims, and iss, sub, iat, exp and jti
// (RFC 7519, section 4.1). exp is the mount's AccessTTL from now, or the end of the
// session if that comes first, but after iat in any case; a dialect that promises another
// one sets it itself. What was granted is stored by then: it is signed whether or not the client seems to wait.
func (s *Service) Sign(ctx context.Context, g *Grant, own token.Claims) (string, error) {
	ctx, cancel := unhurried(ctx)
	defer cancel()
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
	defer trace.Start(ctx, "sign").End()
	claims := token.Claims{
		"iss": g.Mount.Issuer,
		"sub": g.Subject,
		"iat": g.IssuedAt.Unix(),
		"exp": max(exp.Unix(), g.IssuedAt.Unix()+1),
		"jti": token.JTI(g.Session.ID),
	}
	for name, value := range own {
		claims[name] = value
	}
	sign := token.Sign
	if key.Algorithm() == keyring.RS256 {
		if err := signing.enter(ctx); err != nil {
			return "", AsError(err)
		}
		defer signing.leave()
		sign = signAside
	}
	jwt, err := sign(key, claims)
	if err != nil {
		return "", AsError(err)
	}
	return jwt, nil
}

// signAside is token.Sign on a goroutine of its own. An RSA signature takes 8 KiB of stack, which a connection's
// goroutine would keep when it waits for the next password or commit. It is not cut short: it takes a millisecond.
func signAside(key *keyring.SigningKey, claims token.Claims) (jwt string, err error) {
	done, panicked := make(chan struct{}), ""
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				panicked = fmt.Sprintf("%v\n%s", p, debug.Stack())
			}
		}()
		jwt, err = token.Sign(key, claims)
	}()
	<-done
	if panicked != "" {
		panic(panicked) // where the request is ended and told to the log
	}
	return jwt, err
}

// signing are the places for RSA signatures, each of which holds a core for a millisecond: as
// many as there are cores, for the whole process.
var signing = make(places, runtime.GOMAXPROCS(0))

// places are given in the order of asking: a channel keeps its senders so.
type places chan struct{}

// enter waits for a place, for as long as somebody waits for what is done there: a request
// has an end of its own (docs/overload.md).
func (p places) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case p <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p places) leave() { <-p }

// keysWithin is how long the store may take for public keys of which there are some to answer with.
const keysWithin = 500 * time.Millisecond

// JWKS returns the realm's public keys (RFC 7517): those that sign, those about to,
// and those whose tokens may still live; and how long others may keep them. While the store is away, or does not
// answer, they are as they were last read, for as long as others might have kept those.
func (s *Service) JWKS(ctx context.Context, realm uuid.UUID) (set []byte, keep time.Duration, err error) {
	keep = s.keys.CacheTime()
	var last *realmState
	if v, ok := s.realms.Load(realm); ok && keep-time.Since(v.(*realmState).loaded) >= leastCache {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, keysWithin)
		defer cancel()
		last = v.(*realmState)
	}
	st, err := s.state(ctx, realm)
	if CodeOf(err) == CodeUnavailable && last != nil {
		keep -= time.Since(last.loaded)
		st, err = last, nil
	}
	if err != nil {
		return nil, 0, err
	}
	now := s.now()
	if end := st.ring.NextEnd(now); !end.IsZero() {
		keep = min(keep, max(leastCache, end.Sub(now)))
	}
	return st.ring.JWKS(now), keep, nil
}
