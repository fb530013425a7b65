package auth

import (
	"context"
	"crypto/ed25519"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
)

const auditPage = 2000 // entries that are read at a time

// ListAudit lists a realm's audit log in its order, at most f.Limit entries.
func (s *Service) ListAudit(ctx context.Context, realm uuid.UUID, f AuditFilter) ([]audit.Event, error) {
	list, err := s.store.Events(ctx, realm, f)
	return list, storeError(err)
}

// EachEvent calls fn with every entry that f selects, in their order; a Limit of 0 is none.
// Of a log that is long, a time is found by its index.
func (s *Service) EachEvent(ctx context.Context, realm uuid.UUID, f AuditFilter, fn func(audit.Event) error) error {
	if !f.Since.IsZero() || !f.Until.IsZero() {
		first, last, err := s.AuditSpan(ctx, realm, f.Since, f.Until)
		if err != nil || last == 0 {
			return err
		}
		f.After = max(f.After, first-1)
		if f.Last == 0 || last < f.Last {
			f.Last = last
		}
	}
	left := f.Limit
	for {
		f.Limit = auditPage
		if left > 0 {
			f.Limit = min(left, auditPage)
		}
		page, err := s.ListAudit(ctx, realm, f)
		if err != nil {
			return err
		}
		for _, e := range page {
			if err := fn(e); err != nil {
				return err
			}
			f.After = e.Seq
		}
		if len(page) < f.Limit || len(page) == left {
			return nil
		}
		if left > 0 {
			left -= len(page)
		}
	}
}

// AuditSpan is the lowest and the highest number of the entries of a time; 0, 0: there are
// none. A time that is zero is no bound.
func (s *Service) AuditSpan(ctx context.Context, realm uuid.UUID, since, until time.Time) (first, last int64, err error) {
	first, last, err = s.store.EventSpan(ctx, realm, since, until)
	return first, last, storeError(err)
}

// AuditHead is the end of a realm's log: zero if it has had no entry yet.
func (s *Service) AuditHead(ctx context.Context, realm uuid.UUID) (audit.SealedHead, error) {
	h, err := s.store.AuditHead(ctx, realm)
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return h, storeError(err)
}

// AuditCheckpoints lists what was signed of a realm's log, from the first after an entry.
func (s *Service) AuditCheckpoints(ctx context.Context, realm uuid.UUID, after int64) ([]audit.Checkpoint, error) {
	list, err := s.store.Checkpoints(ctx, realm, after, auditPage)
	return list, storeError(err)
}

// AuditKey is what the checkpoints are signed with.
func (s *Service) AuditKey() ed25519.PublicKey { return s.auditKey().Public().(ed25519.PublicKey) }

func (s *Service) auditKey() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(s.master.Derive(audit.KeyLabel))
}

func (s *Service) headKey() audit.HeadKey {
	return audit.HeadKey(s.master.Derive(audit.HeadKeyLabel))
}

// VerifyAudit reads a realm's whole log and says what is not as it was written. With an
// anchor, a head that was kept elsewhere, the log must go through it.
func (s *Service) VerifyAudit(ctx context.Context, realm uuid.UUID, anchor *audit.Head) (*audit.Report, error) {
	return audit.Verify(s.auditLog(ctx, realm, auditPage), anchor)
}

// GlanceAudit looks at both ends of a realm's log and at what was signed last, whatever its size.
func (s *Service) GlanceAudit(ctx context.Context, realm uuid.UUID) ([]audit.Finding, error) {
	last, err := s.lastCheckpoint(ctx, realm)
	if err != nil {
		return nil, err
	}
	return audit.Glance(s.auditLog(ctx, realm, 1), last)
}

// lastCheckpoint is zero if there is none.
func (s *Service) lastCheckpoint(ctx context.Context, realm uuid.UUID) (audit.Checkpoint, error) {
	c, err := s.store.LastCheckpoint(ctx, realm)
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return c, storeError(err)
}

// auditLog is a realm's log, to be verified: so many entries are read at a time.
func (s *Service) auditLog(ctx context.Context, realm uuid.UUID, page int) audit.Log {
	return audit.Log{
		Realm: realm, Key: s.AuditKey(), Seal: s.headKey(),
		Head: func() (audit.SealedHead, error) { return s.AuditHead(ctx, realm) },
		Entries: func(after int64) ([]audit.Event, error) {
			return s.ListAudit(ctx, realm, AuditFilter{After: after, Limit: page})
		},
		Checkpoints: func(after int64) ([]audit.Checkpoint, error) {
			list, err := s.store.Checkpoints(ctx, realm, after, page)
			return list, storeError(err)
		},
	}
}
