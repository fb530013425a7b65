package auth

import (
	"context"
	"errors"

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
	}
	g, err = s.renewThere(ctx, m, x, presented, rec, cl)
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
	}
	g, err = s.renewThere(ctx, m, x, Secret(p.Token), rec, cl)
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
// with the session that it belongs to here (nil: none is known).
func (s *Service) renewThere(ctx context.Context, m *Mount, x Shadowed, presented Secret, rec *SessionRecord, cl Client) (*Grant, error) {
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
	x.Judged("", own)
	if own != "" {
		return nil, s.learnUnknown(ctx, m, who)
	}
	now := s.now()
	cl.token = audit.TokenTag(string(presented))
	err = s.change(ctx, func(tx Tx) error {
		if _, err := s.prolong(ctx, tx, m, &rec.Session, now); err != nil {
			return err
		}
		if err := s.LearnTokens(ctx, tx, rec.Session, who.Tokens); err != nil {
			return err
		}
		e := s.event(m.RealmID, audit.TokenRenewed, rec.AccountID, cl)
		e.Session, e.Dialect, e.Detail = rec.ID, string(m.Dialect), "by_legacy"
		return tx.InsertEvent(ctx, e)
	})
	if err != nil {
		return nil, err
	}
	return s.grant(m, rec.Account, rec.Session, now), nil
}

// learnUnknown remembers the refresh token that the Elder gave for one that is not known here:
// as an imported one, of the account that it names.
func (s *Service) learnUnknown(ctx context.Context, m *Mount, who *Newcomer) error {
	unknown := Because(CodeTokenInvalid, "a token of the legacy server that is not known here")
	rec, err := s.store.AccountBySubject(ctx, m.RealmID, m.Dialect, who.Subject)
	if errors.Is(err, ErrNotFound) {
		return unknown
	}
	if err != nil {
		return storeError(err)
	}
	now := s.now()
	err = s.change(ctx, func(tx Tx) error {
		for _, t := range who.Tokens {
			hash, ok := token.HashForeign(string(t.Text))
			if !ok || !s.takes(m.Dialect, t.Kind) {
				continue
			}
			r := ForeignRecord{
				RealmID: m.RealmID, Hash: hash, AccountID: rec.ID, Dialect: m.Dialect, Kind: t.Kind, CreatedAt: now, ExpiresAt: t.ExpiresAt,
			}
			if r.ExpiresAt.IsZero() {
				r.ExpiresAt = now.Add(m.SessionMax)
			}
			if _, err := tx.InsertForeignToken(ctx, r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return unknown
}
