package auth

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
)

// Refresh spends a refresh token. What Service.RefreshToken makes of the grant is the successor: a new
// generation; or the same one again, if the token was spent within the mount's
// RefreshRetry and the successor has not been used. Any other use of a spent token is a
// theft (CodeTokenReused) and ends the session. CodeTokenInvalid for all else.
func (s *Service) Refresh(ctx context.Context, m *Mount, presented Secret, cl Client) (*Grant, error) {
	g, rot, err := s.rotate(ctx, m, presented, cl)
	s.observer.Refreshed(m.Dialect, refreshOutcome(rot, err))
	use(ctx, UsedRefreshed, err)
	return g, err
}

func (s *Service) rotate(ctx context.Context, m *Mount, presented Secret, cl Client) (g *Grant, rot Rotation, err error) {
	if g, theirs, err := s.refreshShadowed(ctx, m, presented, cl); theirs {
		return g, rot, err
	}
	st, err := s.state(ctx, m.RealmID)
	if err != nil {
		return nil, rot, err
	}
	id, generation, ok := st.refresh.Parse(string(presented))
	if !ok {
		return s.rotateForeign(ctx, m, presented, cl)
	}
	cl.token = audit.TokenTag(string(presented))
	now := s.now()
	err = s.store.InTx(ctx, func(tx Tx) error {
		tx.Closing(m.RealmID)
		rot, err = tx.RotateRefresh(ctx, m, id, generation, now)
		if err != nil {
			return err
		}
		g = s.grant(m, rot.Account, rot.Session, now)
		return tx.InsertEvent(ctx, s.refreshed(rot, cl))
	})
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, rot, s.refreshFailed(ctx, m, id, cl)
	case err != nil:
		return nil, rot, storeError(err)
	case rot.Stolen:
		return nil, rot, Because(CodeTokenReused, "generation %d of session %s was spent: the session has been ended", generation, id)
	}
	return g, rot, nil
}

func (s *Service) refreshed(rot Rotation, cl Client) audit.Event {
	e := s.event(rot.Session.RealmID, audit.TokenRefreshed, rot.Session.AccountID, cl)
	e.Session, e.Dialect = rot.Session.ID, string(rot.Session.Dialect)
	switch {
	case rot.Stolen:
		e.Kind = audit.RefreshReused
	case rot.Retried:
		e.Detail = "retry"
	}
	return e
}

func (s *Service) refreshFailed(ctx context.Context, m *Mount, session uuid.UUID, cl Client) error {
	e := s.event(m.RealmID, audit.RefreshFailed, uuid.Nil, cl)
	e.Session, e.Dialect, e.Detail = session, string(m.Dialect), "session_ended"
	rec, err := s.store.SessionByID(ctx, m.RealmID, session)
	switch {
	case errors.Is(err, ErrNotFound):
		e.Detail = "session_gone"
	case err != nil:
		return storeError(err)
	case rec.live(s.now()):
		e.Detail = "not_of_this_mount"
	}
	e.Account = rec.AccountID
	if err := s.noteOnce(ctx, session.String(), e); err != nil {
		return err
	}
	return Because(CodeTokenInvalid, "refresh token of session %s: %s", session, e.Detail)
}

// noteEvery is how often what is presented again and again is recorded.
const noteEvery = time.Minute

// noteOnce records what has failed once a minute, for the same thing and reason: whoever
// has something that was good once could fill the disk with it.
func (s *Service) noteOnce(ctx context.Context, what string, e audit.Event) error {
	what += " " + e.Detail
	now := s.now()
	if at, known := s.noted.Get(what); known && now.Sub(at).Abs() < noteEvery {
		return nil
	}
	s.noted.Put(what, now, 1)
	err := s.change(ctx, func(tx Tx) error { return tx.InsertEvent(ctx, e) })
	if err != nil {
		s.noted.Put(what, time.Time{}, 1) // not yet, then
	}
	return err
}

// RefreshToken makes the refresh token of a grant's generation, whether or not the client seems to wait, as Sign does.
func (s *Service) RefreshToken(ctx context.Context, g *Grant) (Secret, error) {
	ctx, cancel := unhurried(ctx)
	defer cancel()
	st, err := s.state(ctx, g.Session.RealmID)
	if err != nil {
		return "", err
	}
	return Secret(st.refresh.Mint(g.Session.ID, g.Session.Generation)), nil
}

// Renew answers a live token of a mount's dialect with a grant for another one in the
// same session, whose absolute lifetime stays as it is.
func (s *Service) Renew(ctx context.Context, m *Mount, p Presented, cl Client) (*Grant, error) {
	if g, theirs, err := s.renewShadowed(ctx, m, p, cl); theirs {
		return g, err
	}
	f, err := s.find(ctx, m.RealmID, p, s.anew)
	if err != nil {
		return nil, err
	}
	rec := f.rec
	if rec.Dialect != m.Dialect || rec.Audience != m.Audience {
		return nil, Because(CodeTokenInvalid, "a token of %s for the audience %q", rec.Dialect, rec.Audience)
	}
	now := s.now()
	cl.token = audit.TokenTag(p.Token)
	var ses Session
	err = s.change(ctx, func(tx Tx) (err error) {
		var alive bool
		if ses, alive, err = s.prolong(ctx, tx, m, rec.Session, now); err != nil {
			return err
		}
		if !alive {
			return Because(CodeSessionEnded, "session %s has ended", rec.ID)
		}
		e := s.event(m.RealmID, audit.TokenRenewed, rec.AccountID, cl)
		e.Session, e.Dialect = rec.ID, string(m.Dialect)
		return tx.InsertEvent(ctx, e)
	})
	if err != nil {
		return nil, err
	}
	Use(ctx, UsedRenewed)
	return s.grant(m, rec.Account, ses, now), nil
}
