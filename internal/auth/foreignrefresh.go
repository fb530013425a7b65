package auth

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/token"
)

// rotateForeign spends a refresh token that another server issued, for one of ours: it opens
// a session, and is the token before the first of its chain, by the rules of Refresh.
func (s *Service) rotateForeign(ctx context.Context, m *Mount, presented Secret, cl Client) (g *Grant, rot Rotation, err error) {
	none := Because(CodeTokenInvalid, "not a refresh token of this realm")
	hash, ok := token.HashForeign(string(presented))
	if !ok { // it is looked for always: a client drops a token that is refused, and one may have been imported just now
		return nil, rot, none
	}
	r, err := s.store.ForeignToken(ctx, m.RealmID, hash)
	now := s.now()
	switch {
	case errors.Is(err, ErrNotFound), err == nil && (r.Kind != ForeignRefresh || r.Dialect != m.Dialect):
		return nil, rot, none
	case err != nil:
		return nil, rot, storeError(err)
	case !now.Before(r.ExpiresAt):
		return nil, rot, Because(CodeTokenInvalid, "a refresh token of another server, which has expired")
	}
	cl.token = audit.TokenTag(string(presented))
	t := &foreignToken{realm: m.RealmID, mount: m, text: string(presented), hash: hash}
	session := r.Session
	err = s.store.InTx(Along(ctx, r.AccountID.String()), func(tx Tx) error {
		var err error
		if session, err = s.firstRefresh(ctx, tx, t, r, cl); err != nil {
			return err
		}
		if rot, err = tx.RotateForeign(ctx, m, session, now); err != nil {
			return err
		}
		g = s.grant(m, rot.Account, rot.Session, now)
		return tx.InsertEvent(ctx, s.refreshed(rot, cl))
	})
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, rot, s.refreshFailed(ctx, m, session, cl)
	case err != nil:
		return nil, rot, storeError(err)
	case rot.Stolen:
		return nil, rot, Because(CodeTokenReused, "the token that another server issued for session %s was spent: the session has been ended", session)
	}
	return g, rot, nil
}

// firstRefresh gives a refresh token its session, unless it has one by now.
func (s *Service) firstRefresh(ctx context.Context, tx Tx, t *foreignToken, r ForeignRecord, cl Client) (session uuid.UUID, err error) {
	if r.Session != uuid.Nil {
		return r.Session, nil
	}
	if err := s.mayAdopt(ctx, tx, r, tx.HoldAccount); err != nil {
		return uuid.Nil, err
	}
	now := s.now()
	ses := s.sessionFor(t, r)
	ses.Generation, ses.ExpiresAt = 1, now.Add(t.mount.SessionMax) // what it gets are tokens of ours
	ses.UserAgent = cut(cl.UserAgent, maxUserAgent)
	if cl.Address.IsValid() {
		ses.Address = cl.Address.Unmap().String()
	}
	first, err := tx.SpendForeignToken(ctx, r.RealmID, r.Hash, ses.ID, uuid.Nil, now)
	if err != nil {
		return uuid.Nil, err
	}
	if !first {
		r, err = tx.ForeignToken(ctx, r.RealmID, r.Hash)
		if err == nil && r.Session == uuid.Nil {
			err = Because(CodeTokenInvalid, "a refresh token of another server, which was made void")
		}
		return r.Session, err
	}
	r.Session = ses.ID
	if err := tx.InsertSession(ctx, ses, nil); err != nil {
		return uuid.Nil, err
	}
	return ses.ID, tx.InsertEvent(ctx, s.adopted(t, r, cl))
}

// prolong notes that a session goes on, and returns it as it then is. One that a token of another
// server has become ends with that token: its next tokens are ours, and so it ends as those of a
// login then do.
func (s *Service) prolong(ctx context.Context, tx Tx, m *Mount, ses Session, now time.Time) (_ Session, alive bool, err error) {
	idle := idleAt(now, m.SessionIdle)
	end := ses.AuthTime.Add(m.SessionMax)
	if ses.Generation > 0 || !end.After(ses.ExpiresAt) {
		alive, err = tx.TouchSession(ctx, ses.RealmID, ses.ID, idle, now)
		return ses, alive, err
	}
	alive, err = tx.ExtendSession(ctx, ses.RealmID, ses.ID, idle, end, now)
	ses.ExpiresAt = end
	return ses, alive, err
}

// revokeForeign ends what an opaque token of another server is good for; none is the error
// for what is none.
func (s *Service) revokeForeign(ctx context.Context, realm uuid.UUID, tok string, none error, cl Client) error {
	hash, ok := token.HashForeign(tok)
	if !ok || !s.anyForeign(ctx, realm) {
		return none
	}
	r, err := s.store.ForeignToken(ctx, realm, hash)
	if errors.Is(err, ErrNotFound) || err == nil && r.Kind != ForeignBearer && r.Kind != ForeignRefresh {
		return none
	}
	if err != nil {
		return storeError(err)
	}
	err = s.change(ctx, func(tx Tx) error {
		void, err := tx.SpendForeignToken(ctx, realm, hash, uuid.Nil, uuid.Nil, s.now())
		if err != nil || !void {
			return err
		}
		e := s.event(realm, audit.SessionEnded, r.AccountID, cl)
		e.Dialect, e.Detail = string(r.Dialect), "revoked"
		return tx.InsertEvent(ctx, e)
	})
	if err != nil {
		return err
	}
	// If it was a session already, or has become one meanwhile, that ends.
	if r, err = s.store.ForeignToken(ctx, realm, hash); err != nil || r.Session == uuid.Nil {
		return storeError(err)
	}
	return s.EndSession(ctx, realm, r.Session, "revoked", cl)
}
