package auth

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/keyring"
	"github.com/ostiary/ostiary/internal/token"
)

// A token that another server issued, and that is good here, becomes a session at first
// sight (foreignadopt.go), and is nothing but the token of that session from then on.

// foreignToken is such a token, as a request presents it.
type foreignToken struct {
	realm  uuid.UUID
	mount  *Mount // of the sessions that it may become
	text   string
	hash   [32]byte // of what names it
	claims token.Claims
	key    *keyring.ForeignKey // that has signed it; nil: it is opaque
}

// findForeign finds the session of a JWT that a foreign key has signed. Issuer, audience and
// kind are looked at before anything is read.
func (s *Service) findForeign(ctx context.Context, realm uuid.UUID, p Presented, claims token.Claims, key *keyring.ForeignKey, view viewer) (f found, err error) {
	f.claims = claims
	d := Dialect(key.Dialect)
	if err := s.foreignNames(claims, key); err != nil {
		return f, err
	}
	if err := s.accepts(d, claims, p); err != nil {
		return f, err
	}
	t := &foreignToken{realm: realm, text: p.Token, hash: token.HashSigned(p.Token), claims: claims, key: key}
	if t.mount = s.mountLike(realm, d, claims.String(s.audienceClaim(d))); t.mount == nil {
		return f, Because(CodeTokenInvalid, "the realm has no mount of %s", d)
	}
	read := func() (SessionRecord, error) { return s.foreignSession(ctx, t) }
	f.view, err = view(ctx, realm, t.hash[:], read)
	if sub, named := claims["sub"]; named && err == nil && f.who.Subject != sub {
		if f.view, err = s.look(read); err == nil && f.who.Subject != sub {
			err = Because(CodeTokenInvalid, "issued for the subject %q, and the account's is %q now", sub, f.who.Subject)
		}
	}
	if err == nil {
		f.mount, err = s.mountOf(realm, f.rec.Session)
	}
	return f, err
}

// foreignNames sees that the token is of the key's issuer and audience, exactly.
func (s *Service) foreignNames(claims token.Claims, key *keyring.ForeignKey) error {
	_, named := claims["iss"]
	if claims.String("iss") != key.Issuer || named != (key.Issuer != "") {
		return Because(CodeTokenInvalid, "issued by another one than the foreign key %s is for", key.Name())
	}
	if key.Audience == "" {
		return nil
	}
	audience := claims[s.audienceClaim(Dialect(key.Dialect))]
	if list, ok := audience.([]any); ok && len(list) == 1 { // RFC 7519 section 4.1.3
		audience = list[0]
	}
	if audience != key.Audience {
		return Because(CodeTokenInvalid, "for another audience than the foreign key %s is for", key.Name())
	}
	return nil
}

func (s *Service) audienceClaim(d Dialect) string {
	if claim := s.dialects[d].Audience; claim != "" {
		return claim
	}
	return "aud"
}

// mountLike is the realm's mount of a dialect with an audience, or else its first.
func (s *Service) mountLike(realm uuid.UUID, d Dialect, audience string) (first *Mount) {
	for _, m := range s.mounts {
		if m.RealmID != realm || m.Dialect != d {
			continue
		}
		if m.Audience == audience {
			return m
		}
		if first == nil {
			first = m
		}
	}
	return first
}

// mountOf is where a session was opened.
func (s *Service) mountOf(realm uuid.UUID, ses Session) (*Mount, error) {
	for _, m := range s.mounts {
		if m.RealmID == realm && m.Dialect == ses.Dialect && m.Audience == ses.Audience {
			return m, nil
		}
	}
	return nil, Because(CodeTokenInvalid, "the realm has no mount of %s for the audience %q", ses.Dialect, ses.Audience)
}

// foreignSession reads the session of a JWT, which it gets if it has none.
func (s *Service) foreignSession(ctx context.Context, t *foreignToken) (SessionRecord, error) {
	r, err := s.foreignRecord(ctx, t)
	if err == nil {
		return s.sessionOfRecord(ctx, t, r)
	}
	if !errors.Is(err, ErrNotFound) {
		return SessionRecord{}, err
	}
	if r, err = s.newForeign(ctx, t); err != nil {
		return SessionRecord{}, err
	}
	return s.admit(ctx, t, r, false)
}

// foreignRecord finds what is known of a JWT: of the session that it names, of itself, or of
// its text.
func (s *Service) foreignRecord(ctx context.Context, t *foreignToken) (r ForeignRecord, err error) {
	rules := s.dialects[t.mount.Dialect]
	type place struct {
		hash [32]byte
		kind ForeignKind
	}
	places := []place{{t.hash, foreignJWT}}
	if hash, ok := token.HashForeign(t.text); ok && s.takes(t.mount.Dialect, ForeignBearer) {
		places = append(places, place{hash, ForeignBearer})
	}
	if hash, ok := token.HashForeign(t.claims.String(rules.Session)); ok {
		places = slices.Insert(places, 0, place{hash, ForeignSession})
	}
	for _, p := range places {
		r, err = s.store.ForeignToken(ctx, t.realm, p.hash)
		if err == nil && (r.Kind != p.kind || r.Dialect != t.mount.Dialect) {
			err = ErrNotFound
		}
		if !errors.Is(err, ErrNotFound) {
			return r, err
		}
	}
	return r, ErrNotFound
}

// sessionOfRecord reads the session of a token that is known, which it gets if it has none.
func (s *Service) sessionOfRecord(ctx context.Context, t *foreignToken, r ForeignRecord) (SessionRecord, error) {
	switch {
	case r.Session != uuid.Nil:
		return s.store.SessionByID(ctx, t.realm, r.Session)
	case !r.SpentAt.IsZero():
		return SessionRecord{}, Because(CodeSessionEnded, "the foreign %s was made void", r.Kind)
	case !s.now().Before(r.ExpiresAt):
		return SessionRecord{}, Because(CodeSessionEnded, "the foreign %s has expired", r.Kind)
	}
	return s.admit(ctx, t, r, true)
}

// newForeign is what is to be known of a JWT that nobody has seen here. Its subject is an alias:
// the number that an account has from this server's counter is somebody else's at the other.
func (s *Service) newForeign(ctx context.Context, t *foreignToken) (r ForeignRecord, err error) {
	r = ForeignRecord{
		RealmID: t.realm, Hash: t.hash, Dialect: t.mount.Dialect, Kind: foreignJWT, Key: t.key.ID,
		CreatedAt: t.claims.Time("iat"), ExpiresAt: t.claims.Time("exp"),
	}
	subject := t.claims.String("sub")
	switch {
	case r.ExpiresAt.IsZero() || r.CreatedAt.IsZero():
		return r, Because(CodeTokenInvalid, "without exp or iat, and of a session that is not known here")
	case subject == "":
		return r, Because(CodeTokenInvalid, "without a subject, and of a session that is not known here")
	}
	rec, err := s.store.AccountBySubject(ctx, t.realm, t.mount.Dialect, subject)
	unknown := errors.Is(err, ErrNotFound)
	if err != nil && !unknown {
		return r, err
	}
	r.AccountID = rec.ID
	gone, err := s.store.SubjectGone(ctx, t.realm, t.mount.Dialect, subject)
	if err == nil && r.CreatedAt.Before(gone) {
		err = barred("issued to an account that was deleted, and had the subject %q", subject)
	}
	if err == nil && unknown {
		err = Because(CodeTokenInvalid, "no account has the subject %q in %s: import it, or set the alias", subject, t.mount.Dialect)
	}
	return r, err
}

// foreignBearer reads the session of an opaque token that another server issued.
func (s *Service) foreignBearer(ctx context.Context, realm uuid.UUID, text string) (SessionRecord, error) {
	hash, ok := token.HashForeign(text)
	if !ok || !s.anyForeign(ctx, realm) {
		return SessionRecord{}, ErrNotFound
	}
	r, err := s.store.ForeignToken(ctx, realm, hash)
	if err == nil && r.Kind != ForeignBearer {
		err = ErrNotFound
	}
	if err != nil {
		return SessionRecord{}, err
	}
	t := &foreignToken{realm: realm, text: text, hash: hash}
	if t.mount = s.mountLike(realm, r.Dialect, ""); t.mount == nil {
		return SessionRecord{}, Because(CodeTokenInvalid, "the realm has no mount of %s", r.Dialect)
	}
	return s.sessionOfRecord(ctx, t, r)
}

// anyForeign tells whether tokens of others are known at all, so that garbage costs no more
// reads than where there are none.
func (s *Service) anyForeign(ctx context.Context, realm uuid.UUID) bool {
	if s.learned.Load() {
		return true
	}
	st, err := s.state(ctx, realm)
	if err == nil && !st.anyForeign && time.Since(st.loaded) > realmFresh/4 {
		st, err = s.reload(ctx, realm)
	}
	return err != nil || st.anyForeign // whoever reads next says what is wrong
}

// forgetSubjects notes what a deleted account was called: what was issued to it is not for
// whoever is called so later.
func forgetSubjects(ctx context.Context, tx Tx, a Account, now time.Time) error {
	aliases, err := tx.Aliases(ctx, a.ID)
	if err != nil {
		return err
	}
	aliases[""] = strconv.FormatInt(a.Number, 10)
	for d, subject := range aliases {
		if err := tx.NoteSubjectGone(ctx, a.RealmID, d, subject, now); err != nil {
			return err
		}
	}
	return nil
}
