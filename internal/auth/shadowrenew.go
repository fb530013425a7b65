package auth

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/token"
)

// refreshShadowed has the Elder answer a refresh token that it has issued. ok is false if the
// token is ours.
func (s *Service) refreshShadowed(ctx context.Context, m *Mount, presented Secret, cl Client) (g *Grant, ok bool, err error) {
	x := m.shadow(ctx)
	if x == nil {
		return nil, false, nil
	}
	st, err := s.state(ctx, m.RealmID)
	if err != nil {
		return nil, true, err
	}
	hash, isToken := token.HashForeign(string(presented))
	if _, _, own := st.refresh.Parse(string(presented)); own || !isToken {
		x.Own()
		return nil, false, nil
	}
	var rec *SessionRecord
	var known *ForeignRecord
	r, err := s.store.ForeignToken(ctx, m.RealmID, hash)
	switch {
	case errors.Is(err, ErrNotFound):
	case err != nil:
		return nil, true, storeError(err)
	case r.Kind != ForeignRefresh || r.Dialect != m.Dialect:
	case r.Session != uuid.Nil:
		if rec, err = s.shadowedSession(ctx, m, r.Session); err != nil {
			return nil, true, err
		}
	case !r.SpentAt.IsZero():
		return nil, true, Because(CodeTokenInvalid, "the refresh token was made void here")
	default: // it was imported
		switch err := s.mayAdopt(ctx, s.store, r, nil); {
		case err == nil:
			known = &r
		case CodeOf(err) != CodeTokenInvalid || errors.Is(err, errBarred):
			return nil, true, err
		}
	}
	g, err = s.renewThere(ctx, m, x, presented, rec, known, cl)
	return g, true, err
}

// renewShadowed has the Elder answer a JWT that it has issued. ok is false if it is ours.
func (s *Service) renewShadowed(ctx context.Context, m *Mount, p Presented, cl Client) (g *Grant, ok bool, err error) {
	x := m.shadow(ctx)
	if x == nil {
		return nil, false, nil
	}
	if _, key, err := s.parse(ctx, m.RealmID, p.Token); err == nil && key == nil {
		x.Own()
		return nil, false, nil
	}
	var rec *SessionRecord
	switch f, err := s.find(ctx, m.RealmID, p, s.anew); CodeOf(err) {
	case "":
		rec = &f.rec
	case CodeSessionEnded, CodeUnavailable, CodeInternal:
		return nil, true, err
	default:
		if errors.Is(err, errBarred) {
			return nil, true, err
		}
	}
	g, err = s.renewThere(ctx, m, x, Secret(p.Token), rec, nil, cl)
	return g, true, err
}

// shadowedSession is the session that a token of the Elder's belongs to here. Whoever has
// ended it, or disabled the account, has ended what the Elder gives for it, too.
func (s *Service) shadowedSession(ctx context.Context, m *Mount, id uuid.UUID) (*SessionRecord, error) {
	rec, err := s.store.SessionByID(ctx, m.RealmID, id)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, storeError(err)
	}
	if !rec.EndedAt.IsZero() || rec.Account.Disabled {
		return nil, Because(CodeTokenInvalid, "session %s has ended here, and the legacy server is not asked", id)
	}
	return &rec, nil
}

// renewThere sends a token on to the Elder that issued it, and remembers what that gives for it
// with the session that it belongs to here (nil: none is known), or as known, which was imported.
func (s *Service) renewThere(ctx context.Context, m *Mount, x Shadowed, presented Secret, rec *SessionRecord, known *ForeignRecord, cl Client) (*Grant, error) {
	elder, ok := m.Elder.(Renewer)
	if !ok {
		return nil, Because(CodeTokenInvalid, "the legacy server renews no tokens")
	}
	asking, err := x.Sending(ctx, Sent{Token: presented})
	if err != nil {
		return nil, err
	}
	own := ""
	if rec == nil || !rec.live(s.now()) {
		own = "unknown_token"
	}
	sending, end := unhurried(asking)
	defer end()
	who, err := elder.Renew(sending, presented, cl)
	ctx, cancel := unhurried(ctx)
	defer cancel()
	switch {
	case CodeOf(err) == CodeTokenInvalid:
		x.Judged(legacyRefused, own)
		return nil, err
	case err != nil:
		return nil, elderAway(err)
	}
	Use(ctx, UsedRelayed)
	if own != "" {
		if err := s.notBarred(ctx, m, who); err != nil {
			x.Own() // a renewed token is not for whoever was shut out here
			return nil, err
		}
		x.Judged("", own)
		return nil, s.learnUnknown(ctx, m, who, known)
	}
	x.Judged("", own)
	now := s.now()
	cl.token = audit.TokenTag(string(presented))
	var ses Session
	err = s.change(ctx, func(tx Tx) (err error) {
		if ses, _, err = s.prolong(ctx, tx, m, rec.Session, now); err != nil {
			return err
		}
		if err := s.LearnTokens(ctx, tx, ses, who.Tokens); err != nil {
			return err
		}
		e := s.event(m.RealmID, audit.TokenRenewed, rec.AccountID, cl)
		e.Session, e.Dialect, e.Detail = rec.ID, string(m.Dialect), "by_legacy"
		return tx.InsertEvent(ctx, e)
	})
	if err != nil {
		return nil, err
	}
	return s.grant(m, rec.Account, ses, now), nil
}

// notBarred sees that what the Elder has said is of nobody who is disabled here, or was deleted.
func (s *Service) notBarred(ctx context.Context, m *Mount, who *Newcomer) error {
	rec, err := s.store.AccountBySubject(ctx, m.RealmID, m.Dialect, who.Subject)
	if errors.Is(err, ErrNotFound) {
		var gone time.Time
		if gone, err = s.store.SubjectGone(ctx, m.RealmID, m.Dialect, who.Subject); !gone.IsZero() {
			return barred("the account with the subject %q was deleted", who.Subject)
		}
	}
	for _, name := range []string{who.Username, who.Email} {
		key := nameKey(name)
		if key == "" || err != nil || rec.ID != uuid.Nil {
			continue
		}
		rec, err = s.store.AccountByName(ctx, m.RealmID, key, m.Dialect)
		if err == nil && !m.keepsApart(&rec) || err != nil && !errors.Is(err, ErrNotFound) {
			continue
		}
		rec = AccountRecord{}
		var gone bool
		if gone, err = s.store.NameGone(ctx, m.RealmID, key, m.Dialect); gone {
			return barred("the account of this name was deleted")
		}
	}
	if err == nil && rec.Disabled {
		return barred("account %s is disabled", rec.ID)
	}
	return storeError(err)
}

// learnUnknown remembers the refresh token that the Elder gave for one that has no session here:
// as an imported one, of the account that it names, and of the login of the one that it was given
// for. Nothing, if that is not known, and the account has something that the login may have been
// without: a second factor, or sessions that were ended.
func (s *Service) learnUnknown(ctx context.Context, m *Mount, who *Newcomer, known *ForeignRecord) error {
	unknown := Because(CodeTokenInvalid, "a token of the legacy server that is not known here")
	rec, err := s.store.AccountBySubject(ctx, m.RealmID, m.Dialect, who.Subject)
	if errors.Is(err, ErrNotFound) || err == nil && known != nil && known.AccountID != rec.ID {
		return unknown
	}
	if err != nil {
		return storeError(err)
	}
	err = s.change(ctx, func(tx Tx) error {
		if err := tx.HoldAccount(ctx, m.RealmID, rec.ID); err != nil {
			return err
		}
		issued, err := s.issuedTo(ctx, tx, rec.ID, m, known)
		if err != nil || issued.IsZero() {
			return err
		}
		for _, t := range who.Tokens {
			hash, ok := token.HashForeign(string(t.Text))
			if !ok || !s.takes(m.Dialect, t.Kind) {
				continue
			}
			r := ForeignRecord{
				RealmID: m.RealmID, Hash: hash, AccountID: rec.ID, Dialect: m.Dialect, Kind: t.Kind, CreatedAt: issued, ExpiresAt: t.ExpiresAt,
			}
			if r.ExpiresAt.IsZero() {
				r.ExpiresAt = s.now().Add(m.SessionMax)
			}
			if _, err := tx.InsertForeignToken(ctx, r); err != nil {
				return err
			}
			s.learned.Store(true)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return unknown
}

// issuedTo is when what the Elder gives now counts as issued; zero: it is nothing here.
func (s *Service) issuedTo(ctx context.Context, tx Tx, id uuid.UUID, m *Mount, known *ForeignRecord) (time.Time, error) {
	if known != nil {
		return known.CreatedAt, nil
	}
	rec, err := tx.AccountByID(ctx, m.RealmID, id, m.Dialect)
	if err != nil {
		return time.Time{}, err
	}
	cutoff, err := tx.SessionCutoff(ctx, m.RealmID, id)
	if err != nil || !cutoff.IsZero() || rec.Disabled || s.factorOf(&rec) == FactorConfirmed || s.factorOf(&rec) == FactorElsewhere {
		return time.Time{}, err
	}
	return s.now(), nil
}
