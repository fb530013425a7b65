package auth

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
)

const (
	cutBatch  = 100       // entries that a command deletes in one transaction, so that logins hardly wait for it
	cutPiece  = 5         // entries that are deleted because of their age in one transaction, without haste, likewise
	signEvery = time.Hour // a log that has grown is signed
)

// AdoptAudit seals the heads of logs that an older version wrote, which had no seals: what
// is there is taken for what was written, and an entry says so. It is for the start that
// brought them into the chain, and for no log that has ever been signed.
func (s *Service) AdoptAudit(ctx context.Context, cl Client) error {
	realms, err := s.Realms(ctx)
	for _, r := range realms {
		err = errors.Join(err, s.adopt(ctx, r, cl))
	}
	return err
}

func (s *Service) adopt(ctx context.Context, r Realm, cl Client) error {
	var head audit.SealedHead
	err := s.change(ctx, func(tx Tx) (err error) {
		if head, err = tx.AuditHead(ctx, r.ID); err != nil || len(head.Seal) != 0 {
			head.Seq = 0
			return notThere(err)
		}
		if _, err := tx.LastCheckpoint(ctx, r.ID); !errors.Is(err, ErrNotFound) {
			head.Seq = 0
			return err
		}
		head.Seal = s.headKey().Seal(r.ID, head.Head)
		if err := tx.SealAuditHead(ctx, r.ID, head); err != nil {
			return err
		}
		e := s.event(r.ID, audit.AuditAdopted, uuid.Nil, cl)
		e.Detail = "the entries up to " + head.String()
		return tx.InsertEvent(ctx, e)
	})
	if err == nil && head.Seq > 0 {
		s.log.Warn("the audit log of an older version was taken over as it is", "realm", r.Name, "head", head.Head)
	}
	return err
}

func notThere(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// TendAudit does what is due for a realm's log: it signs it, and deletes so many entries at the
// most of what is older than is to be kept, so many times the usual few in a transaction; neither
// if something is wrong with it. It reports whether there may be more to delete.
func (s *Service) TendAudit(ctx context.Context, realm Realm, entries, times int) (more bool, err error) {
	held := s.heldAudit()
	if err := s.watchAudit(ctx, realm); err != nil {
		return false, err
	}
	if sound, err := s.signAudit(ctx, realm, signEvery); err != nil || !sound || held || s.auditKeep == 0 {
		return false, err
	}
	return s.cutOld(ctx, realm, entries, times*cutPiece)
}

// SignAudit signs a realm's log if it has grown since it was signed last.
func (s *Service) SignAudit(ctx context.Context, realm Realm) error {
	_, err := s.signAudit(ctx, realm, 0)
	return err
}

// signAudit signs a log that has grown since it was signed last, if that is so long ago.
// First it looks at both ends, and reads what has grown: if that is not as it was written,
// it is for the operator to look at, and not sound.
func (s *Service) signAudit(ctx context.Context, realm Realm, after time.Duration) (sound bool, err error) {
	if s.watch.isFaulty(realm.ID, s.now()) {
		return false, nil
	}
	last, err := s.lastCheckpoint(ctx, realm.ID)
	if err != nil {
		return false, err
	}
	head, err := s.AuditHead(ctx, realm.ID)
	if err != nil {
		return false, err
	}
	found, err := audit.Glance(s.auditLog(ctx, realm.ID, 1), last)
	age := s.now().Sub(last.At)
	due := last.Head != head.Head && (age < 0 || age >= after)
	if err == nil && len(found) == 0 && due {
		found, err = audit.Recheck(s.auditLog(ctx, realm.ID, auditPage), last.Head)
	}
	if err != nil || len(found) > 0 || !due {
		s.blame(realm, found)
		return err == nil && len(found) == 0, err
	}
	if err := s.signHead(ctx, realm, head.Head); err != nil {
		return false, err
	}
	s.log.Info("the audit log was signed", "realm", realm.Name, "head", head.Head)
	return true, nil
}

func (s *Service) signHead(ctx context.Context, realm Realm, head audit.Head) error {
	c := audit.Checkpoint{RealmID: realm.ID, Head: head, At: s.now()}
	c.Sign(s.auditKey())
	return s.change(ctx, func(tx Tx) error { return tx.InsertCheckpoint(ctx, c) })
}

// blame logs what is wrong with a log, if anything is. It is looked at again in an hour.
func (s *Service) blame(realm Realm, found []audit.Finding) {
	if len(found) == 0 {
		return
	}
	s.watch.setFaulty(realm.ID, s.now())
	s.log.Error("the audit log is not as it was written, and is neither signed nor cut until that is settled: run ostiary audit verify; docs/audit.md says how to go on",
		"realm", realm.Name, "what", found[0].What, "found", found[0], "more", len(found)-1)
}

// cutOld deletes some of the oldest entries, as far as all of them are old, a piece at a time.
func (s *Service) cutOld(ctx context.Context, realm Realm, entries, piece int) (more bool, err error) {
	before := s.now().Add(-s.auditKeep)
	old, err := s.ListAudit(ctx, realm.ID, AuditFilter{Limit: 1})
	if err != nil || len(old) == 0 || !old[0].At.Before(before) {
		return false, err
	}
	// With the one that follows: whoever computes a batch anew leaves it with another hash before.
	page, err := s.ListAudit(ctx, realm.ID, AuditFilter{Limit: entries + 1})
	if err != nil {
		return false, err
	}
	n := 0
	for n < min(len(page), entries) && page[n].At.Before(before) {
		n++
	}
	if n == 0 {
		return false, nil
	}
	end := page[n-1]
	found, err := s.recheckCut(ctx, realm, page[:min(n+1, len(page))])
	if err != nil || len(found) > 0 {
		s.blame(realm, found)
		return false, err
	}
	for i := 0; i < n; i += piece {
		began := time.Now()
		if k, err := s.cut(ctx, realm, page[min(i+piece, n)-1], nil); err != nil || k == 0 {
			return err == nil, err
		}
		Rest(ctx, began)
	}
	if n == entries {
		return true, nil
	}
	s.log.Info("entries of the audit log were deleted because of their age", "realm", realm.Name,
		"up_to", audit.Head{Seq: end.Seq, Hash: end.Hash}, "of", audit.Stamp(end.At))
	return false, nil
}

// mostRest is how long deletions rest at the most: a process that stood still in one has not been slow.
const mostRest = time.Second

// Rest waits for as long again as something took that has begun then, if ctx doesn't end: so
// who writes meanwhile never waits for two deletions in a row.
func Rest(ctx context.Context, began time.Time) {
	select {
	case <-time.After(min(time.Since(began), mostRest)):
	case <-ctx.Done():
	}
}

// recheckCut looks at entries for the last time before they, or all but the last of them, are deleted.
func (s *Service) recheckCut(ctx context.Context, realm Realm, old []audit.Event) ([]audit.Finding, error) {
	l, end := s.auditLog(ctx, realm.ID, auditPage), old[len(old)-1]
	all := l.Checkpoints
	l.Head = func() (audit.SealedHead, error) {
		return audit.SealedHead{Head: audit.Head{Seq: end.Seq, Hash: end.Hash}}, nil
	}
	l.Entries = func(after int64) ([]audit.Event, error) {
		if after < old[0].Seq {
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
	return audit.Recheck(l, audit.Head{})
}

// cut deletes the entries up to one, leaves a signed checkpoint that says so, and does what
// else belongs to it. It counts what it has deleted: none, if another process was first.
func (s *Service) cut(ctx context.Context, realm Realm, end audit.Event, then func(tx Tx) error) (n int, err error) {
	c := audit.Checkpoint{RealmID: realm.ID, Head: audit.Head{Seq: end.Seq, Hash: end.Hash}, At: s.now(), Cut: true}
	c.Sign(s.auditKey())
	err = s.change(ctx, func(tx Tx) error {
		n = 0
		there, err := tx.Events(ctx, realm.ID, AuditFilter{After: end.Seq - 1, Last: end.Seq, Limit: 1})
		if err != nil || len(there) == 0 || there[0].Hash != end.Hash {
			return err
		}
		if n, err = tx.CutEvents(ctx, realm.ID, end.Seq); err != nil || n == 0 {
			return err // another process may have cut further
		}
		if err := tx.InsertCheckpoint(ctx, c); err != nil || then == nil {
			return err
		}
		return then(tx)
	})
	return n, err
}

// CutAudit deletes the entries of a realm's log up to one, whatever is wrong with them, so
// that the log goes on behind them. If that is the last one, the head gets a seal again.
// CodeNotFound if there is no such entry; CodeConflict if nothing is wrong with the log, and if
// another process has cut it, or changed those, meanwhile.
func (s *Service) CutAudit(ctx context.Context, realm Realm, through int64, cl Client) (deleted int, err error) {
	report, err := s.VerifyAudit(ctx, realm.ID, nil)
	if err != nil {
		return 0, err
	}
	last, head, err := s.mayCut(ctx, realm, through, report)
	if err != nil {
		return 0, err
	}
	record := func(tx Tx) error { return s.recordCut(ctx, tx, realm, last, report, cl) }
	for {
		page, err := s.ListAudit(ctx, realm.ID, AuditFilter{Last: through, Limit: cutBatch})
		if err != nil {
			return deleted, err
		}
		done := len(page) > 0 && page[len(page)-1].Seq == through
		if len(page) < cutBatch && !done {
			return deleted, errNoEntry(through)
		}
		var then func(tx Tx) error
		if done || head.Seq > through { // with the first of them: what is wrong may be gone with it
			then, record = record, nil
		}
		n, err := s.cutNow(ctx, realm, page[len(page)-1], then)
		deleted += n
		if err != nil || done {
			return deleted, err
		}
	}
}

func errNoEntry(seq int64) error { return Errorf(CodeNotFound, "there is no entry %d", seq) }

// mayCut sees, before anything is deleted, that a cut by command can be made to its end: the last entry of it, and the
// head of the log.
func (s *Service) mayCut(ctx context.Context, realm Realm, through int64, report *audit.Report) (last audit.Event, head audit.SealedHead, err error) {
	found, err := s.ListAudit(ctx, realm.ID, AuditFilter{After: through - 1, Last: through, Limit: 1})
	switch {
	case err != nil:
		return last, head, err
	case len(found) == 0:
		return last, head, errNoEntry(through)
	case len(report.Findings) == 0:
		return last, head, Errorf(CodeConflict, "nothing is wrong with this log: what is old is deleted by the setting audit_keep")
	}
	if head, err = s.AuditHead(ctx, realm.ID); err == nil {
		err = s.sealedBehind(realm.ID, head, through)
	}
	return found[0], head, err
}

// sealedBehind sees that what comes after a cut is not made up.
func (s *Service) sealedBehind(realm uuid.UUID, head audit.SealedHead, through int64) error {
	if head.Seq > through && !s.headKey().Sealed(realm, head) {
		return Errorf(CodeConflict, "the head of the log has no seal, so that what comes after entry %d may be made up: cut it through its last entry, %d", through, head.Seq)
	}
	return nil
}

// cutNow is cut, of entries that must be there.
func (s *Service) cutNow(ctx context.Context, realm Realm, end audit.Event, then func(tx Tx) error) (n int, err error) {
	if n, err = s.cut(ctx, realm, end, then); err == nil && n == 0 {
		err = Errorf(CodeConflict, "entry %d of the log was cut or changed by another process meanwhile: verify the log, and begin anew", end.Seq)
	}
	return n, err
}

// recordCut records a cut by command, after which the log is to be believed again.
func (s *Service) recordCut(ctx context.Context, tx Tx, realm Realm, end audit.Event, report *audit.Report, cl Client) error {
	head, err := tx.AuditHead(ctx, realm.ID)
	if err != nil {
		return err
	}
	e := s.event(realm.ID, audit.AuditCut, uuid.Nil, cl)
	e.Detail = "up to " + audit.Head{Seq: end.Seq, Hash: end.Hash}.String()
	if len(report.Findings) > 0 {
		e.Detail += ", with something wrong: " + report.Findings[0].String()
	}
	if err := s.sealedBehind(realm.ID, head, end.Seq); err != nil {
		return err
	}
	if head.Seq > end.Seq {
		return tx.InsertEvent(ctx, e)
	}
	head.Head = audit.Head{Seq: end.Seq, Hash: end.Hash}
	head.Seal = s.headKey().Seal(realm.ID, head.Head)
	if err := tx.ResetAuditHead(ctx, realm.ID, head); err != nil {
		return err
	}
	return tx.InsertEvent(ctx, e)
}
