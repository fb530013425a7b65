package auth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/totp"
)

const endUndone = "merge_undone" // why sessions end

// UndoMerge makes two accounts of one again. CodeConflict if PlanUndo has one.
func (s *Service) UndoMerge(ctx context.Context, realm, id uuid.UUID, cl Client) error {
	return s.change(ctx, func(tx Tx) error {
		if err := tx.HoldRealm(ctx, realm); err != nil {
			return err
		}
		m, err := tx.MergeByID(ctx, realm, id)
		if err == nil {
			err = tx.HoldAccount(ctx, realm, m.Keep)
		}
		if err != nil && !errors.Is(err, ErrNotFound) { // what is not there, the plan names
			return err
		}
		p, err := s.planUndo(ctx, tx, realm, id)
		if err != nil {
			return err
		}
		if len(p.Conflicts) > 0 {
			return Errorf(CodeConflict, "%s", p.Conflicts[0])
		}
		u := undoing{s, tx, p, s.now()}
		return u.run(ctx, cl)
	})
}

// undoing is the undo of a merge in its transaction.
type undoing struct {
	s   *Service
	tx  Tx
	p   *UndoPlan
	now time.Time
}

func (u *undoing) run(ctx context.Context, cl Client) error {
	done, err := u.tx.UndoneMerge(ctx, u.p.Merge, u.now)
	if err != nil {
		return err
	}
	if !done {
		return Errorf(CodeConflict, "the merge %s was undone already", u.p.Merge.ID)
	}
	for _, step := range []func(context.Context) error{u.free, u.account, u.roles, u.factor, u.passwords, u.give, u.end} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if u.p.Keep.Disabled {
		if err := u.tx.InsertEvent(ctx, u.s.event(u.p.Other.RealmID, audit.AccountDisabled, u.p.Other.ID, cl)); err != nil {
			return err
		}
	}
	for _, of := range []uuid.UUID{u.p.Keep.ID, u.p.Other.ID} {
		e := u.s.event(u.p.Other.RealmID, audit.MergeUndone, of, cl)
		e.Detail = fmt.Sprintf("merge=%s kept=%s other=%s", u.p.Merge.ID, u.p.Keep.ID, u.p.Other.ID)
		if err := u.tx.InsertEvent(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// free takes the names and subjects that were the other one's from the account that was kept.
func (u *undoing) free(ctx context.Context) error {
	for _, n := range u.p.before.Names {
		if slices.Contains(u.p.before.KeepNames, n) {
			continue
		}
		if _, err := u.tx.DropName(ctx, u.p.Other.RealmID, u.p.Keep.ID, n); err != nil {
			return err
		}
	}
	for _, d := range slices.Sorted(maps.Keys(u.p.aliases)) {
		if err := u.tx.SetAlias(ctx, u.p.Other.RealmID, u.p.Keep.ID, d, u.p.aliases[d]); err != nil {
			return err
		}
	}
	return nil
}

// account makes the other one again, with its names and subjects.
func (u *undoing) account(ctx context.Context) error {
	rec := u.p.before.Other
	rec.Disabled = u.p.Keep.Disabled // whoever was shut out since stays so
	rec.PasswordHash, rec.Passwords, rec.Factor = "", nil, nil
	rec.Version++
	rec.UpdatedAt = u.now
	if err := u.tx.InsertAccount(ctx, rec, nil); err != nil {
		return err
	}
	if rec.Apart != "" {
		if err := u.tx.NoteApart(ctx, rec.RealmID, rec.ID, rec.Apart); err != nil {
			return err
		}
	}
	for _, n := range u.p.before.Names {
		if err := u.tx.AddName(ctx, rec.RealmID, rec.ID, n); err != nil {
			return err
		}
	}
	for _, d := range slices.Sorted(maps.Keys(u.p.before.Aliases)) {
		if err := u.tx.SetAlias(ctx, rec.RealmID, rec.ID, d, u.p.before.Aliases[d]); err != nil {
			return err
		}
	}
	if at := u.p.before.SignedInAt; at != 0 {
		if _, err := u.tx.RecordSignIn(ctx, rec.ID, rec.Version, time.UnixMicro(at)); err != nil {
			return err
		}
	}
	// What ended its tokens meanwhile has ended them.
	cutoff, err := u.tx.SessionCutoff(ctx, rec.RealmID, u.p.Keep.ID)
	if err != nil || cutoff.IsZero() {
		return err
	}
	return u.tx.CutSessions(ctx, rec.RealmID, rec.ID, cutoff)
}

func (u *undoing) roles(ctx context.Context) error {
	for _, role := range u.p.before.Other.Roles {
		there, err := u.tx.HasRole(ctx, u.p.Other.RealmID, role)
		if err == nil && there {
			_, err = u.tx.AddRole(ctx, u.p.Other.RealmID, u.p.Other.ID, role, u.now)
		}
		if err == nil && !slices.Contains(u.p.before.KeepRoles, role) {
			_, err = u.tx.RemoveRole(ctx, u.p.Other.RealmID, u.p.Keep.ID, role)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// factor gives the second factor back; or, if the account that was kept has another one since,
// has the other one be asked for the one that it had.
func (u *undoing) factor(ctx context.Context) error {
	was, other := u.p.before.Other, u.p.Other.ID
	if was.Elsewhere != "" {
		if err := u.tx.SetElsewhere(ctx, was.RealmID, other, was.Elsewhere, was.EnrolsHere, u.now); err != nil {
			return err
		}
		if u.p.before.Factor && u.p.Keep.Elsewhere == was.Elsewhere {
			if _, err := u.tx.DropElsewhere(ctx, u.p.Keep.ID); err != nil {
				return err
			}
		}
	}
	switch {
	case u.p.factor:
		return u.s.giveFactor(ctx, u.tx, *u.p.Keep.Factor, u.p.Keep.ID, other)
	case was.Factor == nil:
		return nil
	}
	f := *was.Factor
	if f.ConfirmedAt.IsZero() {
		return u.tx.StartFactor(ctx, was.RealmID, other, f)
	}
	spent := max(f.LastStep, totp.Step(u.now)+totp.MaxSkew)
	f.LastStep = spent - 1
	if err := u.tx.StartFactor(ctx, was.RealmID, other, f); err != nil {
		return err
	}
	confirmed, err := u.tx.UseStep(ctx, other, spent, f.ConfirmedAt)
	if err == nil && !confirmed {
		err = Because(CodeInternal, "second factor of account %s: %w", other, ErrConflict)
	}
	return err
}

// passwords gives those back that nobody has replaced.
func (u *undoing) passwords(ctx context.Context) error {
	was, keep := u.p.before.Other, u.p.Keep.ID
	if !u.p.Merge.ResetAt.IsZero() {
		return u.tx.ResetMerges(ctx, was.ID, u.p.Merge.ResetAt) // no undo of its own merges brings any back either
	}
	now := map[Dialect]SourceHash{}
	for _, p := range u.p.Keep.Passwords {
		now[p.Source] = p
	}
	own := was.PasswordHash
	err := changePasswords(ctx, u.tx, was.RealmID, keep, func(rec AccountRecord) (bool, error) {
		for _, p := range was.Passwords {
			if !slices.Contains(u.p.before.Dropped[1], p.Source) {
				is, there := now[p.Source]
				if !there {
					continue
				}
				p.Hash, p.ProvenAt = is.Hash, is.ProvenAt
				if _, err := u.tx.DropSource(ctx, keep, p.Source); err != nil {
					return false, err
				}
			}
			if err := u.tx.PutSource(ctx, was.RealmID, was.ID, p); err != nil {
				return false, err
			}
		}
		for _, p := range u.p.before.KeepPasswords {
			if slices.Contains(u.p.before.Dropped[0], p.Source) {
				if err := u.tx.PutSource(ctx, was.RealmID, keep, p); err != nil {
					return false, err
				}
			} else if _, err := u.tx.JoinSource(ctx, keep, p.Source, p.Joined); err != nil {
				return false, err
			}
		}
		if own == "" || slices.Contains(u.p.before.Dropped[1], "") {
			return true, nil
		}
		own = rec.PasswordHash // hashed anew, perhaps
		_, err := u.tx.Rehash(ctx, keep, rec.PasswordHash, u.p.before.KeepPassword)
		return true, err
	})
	if err != nil {
		return err
	}
	if _, err := u.tx.Rehash(ctx, was.ID, "", own); err != nil {
		return err
	}
	is, err := u.tx.AccountByID(ctx, was.RealmID, was.ID, "")
	if err != nil {
		return err
	}
	return recount(ctx, u.tx, AccountRecord{Account: is.Account}, is)
}

// give gives back what else was the other one's, and has both count the wrong guesses.
func (u *undoing) give(ctx context.Context) error {
	if err := u.tx.Give(ctx, u.p.Keep.ID, u.p.Other.ID, u.p.before.Belongings); err != nil {
		return err
	}
	for _, known := range u.p.before.KeepSources { // some of them the other one's, too
		if err := u.tx.NoteSource(ctx, u.p.Keep.ID, known.Source, known.SeenAt); err != nil {
			return err
		}
	}
	return u.tx.CopyBudgets(ctx, u.p.Other.RealmID, u.p.Keep.ID, u.p.Other.ID)
}

// end ends what was opened since, and all logins that are half done.
func (u *undoing) end(ctx context.Context) error {
	if err := u.tx.ChangeVersion(ctx, u.p.Keep.ID, u.now); err != nil {
		return err
	}
	if u.p.factor {
		_, err := u.tx.EndSessions(ctx, u.p.Keep.ID, uuid.Nil, endUndone, u.now)
		return err
	}
	for _, id := range u.p.opened {
		if _, err := u.tx.EndSession(ctx, u.p.Other.RealmID, id, endUndone, u.now); err != nil {
			return err
		}
	}
	return nil
}
