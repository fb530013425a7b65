package auth

import (
	"context"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
)

// OwnSessions lists the live sessions of the account that p, a live access credential,
// belongs to: by id, from the first after the given one. current is p's own.
func (s *Service) OwnSessions(ctx context.Context, realm uuid.UUID, p Presented, after uuid.UUID, limit int) (list []Session, current uuid.UUID, err error) {
	f, err := s.find(ctx, realm, p, s.viewOf)
	if err != nil {
		return nil, uuid.Nil, err
	}
	s.used(f.view)
	list, err = s.ListSessions(ctx, realm, f.rec.AccountID, after, limit)
	return list, f.rec.ID, err
}

// EndOwnSession ends one of these sessions. CodeNotFound if it is not alive, or another
// account's.
func (s *Service) EndOwnSession(ctx context.Context, realm uuid.UUID, p Presented, id uuid.UUID, cl Client) error {
	f, err := s.find(ctx, realm, p, s.anew)
	if err != nil {
		return err
	}
	cl.token = audit.TokenTag(p.Token)
	return s.endSession(ctx, realm, f.rec.AccountID, id, endedByOwner, cl)
}

// EndOwnSessions ends all of them, p's own too, and logins that are half done.
func (s *Service) EndOwnSessions(ctx context.Context, realm uuid.UUID, p Presented, cl Client) error {
	f, err := s.find(ctx, realm, p, s.anew)
	if err != nil {
		return err
	}
	cl.token = audit.TokenTag(p.Token)
	_, err = s.EndSessions(ctx, realm, f.rec.AccountID, endedByOwner, cl)
	return err
}

const endedByOwner = "ended_by_owner"
