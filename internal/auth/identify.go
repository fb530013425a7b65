package auth

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/token"
)

// touchEvery is how often a session's last use is written, unless its idle time is so
// short that it must be written more often.
const touchEvery = time.Minute

// Identify tells who a live access credential of a realm speaks for, in whatever
// dialect it is. CodeTokenMissing, CodeTokenInvalid or CodeSessionEnded if it is none.
func (s *Service) Identify(ctx context.Context, realm uuid.UUID, p Presented) (*Identity, error) {
	rec, subject, err := s.session(ctx, realm, p)
	if err != nil {
		return nil, err
	}
	s.used(rec)
	a := rec.Account.Account
	return &Identity{
		Subject: subject, Account: a.ID, Username: a.Username, Email: a.Email, Org: a.Org,
		Dialect: rec.Dialect, Session: rec.ID, AuthTime: rec.AuthTime, AMR: rec.AMR,
	}, nil
}

// Logout ends the session of a live access credential.
func (s *Service) Logout(ctx context.Context, realm uuid.UUID, p Presented, cl Client) error {
	rec, _, err := s.session(ctx, realm, p)
	if err != nil {
		return err
	}
	err = s.EndSession(ctx, realm, rec.ID, "logout", cl)
	if CodeOf(err) == CodeNotFound {
		return nil // somebody else ended it meanwhile
	}
	return err
}

// session finds the live session of an access credential, and the subject it was issued for.
func (s *Service) session(ctx context.Context, realm uuid.UUID, p Presented) (rec SessionRecord, subject string, err error) {
	switch {
	case p.Token == "":
		return rec, "", &Error{Code: CodeTokenMissing}
	case strings.Count(p.Token, ".") == 2:
		return s.jwtSession(ctx, realm, p)
	}
	hash, ok := token.HashOpaque(p.Token)
	if !ok || p.Bare {
		return rec, "", Because(CodeTokenInvalid, "neither a JWT nor an opaque token")
	}
	rec, err = s.store.SessionByBearer(ctx, realm, hash)
	if err := s.usable(rec, err); err != nil {
		return rec, "", err
	}
	return rec, s.subject(rec.Account, rec.Dialect), nil
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

// jwtSession verifies a JWT (RFC 8725, section 3): signature and times, then that its
// session lives, then issuer, audience and kind by the rules of the session's dialect.
func (s *Service) jwtSession(ctx context.Context, realm uuid.UUID, p Presented) (rec SessionRecord, subject string, err error) {
	claims, err := s.parse(ctx, realm, p.Token)
	if err != nil {
		return rec, "", err
	}
	id, ok := token.SessionOf(claims.String("jti"))
	if !ok {
		return rec, "", Because(CodeTokenInvalid, "jti names no session")
	}
	rec, err = s.store.SessionByID(ctx, realm, id)
	if err := s.usable(rec, err); err != nil {
		return rec, "", err
	}
	if !s.issuedHere(realm, rec.Dialect, claims) {
		return rec, "", Because(CodeTokenInvalid, "no %s mount of the realm has this issuer and audience", rec.Dialect)
	}
	if accept := s.dialects[rec.Dialect].Accept; accept != nil {
		if err := accept(claims, p); err != nil {
			return rec, "", &Error{Code: CodeTokenInvalid, Cause: err}
		}
	}
	return rec, claims.String("sub"), nil
}

// parse verifies a JWT by the realm's keys. A key that this node does not know may be
// new: the keys are then read again, but not more often than a guesser could make it costly.
func (s *Service) parse(ctx context.Context, realm uuid.UUID, jwt string) (token.Claims, error) {
	st, err := s.state(ctx, realm)
	if err != nil {
		return nil, err
	}
	claims, err := s.jwts.Parse(st.ring, jwt, s.now())
	if errors.Is(err, token.ErrUnknownKey) && time.Since(st.loaded) > realmFresh/4 {
		if st, err = s.reload(ctx, realm); err != nil {
			return nil, err
		}
		claims, err = s.jwts.Parse(st.ring, jwt, s.now())
	}
	if err != nil {
		return nil, &Error{Code: CodeTokenInvalid, Cause: err}
	}
	return claims, nil
}

// issuedHere tells whether a mount has exactly the token's issuer and audience.
func (s *Service) issuedHere(realm uuid.UUID, d Dialect, claims token.Claims) bool {
	audience := s.dialects[d].Audience
	if audience == "" {
		audience = "aud"
	} else if _, other := claims["aud"]; other {
		return false
	}
	_, present := claims[audience]
	for _, m := range s.mounts {
		if m.RealmID == realm && m.Dialect == d && m.Issuer == claims.String("iss") &&
			(claims.Is(audience, m.Audience) || m.Audience == "" && !present) {
			return true
		}
	}
	return false
}

// used notes, in the background, that a session is in use. Under load some notes are
// dropped; the next use a moment later makes up for it.
func (s *Service) used(rec SessionRecord) {
	now := s.now()
	idle := time.Duration(0)
	every := touchEvery
	if !rec.IdleAt.IsZero() {
		idle = rec.IdleAt.Sub(rec.LastUsedAt)
		every = min(every, idle/4)
	}
	if now.Sub(rec.LastUsedAt) < every {
		return
	}
	select {
	case s.touch <- struct{}{}:
	default:
		return
	}
	go func() {
		defer func() { <-s.touch }()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err := s.store.InTx(ctx, func(tx Tx) error {
			_, err := tx.TouchSession(ctx, rec.RealmID, rec.ID, idleAt(now, idle), now)
			return err
		})
		if err != nil {
			s.log.Warn("last use of a session not noted", "session", rec.ID, "err", err)
		}
	}()
}
