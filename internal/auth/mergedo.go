package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
)

const endMerged = "accounts_merged" // why sessions end

// mergeBefore is what is kept of a merge for its undo.
type mergeBefore struct {
	Other      AccountRecord // with its passwords, and its second factor, sealed for it
	SignedInAt int64         // of the other one, in microseconds; 0: never
	Names      []AccountName // of the other one, as those that follow
	Aliases    map[Dialect]string
	Belongings Belongings

	KeepNames     []AccountName // of the account that was kept, as those that follow
	KeepAliases   map[Dialect]string
	KeepRoles     []string
	KeepSessions  []uuid.UUID
	KeepSources   []KnownSource
	KeepPassword  string
	KeepPasswords []SourceHash
	Dropped       [2][]Dialect
	Factor        bool // it has the other one's since
}

func mergeRow(id uuid.UUID) string { return "account_merge/" + id.String() + "/before" }

// Merge makes one account of two: whatever finds, proves or names the other one is that of
// the account that is kept, with all of its sessions. CodeConflict if PlanMerge has one.
func (s *Service) Merge(ctx context.Context, realm, keep, other uuid.UUID, prefer Prefer, cl Client) (uuid.UUID, error) {
	return s.merge(ctx, realm, keep, other, prefer, "by_operator", cl, func(Tx, *MergePlan) error { return nil })
}

// merge is Merge, if check finds nothing against it. How tells the audit log who has decided it.
func (s *Service) merge(ctx context.Context, realm, keep, other uuid.UUID, prefer Prefer, how string, cl Client, check func(Tx, *MergePlan) error) (id uuid.UUID, err error) {
	id = newID()
	err = s.change(ctx, func(tx Tx) error {
		if err := holdBoth(ctx, tx, realm, keep, other); err != nil {
			return err
		}
		p, err := s.planMerge(ctx, tx, realm, keep, other, prefer)
		if err != nil {
			return err
		}
		if len(p.Conflicts) > 0 {
			return Errorf(CodeConflict, "%s", p.Conflicts[0])
		}
		if err := check(tx, p); err != nil {
			return err
		}
		m := merging{s, tx, p, s.now()}
		return m.run(ctx, id, how, cl)
	})
	return id, err
}

// holdBoth holds what a merge changes: the realm, and both accounts, which may be one.
func holdBoth(ctx context.Context, tx Tx, realm, a, b uuid.UUID) error {
	if err := tx.HoldRealm(ctx, realm); err != nil {
		return err
	}
	return holdAccounts(ctx, tx, realm, a, b)
}

// holdAccounts holds accounts in one order: two that hold rows can't hold each other up. An error names the account.
func holdAccounts(ctx context.Context, tx Tx, realm uuid.UUID, ids ...uuid.UUID) error {
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	for _, id := range slices.Compact(ids) {
		if err := tx.HoldAccount(ctx, realm, id); err != nil {
			return fmt.Errorf("account %s: %w", id, err)
		}
	}
	return nil
}

// merging is a merge in its transaction.
type merging struct {
	s   *Service
	tx  Tx
	p   *MergePlan
	now time.Time
}

func (m *merging) run(ctx context.Context, id uuid.UUID, how string, cl Client) error {
	keep, other := &m.p.Keep, &m.p.Other
	before, err := m.before(ctx)
	if err != nil {
		return err
	}
	steps := []func(context.Context) error{
		func(ctx context.Context) error { return m.end(ctx, keep, m.p.ended[0]) },
		func(ctx context.Context) error { return m.end(ctx, other, m.p.ended[1]) },
		func(ctx context.Context) (err error) {
			before.Belongings, err = m.tx.Belongings(ctx, other.ID, m.now) // without the sessions that have ended
			return err
		},
		m.factor, m.cutoff, m.tickets,
		func(ctx context.Context) error { return m.tx.Give(ctx, other.ID, keep.ID, before.Belongings) },
		func(ctx context.Context) error { return m.tx.CopyBudgets(ctx, keep.RealmID, other.ID, keep.ID) },
		m.drop, m.passwords, m.names, m.subjects, m.roles,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	text, err := json.Marshal(before)
	if err != nil {
		return err
	}
	record := MergeRecord{ID: id, RealmID: keep.RealmID, Keep: keep.ID, Other: other.ID, At: m.now, Before: m.s.master.Seal(text, mergeRow(id))}
	if err := m.tx.InsertMerge(ctx, record); err != nil {
		return err
	}
	for _, e := range []struct {
		of     uuid.UUID
		detail string
	}{{keep.ID, fmt.Sprintf("%s with=%s", how, other.ID)}, {other.ID, fmt.Sprintf("%s into=%s", how, keep.ID)}} {
		event := m.s.event(keep.RealmID, audit.AccountsMerged, e.of, cl)
		event.Detail = e.detail
		if err := m.tx.InsertEvent(ctx, event); err != nil {
			return err
		}
	}
	return nil
}

func (m *merging) before(ctx context.Context) (*mergeBefore, error) {
	keep, other := &m.p.Keep, &m.p.Other
	b := &mergeBefore{
		Other: other.AccountRecord, Names: other.Names, Aliases: other.Aliases, Dropped: m.p.dropped, Factor: m.p.factor,
		KeepNames: keep.Names, KeepAliases: keep.Aliases, KeepRoles: keep.Roles, KeepPassword: keep.PasswordHash, KeepPasswords: keep.Passwords,
	}
	mine, err := m.tx.Belongings(ctx, keep.ID, m.now)
	if err != nil {
		return nil, err
	}
	b.KeepSessions, b.KeepSources = mine.Sessions, mine.Sources
	at, err := m.tx.SignedInAt(ctx, other.ID)
	if !at.IsZero() {
		b.SignedInAt = at.UnixMicro()
	}
	return b, err
}

// end ends the sessions of an account in some dialects.
func (m *merging) end(ctx context.Context, of *MergeSide, in map[Dialect]bool) error {
	for after := uuid.Nil; len(in) > 0; {
		page, err := m.tx.Sessions(ctx, of.RealmID, of.ID, after, statePage, m.now)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, ses := range page {
			if after = ses.ID; !in[ses.Dialect] {
				continue
			}
			if _, err := m.tx.EndSession(ctx, of.RealmID, ses.ID, endMerged, m.now); err != nil {
				return err
			}
		}
	}
	return nil
}

// factor takes the second factor of the other one along. What was proven without it is void.
func (m *merging) factor(ctx context.Context) error {
	keep, other := &m.p.Keep, &m.p.Other
	if m.p.factor {
		if _, err := m.tx.DeleteFactor(ctx, keep.ID); err != nil {
			return err
		}
		if other.Factor != nil && other.State != FactorNone {
			if err := m.s.giveFactor(ctx, m.tx, *other.Factor, other.ID, keep.ID); err != nil {
				return err
			}
		}
		if other.Elsewhere != "" {
			if err := m.tx.SetElsewhere(ctx, keep.RealmID, keep.ID, other.Elsewhere, other.EnrolsHere, m.now); err != nil {
				return err
			}
		}
	}
	if keep.secured() == other.secured() {
		return nil
	}
	if err := m.tx.CutSessions(ctx, keep.RealmID, keep.ID, m.now); err != nil {
		return err
	}
	return m.tx.ChangeVersion(ctx, keep.ID, m.now)
}

// tickets: a login that is half done goes on, unless it lacks a second factor.
func (m *merging) tickets(ctx context.Context) error {
	keep, other := &m.p.Keep, &m.p.Other
	if keep.secured() || other.secured() {
		return nil
	}
	return m.tx.GiveTickets(ctx, other.ID, other.Version, keep.ID, keep.Version, m.now)
}

// giveFactor gives a second factor to another account, for which it is sealed anew.
func (s *Service) giveFactor(ctx context.Context, tx Tx, f Factor, from, to uuid.UUID) error {
	secret, err := s.master.Open(f.Secret, factorRow(from))
	if err != nil {
		return Because(CodeInternal, "second factor of account %s: %w", from, err)
	}
	_, err = tx.GiveFactor(ctx, from, to, s.master.Seal(secret, factorRow(to)))
	return err
}

// cutoff: no token of others is good for both that was not good for one.
func (m *merging) cutoff(ctx context.Context) error {
	at, err := m.tx.SessionCutoff(ctx, m.p.Keep.RealmID, m.p.Other.ID)
	if err != nil || at.IsZero() {
		return err
	}
	return m.tx.CutSessions(ctx, m.p.Keep.RealmID, m.p.Keep.ID, at)
}

// drop removes the other account, so that what names it is free.
func (m *merging) drop(ctx context.Context) error {
	for _, d := range m.p.lost {
		if err := m.tx.NoteSubjectGone(ctx, m.p.Keep.RealmID, d, m.s.subjectOf(&m.p.Other, d), m.now); err != nil {
			return err
		}
	}
	found, err := m.tx.DropMerged(ctx, m.p.Keep.RealmID, m.p.Other.ID)
	if err == nil && !found {
		err = ErrNotFound
	}
	if err != nil {
		return err
	}
	return m.tx.ClearBudgets(ctx, m.p.Keep.RealmID, m.p.Other.ID.String(), "")
}

// passwords joins those that stay.
func (m *merging) passwords(ctx context.Context) error {
	keep, other := &m.p.Keep, &m.p.Other
	if err := recount(ctx, m.tx, other.AccountRecord, AccountRecord{}); err != nil {
		return err
	}
	return changePasswords(ctx, m.tx, keep.RealmID, keep.ID, func(AccountRecord) (bool, error) {
		for _, d := range m.p.dropped[0] {
			if d == "" {
				continue
			}
			if _, err := m.tx.DropSource(ctx, keep.ID, d); err != nil {
				return false, err
			}
		}
		for _, p := range keep.Passwords {
			if _, err := m.tx.JoinSource(ctx, keep.ID, p.Source, true); err != nil {
				return false, err
			}
		}
		for _, p := range other.Passwords {
			if slices.Contains(m.p.dropped[1], p.Source) {
				continue
			}
			p.Joined = true
			if err := m.tx.PutSource(ctx, keep.RealmID, keep.ID, p); err != nil {
				return false, err
			}
		}
		if other.PasswordHash == "" || slices.Contains(m.p.dropped[1], "") {
			return true, nil
		}
		_, err := m.tx.Rehash(ctx, keep.ID, keep.PasswordHash, other.PasswordHash)
		return true, err
	})
}

func (m *merging) names(ctx context.Context) error {
	if keep := m.p.Keep.Account; keep.Apart != "" {
		if err := m.tx.NoteApart(ctx, keep.RealmID, keep.ID, keep.Apart); err != nil {
			return err
		}
	}
	for _, n := range m.p.Other.Names {
		if slices.Contains(m.p.notKept, n) {
			continue
		}
		if err := m.tx.AddName(ctx, m.p.Keep.RealmID, m.p.Keep.ID, n); err != nil {
			return err
		}
	}
	return nil
}

func (m *merging) subjects(ctx context.Context) error {
	for _, d := range slices.Sorted(maps.Keys(m.p.subjects)) {
		if err := m.tx.SetAlias(ctx, m.p.Keep.RealmID, m.p.Keep.ID, d, m.p.subjects[d]); err != nil {
			return err
		}
	}
	return nil
}

func (m *merging) roles(ctx context.Context) error {
	for _, role := range m.p.Other.Roles {
		if _, err := m.tx.AddRole(ctx, m.p.Keep.RealmID, m.p.Keep.ID, role, m.now); err != nil {
			return err
		}
	}
	return nil
}

// updateNames changes an account's names; those that it has besides, of one that was merged
// into it, stay.
func updateNames(ctx context.Context, tx Tx, was, is Account, keys []string) error {
	names, err := tx.AccountNames(ctx, is.ID)
	if err != nil {
		return err
	}
	_, unnamed := nameKeys(was.Username, was.Email) // it can't be called so any more, and then these names go
	others := slices.DeleteFunc(besides(was, names), func(n AccountName) bool {
		return n.Dialect == was.Apart && (unnamed != nil || slices.Contains(keys, n.Key))
	})
	return tx.UpdateAccount(ctx, is, keys, others...)
}
