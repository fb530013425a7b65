package auth

import (
	"context"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
)

// ListAudit lists a realm's audit log, oldest first.
func (s *Service) ListAudit(ctx context.Context, realm uuid.UUID, f AuditFilter) ([]audit.Event, error) {
	list, err := s.store.Events(ctx, realm, f)
	return list, storeError(err)
}
