package auth

import (
	"context"

	"github.com/ostiary/ostiary/internal/token"
)

// LearnTokens notes tokens that another server has issued for a login that is the session
// here: presented here, they are that session. What can't be a token is left out, and so is
// one that is another account's already.
func (s *Service) LearnTokens(ctx context.Context, tx Tx, ses Session, tokens []ForeignToken) error {
	now := s.now()
	for _, t := range tokens {
		hash, ok := token.HashForeign(string(t.Text))
		if !ok || !s.takes(ses.Dialect, t.Kind) {
			continue
		}
		r := ForeignRecord{
			RealmID: ses.RealmID, Hash: hash, AccountID: ses.AccountID, Dialect: ses.Dialect, Kind: t.Kind,
			Session: ses.ID, CreatedAt: now, ExpiresAt: t.ExpiresAt, SpentAt: now,
		}
		if r.ExpiresAt.IsZero() || r.ExpiresAt.After(ses.ExpiresAt) {
			r.ExpiresAt = ses.ExpiresAt
		}
		if _, err := tx.LearnForeignToken(ctx, r); err != nil {
			return err
		}
		s.learned.Store(true)
	}
	return nil
}

// takes tells whether a dialect has foreign tokens of a kind. Where a JWT is nothing without
// its csrf, a bearer that is known by its hash would be a way round that.
func (s *Service) takes(d Dialect, k ForeignKind) bool {
	rules := s.dialects[d]
	switch k {
	case ForeignBearer:
		return rules.Session == ""
	case ForeignSession:
		return rules.Session != ""
	case ForeignRefresh:
		return rules.Refresh
	}
	return false
}
