package ostiaryauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// AssertionHeader is the header in which a proxy hands on what it got from /ostiary/verify.
const AssertionHeader = "Ostiary-Assertion"

// Verifier tells who requests speak for. New makes one; it is safe for concurrent use, and there should be one for each
// realm, since it keeps the keys and answers.
type Verifier struct {
	accept                           []Credential
	assertions, jwts, opaque, always bool
	keys                             *keyCache
	introspector                     *introspector // nil for none
	now                              func() time.Time
	log                              *slog.Logger
}

// Verify tells who a request speaks for. Errors are ErrNoCredential, ErrInvalid or ErrUnavailable. It is what Handler
// does, for servers that answer in another shape; they must see to the headers themselves that Handler removes.
func (v *Verifier) Verify(r *http.Request) (*Identity, error) {
	if v.assertions {
		return v.assertion(r)
	}
	p, err := bearer(r.Header)
	if err != nil {
		return nil, err
	}
	switch {
	case v.jwts && strings.Count(p.token, ".") == 2:
		return v.jwt(r.Context(), p)
	case v.opaque && opaque(p.token):
		return v.live(r.Context(), p.token, "mikrocloud")
	}
	return nil, invalid("not a token that is accepted")
}

// Ready asks Ostiary for what the first request would need: the keys, if JWTs are accepted, and whether the service
// account may introspect, if there is one. It is for a server's start and its readiness probe; an error is
// ErrUnavailable.
func (v *Verifier) Ready(ctx context.Context) error {
	if v.jwts {
		if err := v.keys.load(ctx); err != nil {
			return err
		}
	}
	if v.introspector != nil {
		return v.introspector.try(ctx)
	}
	return nil
}

func (v *Verifier) assertion(r *http.Request) (*Identity, error) {
	values := r.Header[AssertionHeader]
	switch {
	case len(values) > 1:
		return nil, invalid("two assertions in one request")
	case len(values) == 0 || values[0] == "":
		return nil, ErrNoCredential
	}
	return v.verify(r.Context(), presented{token: values[0]}, "at+jwt", maxAssertion)
}

// jwt verifies an access token, and asks about it if that is wanted, or if it says that it is not complete.
func (v *Verifier) jwt(ctx context.Context, p presented) (*Identity, error) {
	i, err := v.verify(ctx, p, "JWT", maxToken)
	if err != nil || v.introspector == nil || !v.always && len(i.Omitted) == 0 {
		return i, err
	}
	l, err := v.live(ctx, p.token, i.Dialect)
	if err != nil {
		return nil, err
	}
	// What another server issued names no session of Ostiary's.
	if l.Subject != i.Subject || i.Session != "" && l.Session != i.Session || l.Issuer != i.Issuer {
		return nil, invalid("introspection: of somebody else")
	}
	return l, nil
}

// live asks about a token, which must be of the dialect.
func (v *Verifier) live(ctx context.Context, token, dialect string) (*Identity, error) {
	i, err := v.introspector.ask(ctx, token)
	if err == nil && i.Dialect != dialect {
		return nil, invalid("introspection: of another dialect")
	}
	return i, err
}

// verify verifies a JWT. Nothing of it is trusted before its signature, its header excepted, which only ever chooses
// one of the keys.
func (v *Verifier) verify(ctx context.Context, p presented, typ string, limit int) (*Identity, error) {
	t, err := parseJWS(p.token, typ, limit)
	if err != nil {
		return nil, err
	}
	key, err := v.keys.key(ctx, t.kid)
	if err != nil {
		return nil, err
	}
	if err := key.verify(t); err != nil {
		return nil, err
	}
	c, err := parseObject(t.payload)
	if err != nil {
		return nil, fmt.Errorf("%w: claims: %s", ErrInvalid, err.Error())
	}
	if key.foreign && (typ != "JWT" || !c.is("iss", key.issuer)) {
		return nil, invalid("signed by the key of another server, which is good for tokens of its issuer alone")
	}
	if err := checkDates(c, v.now()); err != nil {
		return nil, err
	}
	return v.read(c, p)
}

// read finds the kind that the token is, of those that are accepted. The reason that it is none of them is that of the
// last one with the same issuer.
func (v *Verifier) read(c object, p presented) (*Identity, error) {
	reason := errIssuer
	for _, k := range v.accept {
		i, err := k.read(c, p)
		if err == nil {
			return i, nil
		}
		if !errors.Is(err, errIssuer) {
			reason = err
		}
	}
	return nil, reason
}
