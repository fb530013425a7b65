package auth

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
)

// Restored gives a realm that was brought back from a backup new keys for its refresh tokens
// and for all that it signs, so that no token of before is good, whenever it was made. Those that others
// have issued, and that were not seen before the backup, are cut off: they may have been ended since.
// Detail is what the audit log says of the backup.
func (s *Service) Restored(ctx context.Context, realm Realm, detail string, cl Client) error {
	keys, err := s.ListKeys(ctx, realm.ID)
	if err != nil {
		return err
	}
	var algorithms []string
	for _, k := range keys {
		if !slices.Contains(algorithms, k.Algorithm) {
			algorithms = append(algorithms, k.Algorithm)
		}
	}
	err = s.change(ctx, func(tx Tx) error {
		if err := tx.SetRefreshKey(ctx, realm.ID, s.newRefreshKey(realm.ID)); err != nil {
			return err
		}
		if err := tx.CutSessions(ctx, realm.ID, realm.ID, s.now()); err != nil {
			return err
		}
		e := s.event(realm.ID, audit.StoreRestored, uuid.Nil, cl)
		e.Detail = detail
		return tx.InsertEvent(ctx, e)
	})
	for _, algorithm := range algorithms {
		if err == nil {
			_, err = s.RotateKey(ctx, realm.ID, KeyRotation{Algorithm: algorithm, Now: true}, cl)
		}
	}
	return err
}
