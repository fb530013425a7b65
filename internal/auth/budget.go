package auth

import (
	"context"
	"crypto/sha256"
	"net/netip"
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

// knownFor is how long a source stays known to an account that it signed in.
const knownFor = 30 * 24 * time.Hour

// Budgets are the limits of all guess budgets; a Free of 0 turns one off.
type Budgets struct {
	Account, Known, Source, Factor throttle.Policy
}

// DefaultBudgets are the limits unless the configuration says otherwise.
func DefaultBudgets() Budgets {
	return Budgets{throttle.Account, throttle.Known, throttle.Source, throttle.Factor}
}

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

// BudgetKey names one counter.
type BudgetKey struct {
	Realm   uuid.UUID
	Kind    BudgetKind
	Subject string // an account's id, or a hash of an unknown name
	Source  string
}

// Budget is a counter that somebody may have to wait for.
type Budget struct {
	Kind     BudgetKind
	Source   string
	Failures int
	Until    time.Time // the next guess is allowed then; not after now: at once
	Walled   bool      // only an operator can help
}

type BudgetReader interface {
	// Budget returns the zero State for a counter that is not there.
	Budget(ctx context.Context, k BudgetKey) (throttle.State, error)
	// BudgetsOf returns the counters of one subject.
	BudgetsOf(ctx context.Context, realm uuid.UUID, subject string) (map[BudgetKey]throttle.State, error)
	// KnownSource reports whether the source signed the account in since the given time.
	KnownSource(ctx context.Context, account uuid.UUID, source string, since time.Time) (bool, error)
}

type BudgetWriter interface {
	// ChargeBudget counts one failure, in one statement.
	ChargeBudget(ctx context.Context, k BudgetKey, p throttle.Policy, now time.Time) error
	ClearBudget(ctx context.Context, k BudgetKey) error
	ClearBudgets(ctx context.Context, realm uuid.UUID, subject string) error
	NoteSource(ctx context.Context, account uuid.UUID, source string, now time.Time) error
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

// guess is one attempt that holds its place in the budgets until it is known to be
// right or wrong.
type guess struct {
	svc    *Service
	keys   []BudgetKey // those that a failure charges
	leaves []func()
}

// enter reserves the guess before anything costly is done for it: in the source's
// budget, and in the account's. Unknown names have budgets like accounts.
func (s *Service) enter(ctx context.Context, realm uuid.UUID, acc *AccountRecord, name string, cl Client) (*guess, error) {
	g := &guess{svc: s}
	source := sourceOf(cl.Address)
	key := BudgetKey{Realm: realm, Kind: BudgetAccount}
	if acc == nil {
		sum := sha256.Sum256([]byte(name))
		key.Subject = uuid.NewSHA1(uuid.Nil, sum[:]).String()
	} else {
		key.Subject = acc.ID.String()
		known, err := s.store.KnownSource(ctx, acc.ID, source, s.now().Add(-knownFor))
		if err != nil {
			return nil, err
		}
		if known && !cl.Undeclared {
			key.Kind, key.Source = BudgetKnown, source
		}
	}
	if source != "" {
		if err := g.reserve(ctx, BudgetKey{Realm: realm, Kind: BudgetSource, Source: source}); err != nil {
			return nil, err
		}
	}
	if err := g.reserve(ctx, key); err != nil {
		g.leave()
		return nil, err
	}
	return g, nil
}

func (g *guess) reserve(ctx context.Context, k BudgetKey) error {
	s := g.svc
	gate := k.Realm.String() + "|" + string(k.Kind) + "|" + k.Subject + "|" + k.Source
	leave, wait, err := s.gate.Enter(ctx, gate, s.budgets.policy(k.Kind), s.now,
		func() (throttle.State, error) { return s.store.Budget(ctx, k) })
	if err != nil {
		return err
	}
	if wait > 0 {
		return &Error{Code: CodeThrottled, Detail: "too many failed attempts", RetryAfter: wait,
			Cause: errThrottled(k.Kind)}
	}
	g.keys = append(g.keys, k)
	g.leaves = append(g.leaves, leave)
	return nil
}

type errThrottled BudgetKind

func (e errThrottled) Error() string { return "the " + string(e) + " budget is spent" }

// charge counts the guess as wrong.
func (g *guess) charge(ctx context.Context, tx Tx) error {
	for _, k := range g.keys {
		p := g.svc.budgets.policy(k.Kind)
		if p.Free == 0 {
			continue
		}
		if err := tx.ChargeBudget(ctx, k, p, g.svc.now()); err != nil {
			return err
		}
	}
	return nil
}

// clear forgets what a known source got wrong, now that it got it right. A stranger's
// failures stay, whoever signs in.
func (g *guess) clear(ctx context.Context, tx Tx) error {
	for _, k := range g.keys {
		if k.Kind == BudgetKnown {
			if err := tx.ClearBudget(ctx, k); err != nil {
				return err
			}
		}
	}
	return nil
}

// leave lets the next guess in; everything the guess changed must be stored by then.
func (g *guess) leave() {
	for i := len(g.leaves) - 1; i >= 0; i-- {
		g.leaves[i]()
	}
}

// BudgetOf returns the counters of an account that are not empty.
func (s *Service) BudgetOf(ctx context.Context, realm, account uuid.UUID) ([]Budget, error) {
	states, err := s.store.BudgetsOf(ctx, realm, account.String())
	if err != nil {
		return nil, storeError(err)
	}
	var out []Budget
	now := s.now()
	for k, st := range states {
		p := s.budgets.policy(k.Kind)
		if n := p.Failures(st, now); n > 0 {
			out = append(out, Budget{Kind: k.Kind, Source: k.Source, Failures: n, Until: p.Until(st, now), Walled: p.Walled(st)})
		}
	}
	return out, nil
}

// Unlock forgets all failed guesses at an account's password and second factor.
func (s *Service) Unlock(ctx context.Context, realm, account uuid.UUID, cl Client) error {
	return s.change(ctx, func(tx Tx) error {
		if _, err := tx.AccountByID(ctx, realm, account, ""); err != nil {
			return err
		}
		if err := tx.ClearBudgets(ctx, realm, account.String()); err != nil {
			return err
		}
		return tx.InsertEvent(ctx, s.event(realm, audit.AccountUnlocked, account, cl))
	})
}
