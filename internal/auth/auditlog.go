package auth

import (
	"context"
	"crypto/ed25519"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
)

const (
	auditPage = 2000      // entries that are read at a time
	cutBatch  = 500       // entries that are deleted in one transaction, so that logins hardly wait for it
	signEvery = time.Hour // a log that has grown is signed
)

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

// AdoptAudit seals the heads of logs that an older version wrote, which had no seals: what
// is there is taken for what was written. It is for the start of a server alone, which says so.
func (s *Service) AdoptAudit(ctx context.Context) error {
	realms, err := s.Realms(ctx)
	for _, r := range realms {
		head, failed := s.AuditHead(ctx, r.ID)
		if failed == nil && head.Seq > 0 && len(head.Seal) == 0 {
			head.Seal = s.headKey().Seal(r.ID, head.Head)
			failed = s.change(ctx, func(tx Tx) error { return tx.SealAuditHead(ctx, r.ID, head) })
			s.log.Warn("the audit log of an older version was taken over as it is", "realm", r.Name, "head", head.Head)
		}
		err = errors.Join(err, failed)
	}
	return err
}

// VerifyAudit reads a realm's whole log and says what is not as it was written. With an
// anchor, a head that was kept elsewhere, the log must go through it.
func (s *Service) VerifyAudit(ctx context.Context, realm uuid.UUID, anchor *audit.Head) (*audit.Report, error) {
	return audit.Verify(s.auditLog(ctx, realm), anchor)
}

// auditLog is a realm's log, to be verified.
func (s *Service) auditLog(ctx context.Context, realm uuid.UUID) audit.Log {
	return audit.Log{
		Realm: realm, Key: s.AuditKey(), Seal: s.headKey(),
		Head: func() (audit.SealedHead, error) { return s.AuditHead(ctx, realm) },
		Entries: func(after int64) ([]audit.Event, error) {
			return s.ListAudit(ctx, realm, AuditFilter{After: after, Limit: auditPage})
		},
		Checkpoints: func(after int64) ([]audit.Checkpoint, error) { return s.AuditCheckpoints(ctx, realm, after) },
	}
}

// TendAudit does what is due for a realm's log: it signs it, and deletes some of what is
// older than is to be kept. It reports whether there may be more to delete.
func (s *Service) TendAudit(ctx context.Context, realm Realm) (more bool, err error) {
	if err := s.watchAudit(ctx, realm); err != nil {
		return false, err
	}
	if err := s.signAudit(ctx, realm, signEvery); err != nil || s.auditKeep == 0 {
		return false, err
	}
	return s.cutAudit(ctx, realm)
}

// watchAudit logs that a log has gone back behind where this process saw it, which can't be
// told from the database alone.
func (s *Service) watchAudit(ctx context.Context, realm Realm) error {
	head, err := s.AuditHead(ctx, realm.ID)
	if err != nil {
		return err
	}
	if v, ok := s.heads.Load(realm.ID); ok {
		was := v.(audit.Head)
		there, err := s.ListAudit(ctx, realm.ID, AuditFilter{After: was.Seq - 1, Last: was.Seq, Limit: 1})
		if err != nil {
			return err
		}
		if head.Seq < was.Seq || len(there) == 1 && there[0].Hash != was.Hash {
			s.log.Error("the audit log is another one than a moment ago: compare it by ostiary audit verify --head",
				"realm", realm.Name, "was", was, "is", head.Head)
		}
	}
	s.heads.Store(realm.ID, head.Head)
	return nil
}

// SignAudit signs a realm's log if it has grown since it was signed last.
func (s *Service) SignAudit(ctx context.Context, realm Realm) error {
	return s.signAudit(ctx, realm, 0)
}

// signAudit signs a log that has grown since it was signed last, if that is so long ago.
// First it reads what has grown: what is not as it was written is an error in the log of the
// process, for the operator to look at, and no reason to sign no more.
func (s *Service) signAudit(ctx context.Context, realm Realm, after time.Duration) error {
	head, err := s.AuditHead(ctx, realm.ID)
	if err != nil || head.Seq == 0 {
		return err
	}
	last, err := s.store.LastCheckpoint(ctx, realm.ID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return storeError(err)
	}
	if age := s.now().Sub(last.At); last.Head == head.Head || age >= 0 && age < after {
		return nil
	}
	if !s.headKey().Sealed(realm.ID, head) {
		s.log.Error("the head of the audit log was written by somebody else: run ostiary audit verify", "realm", realm.Name, "head", head.Head)
	}
	if last.Seq > 0 {
		if err := s.recheckAudit(realm, s.auditLog(ctx, realm.ID), last); err != nil {
			return err
		}
	}
	if err := s.signHead(ctx, realm, head.Head); err != nil {
		return err
	}
	s.log.Info("the audit log was signed", "realm", realm.Name, "head", head.Head)
	return nil
}

func (s *Service) signHead(ctx context.Context, realm Realm, head audit.Head) error {
	c := audit.Checkpoint{RealmID: realm.ID, Head: head, At: s.now()}
	c.Sign(s.auditKey())
	return s.change(ctx, func(tx Tx) error { return tx.InsertCheckpoint(ctx, c) })
}

// recheckAudit logs what is not as it was written, after a checkpoint.
func (s *Service) recheckAudit(realm Realm, l audit.Log, last audit.Checkpoint) error {
	if last.Seq > 0 && !last.Signed(l.Key) {
		s.log.Error("a checkpoint of the audit log was not signed with this master key: run ostiary audit verify", "realm", realm.Name, "entry", last.Seq)
		last = audit.Checkpoint{}
	}
	found, err := audit.Recheck(l, last.Head)
	for _, f := range found {
		s.log.Error("the audit log is not as it was written: run ostiary audit verify", "realm", realm.Name, "what", f.What, "found", f)
	}
	return err
}

// cutAudit deletes a batch of the oldest entries, as far as all of them are old, and leaves
// a signed checkpoint that says so.
func (s *Service) cutAudit(ctx context.Context, realm Realm) (more bool, err error) {
	before := s.now().Add(-s.auditKeep)
	old, err := s.ListAudit(ctx, realm.ID, AuditFilter{Limit: 1})
	if err != nil || len(old) == 0 || !old[0].At.Before(before) {
		return false, err
	}
	if old, err = s.ListAudit(ctx, realm.ID, AuditFilter{Limit: cutBatch}); err != nil {
		return false, err
	}
	n := 0
	for n < len(old) && old[n].At.Before(before) {
		n++
	}
	if n == 0 {
		return false, nil
	}
	more, old = n == cutBatch, old[:n]
	end := old[n-1]
	if err := s.recheckCut(ctx, realm, old); err != nil {
		return false, err
	}
	c := audit.Checkpoint{RealmID: realm.ID, Head: audit.Head{Seq: end.Seq, Hash: end.Hash}, At: s.now(), Cut: true}
	c.Sign(s.auditKey())
	err = s.change(ctx, func(tx Tx) error {
		there, err := tx.Events(ctx, realm.ID, AuditFilter{After: end.Seq - 1, Last: end.Seq, Limit: 1})
		if err != nil || len(there) == 0 || there[0].Hash != end.Hash {
			return err // another node was first
		}
		if err := tx.InsertCheckpoint(ctx, c); err != nil {
			return err
		}
		_, err = tx.CutEvents(ctx, realm.ID, end.Seq)
		return err
	})
	if err == nil && !more {
		s.log.Info("entries of the audit log were deleted because of their age", "realm", realm.Name, "up_to", c.Head, "of", audit.Stamp(end.At))
	}
	return more, err
}

// recheckCut looks at entries for the last time before they are deleted.
func (s *Service) recheckCut(ctx context.Context, realm Realm, old []audit.Event) error {
	l, first, end := s.auditLog(ctx, realm.ID), old[0].Seq, old[len(old)-1]
	all := l.Checkpoints
	l.Head = func() (audit.SealedHead, error) {
		return audit.SealedHead{Head: audit.Head{Seq: end.Seq, Hash: end.Hash}}, nil
	}
	l.Entries = func(after int64) ([]audit.Event, error) {
		if after < first {
			return old, nil
		}
		return nil, nil
	}
	l.Checkpoints = func(after int64) ([]audit.Checkpoint, error) {
		list, err := all(after)
		for i, c := range list {
			if c.Seq > end.Seq {
				return list[:i], err
			}
		}
		return list, err
	}
	return s.recheckAudit(realm, l, audit.Checkpoint{})
}
