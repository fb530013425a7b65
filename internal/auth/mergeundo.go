package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// UndoPlan is what undoing a merge would do.
type UndoPlan struct {
	Merge     MergeRecord
	Keep      MergeSide
	Other     Account  // as it was
	Steps     []string // in words
	Conflicts []string // any stops it

	before  mergeBefore
	aliases map[Dialect]string // that the account that was kept gets back; "": its default
	factor  bool               // it gives the second factor back
	opened  []uuid.UUID        // sessions of since the merge
}

// Merges lists the merges of a realm, the first one first.
func (s *Service) Merges(ctx context.Context, realm uuid.UUID) ([]MergeRecord, error) {
	list, err := s.store.Merges(ctx, realm)
	return list, storeError(err)
}

// PlanUndo says what UndoMerge would do.
func (s *Service) PlanUndo(ctx context.Context, realm, id uuid.UUID) (*UndoPlan, error) {
	p, err := s.planUndo(ctx, s.store, realm, id)
	return p, storeError(err)
}

func (s *Service) planUndo(ctx context.Context, r Reader, realm, id uuid.UUID) (*UndoPlan, error) {
	p := &UndoPlan{aliases: map[Dialect]string{}}
	var err error
	if p.Merge, err = r.MergeByID(ctx, realm, id); errors.Is(err, ErrNotFound) {
		return nil, Errorf(CodeNotFound, "there is no merge %s%s: ostiary account merge --list shows those of a realm", id, inRealm(ctx, r, realm))
	}
	if err != nil {
		return nil, err
	}
	if !p.Merge.UndoneAt.IsZero() {
		return nil, Errorf(CodeConflict, "the merge %s was undone already", id)
	}
	text, err := s.master.Open(p.Merge.Before, mergeRow(id))
	if err == nil {
		err = json.Unmarshal(text, &p.before)
	}
	if err != nil {
		return nil, Because(CodeInternal, "what was before the merge %s: %w", id, err)
	}
	p.Other = p.before.Other.Account
	err = s.mergeSide(ctx, r, &p.Keep, realm, p.Merge.Keep)
	if errors.Is(err, ErrNotFound) {
		return nil, Errorf(CodeConflict, "account %s is no more: if it was merged too, undo that first", p.Merge.Keep)
	}
	if err != nil {
		return nil, err
	}
	p.step("account %s is there again, with its names and roles", p.Other.ID)
	if p.Keep.Disabled {
		p.step("it is disabled, as account %s is", p.Keep.ID)
	}
	for _, plan := range []func(context.Context, Reader) error{p.planNames, s.planUndoSubjects(p), p.planSessions(s), p.planPasswords, s.planUndoFactor(p)} {
		if err := plan(ctx, r); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *UndoPlan) step(format string, args ...any) {
	p.Steps = append(p.Steps, fmt.Sprintf(format, args...))
}

func (p *UndoPlan) conflict(format string, args ...any) {
	p.Conflicts = append(p.Conflicts, fmt.Sprintf(format, args...))
}

// planNames sees that its names and its number are nobody else's now.
func (p *UndoPlan) planNames(ctx context.Context, r Reader) error {
	own, _ := nameKeys(p.Keep.Username, p.Keep.Email)
	for _, n := range p.before.Names {
		has, err := r.AccountByName(ctx, p.Other.RealmID, n.Key, n.Dialect)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		names, err := r.AccountNames(ctx, has.ID)
		if err != nil {
			return err
		}
		switch {
		case has.ID != p.Keep.ID && slices.Contains(names, n):
			p.conflict("account %s is called %s now", has.ID, n.Key)
		case has.ID == p.Keep.ID && n.Dialect == p.Keep.Apart && slices.Contains(own, n.Key) && !slices.Contains(p.before.KeepNames, n):
			p.conflict("the account that was kept is called %s itself by now: rename it first", n.Key)
		}
	}
	has, err := r.AccountByNumber(ctx, p.Other.RealmID, p.Other.Number, "")
	if err == nil {
		p.conflict("account %s has the number %d now", has.ID, p.Other.Number)
	}
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return err
}

// planUndoSubjects: each is called again what its clients called it.
func (s *Service) planUndoSubjects(p *UndoPlan) func(context.Context, Reader) error {
	return func(ctx context.Context, r Reader) error {
		other := MergeSide{AccountRecord: p.before.Other, Aliases: p.before.Aliases}
		for d, subject := range p.Keep.Aliases {
			if was := p.before.KeepAliases[d]; was != subject && subject == s.subjectOf(&other, d) {
				p.aliases[d] = was
				p.step("in %s the subject %q is its own again", d, subject)
			}
		}
		for d, subject := range p.before.Aliases {
			has, err := r.AccountBySubject(ctx, p.Other.RealmID, d, subject)
			if err == nil && has.ID != p.Keep.ID {
				p.conflict("account %s has the subject %q in %s now", has.ID, subject, d)
			}
			if err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
		}
		return nil
	}
}

// planSessions: nobody knows by whose password a session of since was opened.
func (p *UndoPlan) planSessions(s *Service) func(context.Context, Reader) error {
	return func(ctx context.Context, r Reader) error {
		back := 0
		for after := uuid.Nil; ; {
			page, err := r.Sessions(ctx, p.Other.RealmID, p.Keep.ID, after, statePage, s.now())
			if err != nil {
				return err
			}
			if len(page) == 0 {
				break
			}
			for _, ses := range page {
				after = ses.ID
				switch {
				case slices.Contains(p.before.Belongings.Sessions, ses.ID):
					back++
				case !slices.Contains(p.before.KeepSessions, ses.ID):
					p.opened = append(p.opened, ses.ID)
				}
			}
		}
		if back > 0 {
			p.step("%d sessions that were its own go on as its own", back)
		}
		if len(p.opened) > 0 {
			p.step("%d sessions that were opened since end: nobody knows by whose password they were", len(p.opened))
		}
		return nil
	}
}

func (p *UndoPlan) planPasswords(context.Context, Reader) error {
	had := p.before.Other.PasswordHash != "" || len(p.before.Other.Passwords) > 0
	switch {
	case had && p.Merge.ResetAt.IsZero():
		p.step("its passwords are its own again, and no longer good for account %s", p.Keep.ID)
	case had:
		p.step("it has no password: that of account %s was changed on %s, and nobody knows whose it is", p.Keep.ID, p.Merge.ResetAt.Format(time.DateOnly))
	}
	return nil
}

// planUndoFactor: the second factor that was taken along goes back, if it is the same one.
func (s *Service) planUndoFactor(p *UndoPlan) func(context.Context, Reader) error {
	return func(context.Context, Reader) error {
		was := p.before.Other.Factor
		if !p.before.Factor || was == nil {
			return nil
		}
		theirs, err := s.master.Open(was.Secret, factorRow(p.Other.ID))
		if err != nil {
			return Because(CodeInternal, "second factor of account %s: %w", p.Other.ID, err)
		}
		if f := p.Keep.Factor; f != nil {
			mine, err := s.master.Open(f.Secret, factorRow(p.Keep.ID))
			if err != nil {
				return Because(CodeInternal, "second factor of account %s: %w", p.Keep.ID, err)
			}
			p.factor = bytes.Equal(mine, theirs)
		}
		p.step("it has its second factor again")
		if p.factor {
			p.step("account %s has no second factor then, and all its sessions end", p.Keep.ID)
		}
		return nil
	}
}
