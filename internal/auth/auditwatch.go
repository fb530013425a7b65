package auth

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
)

// AuditWatch is what a process remembers of the logs that it tends, which nobody changes by
// changing the database.
type AuditWatch struct {
	mu     sync.Mutex
	heads  map[uuid.UUID]audit.Head // as they were a moment ago
	faulty map[uuid.UUID]time.Time  // when something was found
	seen   time.Time                // the clock a moment ago, or the last time in the logs
	hold   time.Time                // nothing is deleted until then
}

// NewAuditWatch makes one that remembers nothing.
func NewAuditWatch() *AuditWatch {
	return &AuditWatch{heads: map[uuid.UUID]audit.Head{}, faulty: map[uuid.UUID]time.Time{}}
}

// faultyFor is how long a log in which something was found is let alone.
const faultyFor = time.Hour

func (w *AuditWatch) isFaulty(realm uuid.UUID, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, there := w.faulty[realm]
	age := now.Sub(at)
	return there && age >= 0 && age < faultyFor
}

func (w *AuditWatch) setFaulty(realm uuid.UUID, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faulty[realm] = now
}

// move remembers a head, and returns the one that was there before.
func (w *AuditWatch) move(realm uuid.UUID, to audit.Head) (was audit.Head) {
	w.mu.Lock()
	defer w.mu.Unlock()
	was, w.heads[realm] = w.heads[realm], to
	return was
}

// leap is how far a clock may go at once before it is doubted, and for how long it is then.
const leap = 24 * time.Hour

// tick tells whether the clock has leapt ahead, by more than anybody was away, and whether
// that is less than a day ago.
func (w *AuditWatch) tick(now time.Time) (since time.Time, leapt, held bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	since, w.seen = w.seen, now
	if leapt = !since.IsZero() && now.Sub(since) > leap; leapt {
		w.hold = now.Add(leap)
	}
	left := w.hold.Sub(now)
	return since, leapt, left > 0 && left <= leap
}

// WatchAudit remembers the logs as they are when a process starts, before anybody else
// comes, so that TendAudit finds what was done to them since.
func (s *Service) WatchAudit(ctx context.Context) error {
	realms, err := s.Realms(ctx)
	if err != nil {
		return err
	}
	var newest time.Time
	for _, r := range realms {
		if err := s.watchAudit(ctx, r); err != nil {
			return err
		}
		last, err := s.lastCheckpoint(ctx, r.ID)
		if err != nil {
			return err
		}
		head, err := s.AuditHead(ctx, r.ID)
		if err != nil {
			return err
		}
		end, err := s.ListAudit(ctx, r.ID, AuditFilter{After: head.Seq - 1, Limit: 1})
		if err != nil {
			return err
		}
		for _, at := range append([]audit.Event{{At: last.At}}, end...) {
			if at.At.After(newest) {
				newest = at.At
			}
		}
	}
	s.watch.mu.Lock()
	s.watch.seen = newest
	s.watch.mu.Unlock()
	return nil
}

// watchAudit logs that a log has gone back behind where this process saw it, which can't be
// told from the database alone.
func (s *Service) watchAudit(ctx context.Context, realm Realm) error {
	head, err := s.AuditHead(ctx, realm.ID)
	if err != nil {
		return err
	}
	was := s.watch.move(realm.ID, head.Head)
	if was.Seq == 0 {
		return nil
	}
	there, err := s.ListAudit(ctx, realm.ID, AuditFilter{After: was.Seq - 1, Last: was.Seq, Limit: 1})
	if err != nil {
		return err
	}
	if head.Seq < was.Seq || len(there) == 1 && there[0].Hash != was.Hash {
		s.log.Error("the audit log is another one than a moment ago: compare it by ostiary audit verify --head",
			"realm", realm.Name, "was", was, "is", head.Head)
	}
	return nil
}

// WatchClock looks at the clock in place of TendAudit, where another process tends the logs:
// when this one has its turn, the clock must not look as if it had leapt.
func (s *Service) WatchClock() { s.heldAudit() }

// heldAudit tells whether nothing is deleted because of its age for now: a clock that is
// wrong would make all of it old.
func (s *Service) heldAudit() bool {
	now := s.now()
	since, leapt, held := s.watch.tick(now)
	if leapt && s.auditKeep > 0 {
		s.log.Warn("the clock is more than a day ahead of when it was looked at last, or of the audit log: nothing is deleted from that for a day: see whether the clock is right",
			"clock", now.UTC().Format(time.RFC3339), "last", since.UTC().Format(time.RFC3339))
	}
	return held
}
