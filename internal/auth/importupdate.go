package auth

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
)

// update changes an account to what a line says. What a line says nothing of stays: roles and
// subjects are added, and none are taken away; and whoever has a password, or a second factor,
// keeps it, since it may have been changed here.
func (b *importBatch) update(e *ImportEntry) error {
	err := b.tx.HoldAccount(b.ctx, b.realm.ID, e.target) // what is read of it here stays so until all of this is stored
	if errors.Is(err, ErrNotFound) {
		return ErrConflict // it was deleted since it was looked up: the line is looked at once more
	}
	if err != nil {
		return err
	}
	rec, err := b.tx.AccountByID(b.ctx, b.realm.ID, e.target, "")
	if err != nil {
		return err
	}
	for _, step := range []func(context.Context, AccountRecord, *ImportEntry) error{b.updateNames, b.addNames, b.updateAccess, b.updateAliases, b.updatePasswords, b.updateFactor} {
		if err := step(b.ctx, rec, e); err != nil {
			return err
		}
	}
	return b.tx.NoteImported(b.ctx, b.realm.ID, rec.ID, e.account.Digest, e.account.Source, b.now)
}

func (b *importBatch) tell(kind audit.Kind, account uuid.UUID, d Dialect, detail string) error {
	e := b.s.event(b.realm.ID, kind, account, b.cl)
	e.Dialect, e.Detail = string(d), detail
	return b.tx.InsertEvent(b.ctx, e)
}

func (b *importBatch) updateNames(ctx context.Context, rec AccountRecord, e *ImportEntry) error {
	a, from := rec.Account, &e.account
	if from.Email != "" {
		a.Email, a.EmailVerified = from.Email, from.EmailVerified
	}
	a.Username, a.DisplayName, a.Org = cmp.Or(from.Username, a.Username), cmp.Or(from.DisplayName, a.DisplayName), cmp.Or(from.Org, a.Org)
	if e.number {
		a.Number = from.Number
	}
	fields := changedFields(rec.Account, a)
	if len(fields) == 0 {
		return nil
	}
	a.UpdatedAt = b.now
	keys, err := nameKeys(a.Username, a.Email)
	if err != nil {
		return err
	}
	if err := updateNames(ctx, b.tx, rec.Account, a, keys); err != nil {
		return err
	}
	return b.tell(audit.AccountUpdated, a.ID, "", strings.Join(fields, " "))
}

// addNames adds those of the line that the account does not have.
func (b *importBatch) addNames(ctx context.Context, rec AccountRecord, e *ImportEntry) error {
	if len(e.account.Names) == 0 {
		return nil
	}
	has, err := b.tx.AccountNames(ctx, rec.ID)
	if err != nil {
		return err
	}
	if rec.Apart != "" {
		if err := b.tx.NoteApart(ctx, b.realm.ID, rec.ID, rec.Apart); err != nil {
			return err
		}
	}
	before := len(has)
	for _, n := range e.account.Names {
		n.Dialect = cmp.Or(n.Dialect, rec.Apart)
		if slices.Contains(has, n) || slices.Contains(has, AccountName{Key: n.Key}) {
			continue
		}
		if err := b.tx.AddName(ctx, b.realm.ID, rec.ID, n); err != nil {
			return err
		}
		has = append(has, n)
	}
	if len(has) == before {
		return nil
	}
	return b.tell(audit.AccountUpdated, rec.ID, "", "names")
}

func (b *importBatch) updateAccess(ctx context.Context, rec AccountRecord, e *ImportEntry) error {
	for _, role := range e.account.Roles {
		added, err := addRole(ctx, b.tx, b.realm.ID, rec.ID, role, b.now)
		if err == nil && added {
			err = b.tell(audit.RoleAdded, rec.ID, "", role)
		}
		if err != nil {
			return b.roleGone(err)
		}
	}
	if !e.account.Disabled || rec.Disabled { // who was disabled here stays so
		return nil
	}
	// First the account: a login that has changed it must be over, for its session to be seen.
	if _, err := b.tx.SetDisabled(ctx, b.realm.ID, rec.ID, true, b.now); err != nil {
		return err
	}
	if _, err := b.tx.EndSessions(ctx, rec.ID, uuid.Nil, "account_disabled", b.now); err != nil {
		return err
	}
	return b.tell(audit.AccountDisabled, rec.ID, "", "")
}

func (b *importBatch) updateAliases(ctx context.Context, rec AccountRecord, e *ImportEntry) error {
	are, err := b.tx.Aliases(ctx, rec.ID)
	if err != nil {
		return err
	}
	for d, subject := range e.account.Aliases {
		if are[d] == subject {
			continue
		}
		if err := b.tx.SetAlias(ctx, b.realm.ID, rec.ID, d, subject); err != nil {
			return err
		}
		if err := b.tell(audit.AliasSet, rec.ID, d, strconv.Quote(subject)); err != nil {
			return err
		}
	}
	return nil
}

// updatePasswords gives an account the passwords of sources that it has none of, or that are
// pending; and one of its own, if it has none at all.
func (b *importBatch) updatePasswords(ctx context.Context, rec AccountRecord, e *ImportEntry) error {
	var gets bool
	err := changePasswords(ctx, b.tx, b.realm.ID, rec.ID, func(now AccountRecord) (changed bool, err error) {
		defer func() { gets = changed }()
		for _, p := range e.account.Passwords {
			i := slices.IndexFunc(now.Passwords, func(has SourceHash) bool { return has.Source == p.Source })
			if now.PasswordHash != "" || i >= 0 && (now.Passwords[i].Hash != "" || p.Hash == "") {
				continue
			}
			p.CreatedAt, changed = b.now, true
			if err := b.tx.PutSource(ctx, b.realm.ID, rec.ID, p); err != nil {
				return false, err
			}
		}
		if e.account.PasswordHash == "" || now.PasswordHash != "" || len(now.Passwords) > 0 {
			return changed, nil
		}
		return b.tx.SetPassword(ctx, rec.ID, now.Version, e.account.PasswordHash, b.now)
	})
	if err != nil || !gets {
		return err
	}
	return b.tell(audit.PasswordChanged, rec.ID, e.account.Source, "import")
}

// updateFactor gives an account that has no second factor here that of the line.
func (b *importBatch) updateFactor(ctx context.Context, rec AccountRecord, e *ImportEntry) error {
	f, d := e.account.Factor, e.account.Elsewhere
	if d != "" && rec.Elsewhere == "" && b.s.factorState(rec.Factor) != FactorConfirmed {
		if err := b.tx.SetElsewhere(ctx, b.realm.ID, rec.ID, d, false, b.now); err != nil {
			return err
		}
		if err := b.tell(audit.AccountUpdated, rec.ID, "", "factor_elsewhere"); err != nil {
			return err
		}
	}
	if f == nil || b.s.factorState(rec.Factor) == FactorConfirmed || f.ConfirmedAt.IsZero() && rec.Factor != nil {
		return nil
	}
	secret, err := b.s.master.Open(f.Secret, factorRow(e.account.ID))
	if err != nil {
		return err
	}
	start := Factor{Secret: b.s.master.Seal(secret, factorRow(rec.ID)), LastStep: f.LastStep - 1, CreatedAt: b.now}
	if err := b.tx.StartFactor(ctx, b.realm.ID, rec.ID, start); err != nil {
		return err
	}
	if err := b.tell(audit.FactorEnrolled, rec.ID, "", ""); err != nil || f.ConfirmedAt.IsZero() {
		return err
	}
	if _, err := b.tx.UseStep(ctx, rec.ID, f.LastStep, b.now); err != nil {
		return err
	}
	if err := b.tx.ReplaceRecoveryCodes(ctx, b.realm.ID, rec.ID, e.account.RecoveryCodes, b.now); err != nil {
		return err
	}
	return b.s.confirmed(ctx, b.tx, &rec, uuid.Nil, b.cl)
}
