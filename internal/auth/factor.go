package auth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/totp"
	"github.com/ostiary/ostiary/internal/trace"
)

const (
	enrolmentTTL  = 7 * 24 * time.Hour // an enrolment not confirmed by then is withdrawn
	factorSkew    = 1                  // steps of 30 s before and after the current one
	recoveryCodes = 10
)

func factorRow(account uuid.UUID) string { return "account/" + account.String() + "/totp" }

// factorState is what an account's factor amounts to now.
func (s *Service) factorState(f *Factor) FactorState {
	switch {
	case f == nil:
		return FactorNone
	case !f.ConfirmedAt.IsZero():
		return FactorConfirmed
	case !s.now().Before(f.CreatedAt.Add(enrolmentTTL)):
		return FactorNone
	}
	return FactorEnrolled
}

// useCode consumes a code of the account's factor: a TOTP code once, and never one of
// an earlier step (RFC 6238, section 5.2), or a recovery code once, if recovery is set.
// It returns how it was proven ("otp" or "recovery"), or "" if the code is wrong.
func (s *Service) useCode(ctx context.Context, tx Tx, rec AccountRecord, code string, recovery bool) (string, error) {
	defer trace.Start(ctx, "second factor").End()
	secret, err := s.master.Open(rec.Factor.Secret, factorRow(rec.ID))
	if err != nil {
		return "", Because(CodeInternal, "second factor of account %s: %w", rec.ID, err)
	}
	if step, ok := totp.Match(secret, code, s.now(), factorSkew); ok {
		used, err := tx.UseStep(ctx, rec.ID, step, s.now())
		if err != nil || !used {
			return "", err
		}
		return "otp", nil
	}
	plain, ok := totp.RecoveryText(code)
	if !ok || !recovery || rec.Factor.ConfirmedAt.IsZero() {
		return "", nil
	}
	used, err := tx.SpendRecoveryCode(ctx, rec.ID, sha256.Sum256([]byte(plain)), s.now())
	if err != nil || !used {
		return "", err
	}
	return "recovery", nil
}

// confirmed makes void what was proven with the password alone, now that the first
// right code has come, but for one session.
func (s *Service) confirmed(ctx context.Context, tx Tx, rec *AccountRecord, keep uuid.UUID, cl Client) error {
	now := s.now()
	if err := tx.ChangeVersion(ctx, rec.ID, now); err != nil {
		return err
	}
	rec.Version++
	if _, err := tx.DropElsewhere(ctx, rec.ID); err != nil {
		return err
	}
	rec.Elsewhere = ""
	if _, err := tx.EndSessions(ctx, rec.ID, keep, "factor_confirmed", now); err != nil {
		return err
	}
	return tx.InsertEvent(ctx, s.event(rec.RealmID, audit.FactorConfirmed, rec.ID, cl))
}

// Factor returns the state of an account's second factor.
func (s *Service) Factor(ctx context.Context, realm, id uuid.UUID) (FactorState, error) {
	rec, err := s.store.AccountByID(ctx, realm, id, "")
	return s.factorOf(&rec), storeError(err)
}

// EnrollFactor starts an enrolment and returns its otpauth URI, the same one until it
// is confirmed or withdrawn. CodeConflict if there is a confirmed factor.
func (s *Service) EnrollFactor(ctx context.Context, realm, id uuid.UUID, cl Client) (uri string, err error) {
	err = s.change(ctx, func(tx Tx) error {
		uri, err = s.enroll(ctx, tx, realm, id, true, cl)
		return err
	})
	return uri, err
}

// enroll starts an enrolment. By an operator's word it is under way for all that a legacy
// server asks for: whoever signs in meanwhile sees its QR code and is asked for its code.
func (s *Service) enroll(ctx context.Context, tx Tx, realm, id uuid.UUID, operator bool, cl Client) (uri string, err error) {
	if err := tx.HoldAccount(ctx, realm, id); err != nil { // of two at once, both are to show one code
		return "", err
	}
	rec, err := tx.AccountByID(ctx, realm, id, "")
	if err != nil {
		return "", err
	}
	if rec.Kind == KindService {
		return "", Errorf(CodeInvalidInput, "a service account has no second factor")
	}
	if s.factorState(rec.Factor) == FactorConfirmed {
		return "", Errorf(CodeConflict, "the account has a confirmed second factor: reset it first")
	}
	if operator && rec.Elsewhere != "" {
		if err := tx.SetElsewhere(ctx, realm, id, rec.Elsewhere, true, s.now()); err != nil {
			return "", err
		}
	}
	if s.factorState(rec.Factor) == FactorEnrolled {
		return s.factorURI(rec)
	}
	rec.Factor = &Factor{Secret: s.master.Seal(totp.NewSecret(), factorRow(id)), CreatedAt: s.now()}
	if err := tx.StartFactor(ctx, realm, id, *rec.Factor); err != nil {
		return "", err
	}
	if uri, err = s.factorURI(rec); err != nil {
		return "", err
	}
	return uri, tx.InsertEvent(ctx, s.event(realm, audit.FactorEnrolled, id, cl))
}

// maxLabel is how many octets of a name fit into a QR code beside the longest issuer.
const maxLabel = 254

func (s *Service) factorURI(rec AccountRecord) (string, error) {
	secret, err := s.master.Open(rec.Factor.Secret, factorRow(rec.ID))
	if err != nil {
		return "", Because(CodeInternal, "second factor of account %s: %w", rec.ID, err)
	}
	label := rec.Email
	if label == "" {
		label = rec.Username
	}
	return totp.URI(s.issuer, cut(label, maxLabel), secret), nil
}

// ConfirmFactor confirms an enrolment with a first right code, which ends the
// account's sessions. CodeFactorInvalid if the code is wrong.
func (s *Service) ConfirmFactor(ctx context.Context, realm, id uuid.UUID, code Secret, cl Client) error {
	wrong := false
	err := s.change(ctx, func(tx Tx) error {
		err := s.confirm(ctx, tx, realm, id, code, uuid.Nil, cl)
		if wrong = errors.Is(err, errWrongCode); wrong {
			err = nil // its entry is to be stored
		}
		return err
	})
	if err == nil && wrong {
		err = wrongCode()
	}
	return err
}

func wrongCode() error {
	return Errorf(CodeFactorInvalid, "the code is wrong: take a fresh one, and see that the clocks agree")
}

// confirm tries the first code of an enrolment, and keeps one session. errWrongCode if the
// code is wrong, with its entry in the log.
func (s *Service) confirm(ctx context.Context, tx Tx, realm, id uuid.UUID, code Secret, keep uuid.UUID, cl Client) error {
	if err := tx.HoldAccount(ctx, realm, id); err != nil {
		return err
	}
	rec, err := tx.AccountByID(ctx, realm, id, "")
	if err != nil {
		return err
	}
	switch s.factorState(rec.Factor) {
	case FactorNone:
		return Errorf(CodeNotFound, "the account has no enrolment to confirm: start one first")
	case FactorConfirmed:
		return Errorf(CodeConflict, "the second factor is confirmed already")
	}
	how, err := s.useCode(ctx, tx, rec, string(code), false)
	if err != nil {
		return err
	}
	if how == "" {
		e := s.event(realm, audit.FactorFailed, id, cl)
		e.Detail = errWrongCode.Error()
		return cmp.Or(tx.InsertEvent(ctx, e), errWrongCode)
	}
	return s.confirmed(ctx, tx, &rec, keep, cl)
}

// ResetFactor removes an account's factor and recovery codes, which ends its sessions.
func (s *Service) ResetFactor(ctx context.Context, realm, id uuid.UUID, cl Client) error {
	return s.change(ctx, func(tx Tx) error {
		if err := tx.HoldAccount(ctx, realm, id); err != nil { // new recovery codes may be made at the same time
			return err
		}
		found, err := tx.DeleteFactor(ctx, id)
		if err != nil {
			return err
		}
		elsewhere, err := tx.DropElsewhere(ctx, id)
		if err != nil {
			return err
		}
		if !found && !elsewhere {
			return Errorf(CodeNotFound, "the account has no second factor")
		}
		if err := tx.ChangeVersion(ctx, id, s.now()); err != nil {
			return err
		}
		if _, err := tx.EndSessions(ctx, id, uuid.Nil, "factor_reset", s.now()); err != nil {
			return err
		}
		if err := tx.ClearBudget(ctx, factorBudget(realm, id)); err != nil {
			return err
		}
		return tx.InsertEvent(ctx, s.event(realm, audit.FactorReset, id, cl))
	})
}

// NewRecoveryCodes makes ten codes that each pass once at the passport; older ones
// are void from then on.
func (s *Service) NewRecoveryCodes(ctx context.Context, realm, id uuid.UUID, cl Client) ([]string, error) {
	codes := totp.NewRecoveryCodes(recoveryCodes)
	hashes := make([][32]byte, len(codes))
	for i, c := range codes {
		plain, _ := totp.NormalizeRecovery(c)
		hashes[i] = sha256.Sum256([]byte(plain))
	}
	err := s.change(ctx, func(tx Tx) error {
		if err := tx.HoldAccount(ctx, realm, id); err != nil { // the factor may be reset at the same time
			return err
		}
		rec, err := tx.AccountByID(ctx, realm, id, "")
		if err != nil {
			return err
		}
		if s.factorState(rec.Factor) != FactorConfirmed {
			return Errorf(CodeConflict, "the account has no confirmed second factor that codes could stand in for")
		}
		if err := tx.ReplaceRecoveryCodes(ctx, realm, id, hashes, s.now()); err != nil {
			return err
		}
		return tx.InsertEvent(ctx, s.event(realm, audit.RecoveryMade, id, cl))
	})
	if err != nil {
		return nil, err
	}
	return codes, nil
}

func factorBudget(realm, account uuid.UUID) BudgetKey {
	return BudgetKey{Realm: realm, Kind: BudgetFactor, Subject: account.String()}
}
