package auth

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/keyring"
	"github.com/ostiary/ostiary/internal/token"
)

// touchEvery is how often a session's last use is written, unless its idle time is so
// short that it must be written more often.
const touchEvery = time.Minute

// Identify tells who a live access credential of a realm speaks for, in whatever
// dialect it is. CodeTokenMissing, CodeTokenInvalid or CodeSessionEnded if it is none.
// The caller must not change the Identity.
func (s *Service) Identify(ctx context.Context, realm uuid.UUID, p Presented) (*Identity, error) {
	f, err := s.find(ctx, realm, p, s.viewOf)
	if err != nil {
		return nil, err
	}
	s.used(f.view)
	return f.who, nil
}

// identity is what the store knows of whom a session speaks for.
func (s *Service) identity(rec SessionRecord) *Identity {
	a := rec.Account.Account
	return &Identity{
		Subject: s.subject(rec.Account, rec.Dialect), Account: a.ID, Username: a.Username, Email: a.Email, Org: a.Org,
		Roles: rec.Account.Roles, Datasources: rec.Account.Datasources,
		Dialect: rec.Dialect, Session: rec.ID, AuthTime: rec.AuthTime, AMR: rec.AMR,
		asserted: new(atomic.Pointer[assertion]),
	}
}

// Logout ends the session of a live access credential.
func (s *Service) Logout(ctx context.Context, realm uuid.UUID, p Presented, cl Client) error {
	f, err := s.find(ctx, realm, p, s.anew)
	if err != nil {
		return err
	}
	cl.token = audit.TokenTag(p.Token)
	err = s.EndSession(ctx, realm, f.rec.ID, "logout", cl)
	if CodeOf(err) == CodeNotFound {
		return nil // somebody else ended it meanwhile
	}
	return err
}

// found is the session of an access credential, and where it was opened.
type found struct {
	*view
	mount  *Mount
	claims token.Claims // of a JWT
}

// viewer finds a session: viewOf, or anew, which always asks the store.
type viewer func(ctx context.Context, realm uuid.UUID, key []byte, read func() (SessionRecord, error)) (*view, error)

func (s *Service) anew(_ context.Context, _ uuid.UUID, _ []byte, read func() (SessionRecord, error)) (*view, error) {
	return s.look(read)
}

// find finds the live session of an access credential.
func (s *Service) find(ctx context.Context, realm uuid.UUID, p Presented, view viewer) (found, error) {
	f, err := s.seek(ctx, realm, p, view)
	if err == nil && p.Found != nil {
		*p.Found = f.rec.Dialect
	}
	return f, err
}

func (s *Service) seek(ctx context.Context, realm uuid.UUID, p Presented, view viewer) (f found, err error) {
	switch {
	case p.Token == "":
		return f, &Error{Code: CodeTokenMissing}
	case strings.Count(p.Token, ".") == 2:
		if f, err = s.findJWT(ctx, realm, p, view); CodeOf(err) != CodeTokenInvalid || p.Bare || !s.anyForeign(ctx, realm) {
			return f, err
		}
		// Another server's opaque token may have dots, too.
		if opaque, other := s.findOpaque(ctx, realm, p, view); CodeOf(other) != CodeTokenInvalid {
			return opaque, other
		}
		return f, err
	}
	return s.findOpaque(ctx, realm, p, view)
}

// findOpaque finds the session of an opaque token, of ours or of another server's.
func (s *Service) findOpaque(ctx context.Context, realm uuid.UUID, p Presented, view viewer) (f found, err error) {
	hash, own := token.HashOpaque(p.Token)
	foreign, ok := hash, own // of the same text
	if !own {
		foreign, ok = token.HashForeign(p.Token)
	}
	if !ok || p.Bare {
		return f, Because(CodeTokenInvalid, "neither a JWT nor an opaque token")
	}
	f.view, err = view(ctx, realm, foreign[:], func() (rec SessionRecord, err error) {
		if own {
			rec, err = s.store.SessionByBearer(ctx, realm, hash)
		}
		if own && !errors.Is(err, ErrNotFound) {
			return rec, err
		}
		return s.foreignBearer(ctx, realm, p.Token)
	})
	if err == nil {
		f.mount, err = s.mountOf(realm, f.rec.Session)
	}
	return f, err
}

func (s *Service) usable(rec SessionRecord, err error) error {
	switch {
	case errors.Is(err, ErrNotFound):
		return Because(CodeTokenInvalid, "no session has this token")
	case err != nil:
		return storeError(err)
	case !rec.live(s.now()):
		return Because(CodeSessionEnded, "session %s has ended", rec.ID)
	}
	return nil
}

// findJWT verifies a JWT (RFC 8725, section 3): signature and times, then that its
// session lives and its subject is still the account's, then issuer, audience and kind by
// the rules of the session's dialect.
func (s *Service) findJWT(ctx context.Context, realm uuid.UUID, p Presented, view viewer) (f found, err error) {
	var key *keyring.ForeignKey
	f.claims, key, err = s.parse(ctx, realm, p.Token)
	if err != nil {
		return f, err
	}
	if key != nil {
		return s.findForeign(ctx, realm, p, f.claims, key, view)
	}
	id, ok := token.SessionOf(f.claims.String("jti"))
	if !ok {
		return f, Because(CodeTokenInvalid, "jti names no session")
	}
	if err = s.findSubject(ctx, realm, id, &f, view); err != nil {
		return f, err
	}
	if f.mount = s.issuedAt(realm, f.rec.Dialect, f.claims); f.mount == nil {
		return f, Because(CodeTokenInvalid, "no %s mount of the realm has this issuer and audience", f.rec.Dialect)
	}
	return f, s.accepts(f.rec.Dialect, f.claims, p)
}

// accepts is a dialect's word on whether a JWT is an access credential.
func (s *Service) accepts(d Dialect, claims token.Claims, p Presented) error {
	if p.AnyCSRF {
		p.CSRF = claims.String("csrf")
	}
	accept := s.dialects[d].Accept
	if accept == nil {
		return nil
	}
	err := accept(claims, p)
	if err == nil {
		return nil
	}
	e := &Error{Code: CodeTokenInvalid, Cause: err}
	if public, ok := errors.AsType[*Error](err); ok {
		e.Detail = public.Detail
	}
	return e
}

// findSubject finds the session of a JWT, of which sub must be the account's subject: one
// that was taken from it may be another account's by now. A view may not know of a change
// that the token is newer than.
func (s *Service) findSubject(ctx context.Context, realm, id uuid.UUID, f *found, view viewer) (err error) {
	read := func() (SessionRecord, error) { return s.store.SessionByID(ctx, realm, id) }
	sub := f.claims.String("sub")
	if f.view, err = view(ctx, realm, id[:], read); err == nil && f.who.Subject != sub {
		f.view, err = s.look(read)
	}
	if err == nil && f.who.Subject != sub {
		err = Because(CodeTokenInvalid, "issued for the subject %q, and the account's is %q now", sub, f.who.Subject)
	}
	return err
}

// parse verifies a JWT by the realm's keys, and if it is none of ours, by those of others,
// of which it returns the one. A key that this node does not know may be new: the keys are
// then read again, but not more often than a guesser could make it costly.
func (s *Service) parse(ctx context.Context, realm uuid.UUID, jwt string) (token.Claims, *keyring.ForeignKey, error) {
	st, err := s.state(ctx, realm)
	if err != nil {
		return nil, nil, err
	}
	claims, key, err := s.parseBy(st.ring, jwt)
	if errors.Is(err, token.ErrUnknownKey) && time.Since(st.loaded) > realmFresh/4 {
		if st, err = s.reload(ctx, realm); err != nil {
			return nil, nil, err
		}
		claims, key, err = s.parseBy(st.ring, jwt)
	}
	if err != nil {
		return nil, nil, &Error{Code: CodeTokenInvalid, Cause: err}
	}
	return claims, key, nil
}

// parseBy tries the keys of a ring. No key of ours is ever one of others, nor the other way
// round: their kids differ.
func (s *Service) parseBy(ring *keyring.Ring, jwt string) (token.Claims, *keyring.ForeignKey, error) {
	claims, err := s.jwts.Parse(ring, jwt, s.now())
	if err == nil || !ring.HasForeign() {
		return claims, nil, err
	}
	claims, key, foreign := s.jwts.ParseForeign(ring, jwt, s.now())
	if errors.Is(foreign, token.ErrUnknownKey) { // then it is ours, if it is anybody's
		return nil, nil, err
	}
	return claims, key, foreign
}

// issuedAt is a mount that has exactly the token's issuer and audience, or nil.
func (s *Service) issuedAt(realm uuid.UUID, d Dialect, claims token.Claims) *Mount {
	audience := s.audienceClaim(d)
	if _, other := claims["aud"]; other && audience != "aud" {
		return nil
	}
	_, present := claims[audience]
	for _, m := range s.mounts {
		if m.RealmID == realm && m.Dialect == d && m.Issuer == claims.String("iss") &&
			(claims.Is(audience, m.Audience) || m.Audience == "" && !present) {
			return m
		}
	}
	return nil
}

// used notes, in the background, that a session is in use. Under load some notes are
// dropped; the next use a moment later makes up for it.
func (s *Service) used(v *view) {
	rec, now := &v.rec, s.now()
	idle := time.Duration(0)
	every := touchEvery
	if !rec.IdleAt.IsZero() {
		idle = rec.IdleAt.Sub(rec.LastUsedAt)
		every = min(every, idle/4)
	}
	noted := v.touched.Load()
	if now.Sub(rec.LastUsedAt) < every || now.Sub(time.UnixMicro(noted)) < every || !v.touched.CompareAndSwap(noted, now.UnixMicro()) {
		return
	}
	select {
	case s.touch <- struct{}{}:
	default:
		v.touched.Store(noted)
		return
	}
	go func() {
		defer func() { <-s.touch }()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err := s.store.InTx(ctx, func(tx Tx) error {
			last, err := tx.SessionByID(ctx, rec.RealmID, rec.ID)
			if err != nil || now.Sub(last.LastUsedAt) < every { // noted meanwhile, from another view
				return err
			}
			_, err = tx.TouchSession(ctx, rec.RealmID, rec.ID, idleAt(now, idle), now)
			return err
		})
		if err != nil && !errors.Is(err, ErrNotFound) {
			s.log.Warn("last use of a session not noted", "session", rec.ID, "err", err)
		}
	}()
}
