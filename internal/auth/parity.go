package auth

import (
	"context"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/parity"
)

type ParityReader interface {
	// Parity lists a realm's counts of differences by day, dialect, route, kind and detail,
	// from the first after the given one.
	Parity(ctx context.Context, after parity.Key, limit int) ([]parity.Count, error)
}

type ParityWriter interface {
	// AddParity adds to a count.
	AddParity(ctx context.Context, c parity.Count) error
	// DeleteParity deletes counts of the days before one.
	DeleteParity(ctx context.Context, realm uuid.UUID, before int64, limit int) (int, error)
}

// parityPage is how many counts are read at a time.
const parityPage = 1000

// ParitySince calls fn with the counts of a realm from a day on, in their order.
func (s *Service) ParitySince(ctx context.Context, realm uuid.UUID, day int64, fn func(parity.Count) error) error {
	for after := (parity.Key{Realm: realm, Day: day}); ; {
		page, err := s.store.Parity(ctx, after, parityPage)
		if err != nil || len(page) == 0 {
			return storeError(err)
		}
		for _, c := range page {
			if err := fn(c); err != nil {
				return err
			}
		}
		after = page[len(page)-1].Key
	}
}
