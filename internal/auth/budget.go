package auth

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/throttle"
)

// BudgetKind names a guess budget.
type BudgetKind string

const (
	BudgetAccount BudgetKind = "account" // one account, sources that never signed it in
	BudgetKnown   BudgetKind = "known"   // one account, one source that signed it in
	BudgetSource  BudgetKind = "source"  // one source, whatever the account
	BudgetFactor  BudgetKind = "factor"  // the second factor of one account
)

// Budgets are the limits of all guess budgets; a Free of 0 turns one off.
type Budgets struct {
	Account, Known, Source, Factor throttle.Policy

	KnownFor time.Duration  // how long a source stays known to an account that it signed in
	Exempt   []netip.Prefix // sources that have no budget of their own
}

// DefaultBudgets are the limits unless the configuration says otherwise.
func DefaultBudgets() Budgets {
	return Budgets{
		Account: throttle.Account, Known: throttle.Known, Source: throttle.Source, Factor: throttle.Factor,
		KnownFor: 30 * 24 * time.Hour,
	}
}

// Budgets are the limits in force.
func (s *Service) Budgets() Budgets { return s.budgets }

func (b Budgets) policy(k BudgetKind) throttle.Policy {
	switch k {
	case BudgetAccount:
		return b.Account
	case BudgetKnown:
		return b.Known
	case BudgetSource:
		return b.Source
	default:
		return b.Factor
	}
}

// exempt tells whether a client's source has no budget. An address that may stand for
// anybody is never exempt.
func (b Budgets) exempt(cl Client) bool {
	address := cl.Address.Unmap().WithZone("")
	return !address.IsValid() || !cl.Shared && slices.ContainsFunc(b.Exempt, func(p netip.Prefix) bool { return p.Contains(address) })
}

// BudgetKey names one counter.
type BudgetKey struct {
	Realm   uuid.UUID
	Kind    BudgetKind
	Subject string // an account's id, or a hash of a name that none has; empty for a source
	Source  string
}

// unknownName is what a name that no account has is counted under: an id that looks like
// none of an account, which are all of version 7. It is keyed, since people type passwords for names: who has
// the database alone finds out none.
func (s *Service) unknownName(name string) uuid.UUID {
	return uuid.NewHash(hmac.New(sha256.New, s.nameKey), uuid.Nil, []byte(name), 8)
}

// account is whose counter it is; uuid.Nil if it is nobody's.
func (k BudgetKey) account() uuid.UUID {
	id, err := uuid.Parse(k.Subject)
	if err != nil || !isAccount(id) {
		return uuid.Nil
	}
	return id
}

// isAccount tells an account's id from that of a name that nobody has, and from none.
func isAccount(id uuid.UUID) bool { return id.Version() == 7 }

// Budget is a counter that somebody may have to wait for.
type Budget struct {
	BudgetKey
	Account  uuid.UUID // uuid.Nil: a source's, or that of a name that no account has
	Failures int
	Until    time.Time // the next guess is allowed then; not after now: at once
	Walled   bool      // only an operator can help
}

type BudgetReader interface {
	// Budget returns the zero State for a counter that is not there.
	Budget(ctx context.Context, k BudgetKey) (throttle.State, error)
	// BudgetsOf returns the counters of one subject.
	BudgetsOf(ctx context.Context, realm uuid.UUID, subject string) (map[BudgetKey]throttle.State, error)
	// Budgets lists counters in the order of subject, kind and source, from the first after
	// the given one.
	Budgets(ctx context.Context, after BudgetKey, limit int) ([]BudgetKey, []throttle.State, error)
	// KnownSource reports whether the source signed the account in since the given time.
	KnownSource(ctx context.Context, account uuid.UUID, source string, since time.Time) (bool, error)
}

// Place is one of a guess that was reserved.
type Place struct {
	Slot    int64          // what EndGuess needs
	Running int            // how many guesses run under the key, this one too
	Failed  throttle.State // the counter, as it was then or later
}

// GuessReserver counts the guesses that run.
type GuessReserver interface {
	// ReserveGuesses counts a guess that begins under each of the keys, or under none, and
	// then reads their counters of failures. One that is not ended is forgotten within a
	// minute, and not before half of one, unless the database crashes.
	ReserveGuesses(ctx context.Context, keys []BudgetKey, now time.Time) ([]Place, error)
}

type BudgetWriter interface {
	// ChargeBudget counts one failure, in one statement, and returns what the counter is then.
	ChargeBudget(ctx context.Context, k BudgetKey, p throttle.Policy, now time.Time) (throttle.State, error)
	// RebaseBudget moves a counter that is from the future to now; see throttle.State.Rebased.
	RebaseBudget(ctx context.Context, k BudgetKey, now time.Time) error
	ClearBudget(ctx context.Context, k BudgetKey) error
	// ClearBudgets clears the counters of a subject, but those of one kind; "": all.
	ClearBudgets(ctx context.Context, realm uuid.UUID, subject string, but BudgetKind) error
	NoteSource(ctx context.Context, account uuid.UUID, source string, now time.Time) error
	// EndGuess takes back what ReserveGuesses counted in a slot.
	EndGuess(ctx context.Context, k BudgetKey, slot int64) error
}

// sourceOf is whom a client counts as: an IPv4 address, or the /64 of an IPv6 one.
func sourceOf(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		return netip.PrefixFrom(a, 64).Masked().String()
	}
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// budget reads a counter. One that is from the future, since the clock was set back, is
// moved to now: its wait would else begin again whenever somebody looks.
func (s *Service) budget(ctx context.Context, k BudgetKey) (throttle.State, error) {
	state, err := s.store.Budget(ctx, k)
	now := s.now()
	if err != nil || !state.Ahead(now) {
		return state, err
	}
	return state.Rebased(now), s.change(ctx, func(tx Tx) error { return tx.RebaseBudget(ctx, k, now) })
}

// BudgetOf returns the counters of an account that are not empty, in the order of kind and source.
func (s *Service) BudgetOf(ctx context.Context, realm, account uuid.UUID) ([]Budget, error) {
	states, err := s.store.BudgetsOf(ctx, realm, account.String())
	if err != nil {
		return nil, storeError(err)
	}
	var out []Budget
	for k, state := range states {
		if b, ok := s.seen(k, state); ok {
			out = append(out, b)
		}
	}
	slices.SortFunc(out, func(x, y Budget) int {
		return cmp.Or(cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Source, y.Source))
	})
	return out, nil
}

// WrongGuesses is a number of them in words.
func WrongGuesses(n int) string {
	if n == 1 {
		return "1 wrong guess"
	}
	return fmt.Sprintf("%d wrong guesses", n)
}

// EachBudget calls fn with each counter of a realm that is not empty: those of sources
// first, then by account.
func (s *Service) EachBudget(ctx context.Context, realm uuid.UUID, fn func(Budget) error) error {
	after := BudgetKey{Realm: realm}
	for {
		keys, states, err := s.store.Budgets(ctx, after, 500)
		if err != nil || len(keys) == 0 {
			return storeError(err)
		}
		for i, k := range keys {
			if b, ok := s.seen(k, states[i]); ok {
				if err := fn(b); err != nil {
					return err
				}
			}
			after = k
		}
	}
}

// seen is what a counter amounts to now; false if it is empty.
func (s *Service) seen(k BudgetKey, state throttle.State) (Budget, bool) {
	now, p := s.now(), s.budgets.policy(k.Kind)
	if state.Ahead(now) {
		state = state.Rebased(now)
	}
	n := p.Failures(state, now)
	return Budget{BudgetKey: k, Account: k.account(), Failures: n, Until: p.Until(state, now), Walled: p.Walled(state)}, n > 0
}

// Unlock forgets all failed guesses at an account's password and second factor.
func (s *Service) Unlock(ctx context.Context, realm, account uuid.UUID, cl Client) error {
	return s.change(ctx, func(tx Tx) error {
		if err := tx.HoldAccount(ctx, realm, account); err != nil { // another one may become of it, with all that counts for it
			return err
		}
		if err := tx.ClearBudgets(ctx, realm, account.String(), ""); err != nil {
			return err
		}
		return tx.InsertEvent(ctx, s.event(realm, audit.AccountUnlocked, account, cl))
	})
}

// ClearSource forgets the failed guesses of the source that an address belongs to.
// CodeNotFound if none count.
func (s *Service) ClearSource(ctx context.Context, realm uuid.UUID, address netip.Addr, cl Client) error {
	k := BudgetKey{Realm: realm, Kind: BudgetSource, Source: sourceOf(address)}
	return s.change(ctx, func(tx Tx) error {
		state, err := tx.Budget(ctx, k)
		if err != nil {
			return err
		}
		if s.budgets.Source.Failures(state, s.now()) == 0 {
			return Errorf(CodeNotFound, "no wrong guesses of %s count", k.Source)
		}
		if err := tx.ClearBudget(ctx, k); err != nil {
			return err
		}
		e := s.event(realm, audit.BudgetCleared, uuid.Nil, cl)
		e.Detail = fmt.Sprintf("source %s: %s", k.Source, WrongGuesses(state.Failures))
		return tx.InsertEvent(ctx, e)
	})
}

// ClearName forgets the failed guesses at a name that no account has. CodeConflict if one has
// it, CodeNotFound if none count. The log does not get the name: it may be anything.
func (s *Service) ClearName(ctx context.Context, realm uuid.UUID, name string, cl Client) error {
	k := BudgetKey{Realm: realm, Kind: BudgetAccount, Subject: s.unknownName(nameOrRaw(name)).String()}
	return s.change(ctx, func(tx Tx) error {
		if _, err := tx.AccountByName(ctx, realm, nameKey(name), ""); !errors.Is(err, ErrNotFound) {
			return cmp.Or(err, error(Errorf(CodeConflict, "an account has that name: ostiary account unlock is for it")))
		}
		state, err := tx.Budget(ctx, k)
		if err != nil {
			return err
		}
		if s.budgets.Account.Failures(state, s.now()) == 0 {
			return Errorf(CodeNotFound, "no wrong guesses at that name count")
		}
		if err := tx.ClearBudget(ctx, k); err != nil {
			return err
		}
		e := s.event(realm, audit.BudgetCleared, uuid.Nil, cl)
		e.Detail = "a name that no account has: " + WrongGuesses(state.Failures)
		return tx.InsertEvent(ctx, e)
	})
}
