package auth

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
)

// Holding is an account with all that it takes along to another server: its names, and
// what it proves itself with. Sessions and tokens stay behind.
type Holding struct {
	AccountRecord
	Names         []AccountName // Service.EachHolding leaves out its username and its address
	Aliases       map[Dialect]string
	PastPasswords []string        // hashes, the last first
	RecoveryCodes [][32]byte      // hashes of those that can still be used
	Secrets       []ServiceSecret // that have not expired
	// TOTP is the secret of the second factor, which Service.EachHolding opens.
	TOTP []byte
}

// ServiceSecret is what is stored of a service's secret.
type ServiceSecret struct {
	Hash      [32]byte
	ExpiresAt time.Time // zero: never
}

// exportPage is how many accounts are read at a time.
const exportPage = 500

// EachHolding calls fn with every account of a realm by its id, each as it was at some
// moment of the call. TOTP is set where there is a factor that has not been withdrawn.
func (s *Service) EachHolding(ctx context.Context, realm uuid.UUID, fn func(Holding) error) error {
	after := uuid.Nil
	for {
		page, err := s.store.Holdings(ctx, realm, after, exportPage, s.now())
		if err != nil || len(page) == 0 {
			return storeError(err)
		}
		for _, h := range page {
			after = h.ID
			h.Names = besides(h.Account, h.Names)
			if s.factorState(h.Factor) == FactorNone {
				h.Factor = nil
			}
			if h.Factor != nil {
				if h.TOTP, err = s.master.Open(h.Factor.Secret, factorRow(h.ID)); err != nil {
					return Because(CodeInternal, "second factor of account %s: %w", h.ID, err)
				}
			}
			if err := fn(h); err != nil {
				return err
			}
		}
	}
}

// NoteExport records that the accounts of a realm are about to be exported. Recipients are
// the fingerprints of those who can open what is sealed; none: it is left out.
func (s *Service) NoteExport(ctx context.Context, realm uuid.UUID, recipients []string, cl Client) error {
	detail := "begun, without secrets"
	if len(recipients) > 0 {
		detail = "begun, secrets sealed to " + strings.Join(recipients, " ")
	}
	return s.noteExport(ctx, realm, detail, cl)
}

// NoteExported records that it is done, and of how many accounts, with the secrets of how many.
func (s *Service) NoteExported(ctx context.Context, realm uuid.UUID, accounts, sealed int, cl Client) error {
	return s.noteExport(ctx, realm, fmt.Sprintf("%d accounts, %d of them with sealed secrets", accounts, sealed), cl)
}

func (s *Service) noteExport(ctx context.Context, realm uuid.UUID, detail string, cl Client) error {
	e := s.event(realm, audit.AccountsExported, uuid.Nil, cl)
	e.Detail = detail
	return s.change(ctx, func(tx Tx) error { return tx.InsertEvent(ctx, e) })
}
