package auth

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/password"
)

const maxUserAgent = 255 // bytes that are kept of a User-Agent

// openSession stores a session of a login that was checked against rec, and says so in
// the audit log. errChanged if the account is disabled or has changed since the check.
func (s *Service) openSession(ctx context.Context, tx Tx, m *Mount, rec AccountRecord, amr []string, bearer []byte, cl Client) (*Grant, error) {
	now := s.now()
	ok, err := tx.RecordSignIn(ctx, rec.ID, rec.Version, now)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errChanged
	}
	ses := Session{
		ID: newID(), RealmID: rec.RealmID, AccountID: rec.ID, Dialect: m.Dialect, AMR: amr,
		AuthTime: now, LastUsedAt: now, IdleAt: idleAt(now, m.SessionIdle), ExpiresAt: now.Add(m.SessionMax),
		UserAgent: cut(cl.UserAgent, maxUserAgent), Generation: 1, Audience: m.Audience,
	}
	if cl.Address.IsValid() {
		ses.Address = cl.Address.Unmap().String()
	}
	if err := tx.InsertSession(ctx, ses, bearer); err != nil {
		return nil, err
	}
	if source := sourceOf(cl.Address); source != "" && !cl.Shared {
		if err := tx.NoteSource(ctx, rec.ID, source, now); err != nil {
			return nil, err
		}
	}
	e := s.event(rec.RealmID, audit.SignedIn, rec.ID, cl)
	e.Session, e.Dialect = ses.ID, string(m.Dialect)
	if len(bearer) == len(e.Hash) {
		e.Token = audit.TagOf([32]byte(bearer))
	}
	if err := tx.InsertEvent(ctx, e); err != nil {
		return nil, err
	}
	return s.grant(m, rec, ses, now), nil
}

func (s *Service) grant(m *Mount, rec AccountRecord, ses Session, now time.Time) *Grant {
	return &Grant{
		Mount: m, Account: rec.Account, Session: ses, Subject: s.subject(rec, m.Dialect), IssuedAt: now,
		Roles: rec.Roles, Datasources: rec.Datasources,
	}
}

// subject is an account's name in a dialect: its alias, or the dialect's default.
func (s *Service) subject(rec AccountRecord, d Dialect) string {
	if rec.Subject != "" {
		return rec.Subject
	}
	if by := s.dialects[d].Subject; by != nil {
		return by(rec.Account)
	}
	return rec.ID.String()
}

func idleAt(now time.Time, idle time.Duration) time.Time {
	if idle == 0 {
		return time.Time{}
	}
	return now.Add(idle)
}

func cut(text string, n int) string {
	if len(text) > n {
		return strings.ToValidUTF8(text[:n], "") // no half of a character: a database may refuse it
	}
	return text
}

// rehash hashes the password of a login anew, if its hash is of another kind than those
// made here, and the password has not changed. That of a source is noted as proven. It comes when the login is done: a right
// password that is refused for its code must not take the time of a second hash. If it
// fails, the next login tries again.
func (s *Service) rehash(ctx context.Context, m *Mount, got *checked, cl Client) {
	was := got.right
	if got.stale == "" && (was.Source == "" || !was.ProvenAt.IsZero()) {
		return
	}
	var err error
	hash := was.Hash
	switch {
	case got.fresh != "":
		hash = got.fresh
	case got.stale != "":
		hash, err = s.hasher.Hash(ctx, string(got.stale))
	}
	if err == nil {
		err = s.change(ctx, func(tx Tx) error { return s.storeRehash(ctx, tx, m, got, hash, cl) })
	}
	if err != nil {
		s.log.Info("a password was not hashed anew: the next login tries again", "account", got.rec.ID, "err", err)
	}
}

// storeRehash puts a hash in place of the one that was right, which it may be itself.
func (s *Service) storeRehash(ctx context.Context, tx Tx, m *Mount, got *checked, hash string, cl Client) error {
	id, was, done := got.rec.ID, got.right, false
	err := changePasswords(ctx, tx, got.rec.RealmID, id, func(AccountRecord) (_ bool, err error) {
		if was.Source == "" {
			done, err = tx.Rehash(ctx, id, was.Hash, hash)
		} else {
			done, err = tx.ProveSource(ctx, id, was.Source, was.Hash, hash, s.now())
		}
		return done, err
	})
	if err != nil || !done || hash == was.Hash {
		return err
	}
	e := s.event(got.rec.RealmID, audit.PasswordRehashed, id, cl)
	e.Dialect, e.Detail = string(m.Dialect), password.Scheme(was.Hash)
	return tx.InsertEvent(ctx, e)
}

// live tells whether a session can be used now.
func (r SessionRecord) live(now time.Time) bool {
	return r.EndedAt.IsZero() && now.Before(r.ExpiresAt) && (r.IdleAt.IsZero() || now.Before(r.IdleAt)) &&
		!r.Account.Disabled
}

// ListSessions lists live sessions by id, of one account or of all (uuid.Nil).
func (s *Service) ListSessions(ctx context.Context, realm, account, after uuid.UUID, limit int) ([]Session, error) {
	list, err := s.store.Sessions(ctx, realm, account, after, limit, s.now())
	return list, storeError(err)
}

// EndSession ends one session. CodeNotFound if it is not alive.
func (s *Service) EndSession(ctx context.Context, realm, id uuid.UUID, reason string, cl Client) error {
	return s.endSession(ctx, realm, uuid.Nil, id, reason, cl)
}

// endSession ends a session of one account; uuid.Nil: of any.
func (s *Service) endSession(ctx context.Context, realm, account, id uuid.UUID, reason string, cl Client) error {
	return s.change(ctx, func(tx Tx) error {
		rec, err := tx.SessionByID(ctx, realm, id)
		if err != nil {
			return err
		}
		if account != uuid.Nil && rec.AccountID != account {
			return ErrNotFound
		}
		ended, err := tx.EndSession(ctx, realm, id, reason, s.now())
		if err != nil {
			return err
		}
		if !ended {
			return ErrNotFound
		}
		return tx.InsertEvent(ctx, s.sessionEnded(rec, reason, cl))
	})
}

func (s *Service) sessionEnded(rec SessionRecord, reason string, cl Client) audit.Event {
	e := s.event(rec.RealmID, audit.SessionEnded, rec.AccountID, cl)
	e.Session, e.Dialect, e.Detail = rec.ID, string(rec.Dialect), reason
	return e
}

// EndSessions ends all sessions of an account, and logins that are half done, and counts
// the sessions. The audit log has both numbers, and no entry if there was nothing to end.
func (s *Service) EndSessions(ctx context.Context, realm, account uuid.UUID, reason string, cl Client) (n int, err error) {
	err = s.change(ctx, func(tx Tx) error {
		rec, err := tx.AccountByID(ctx, realm, account, "")
		if err != nil {
			return err
		}
		halfDone, err := tx.LiveTickets(ctx, account, rec.Version, ticketAttempts, s.now())
		if err != nil {
			return err
		}
		// A login that is half done ends, too.
		if err := tx.ChangeVersion(ctx, account, s.now()); err != nil {
			return err
		}
		if n, err = tx.EndSessions(ctx, account, uuid.Nil, reason, s.now()); err != nil {
			return err
		}
		if n == 0 && halfDone == 0 {
			return nil
		}
		e := s.event(realm, audit.SessionEnded, account, cl)
		e.Detail = fmt.Sprintf("%s sessions=%d half_done=%d", reason, n, halfDone)
		return tx.InsertEvent(ctx, e)
	})
	return n, err
}
