package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/throttle"
	"github.com/ostiary/ostiary/internal/trace"
)

// guess is one attempt that holds its place in the budgets until it is known to be
// right or wrong.
type guess struct {
	svc     *Service
	attempt attempt
	account uuid.UUID   // uuid.Nil: no account has the name
	keys    []BudgetKey // those that a failure charges
	leaves  []func(undone bool)
	undone  bool          // the store was away
	shared  []Reservation // of places that all nodes count
}

// enter reserves the guess before anything costly is done for it: in the source's
// budget, and in the account's. Unknown names have budgets like accounts.
func (s *Service) enter(ctx context.Context, a attempt, acc *AccountRecord, known bool, name string) (*guess, error) {
	g := &guess{svc: s, attempt: a}
	id := s.unknownName(name)
	if acc != nil {
		id, g.account = acc.ID, acc.ID
	}
	key := s.accountBudget(a.realm, id, a.client, known)
	if err := g.reserve(ctx, append(g.source(), key)...); err != nil {
		g.leave()
		return nil, err
	}
	return g, nil
}

// accountBudget is what a client's guesses at an account's password are counted under.
func (s *Service) accountBudget(realm, account uuid.UUID, cl Client, known bool) BudgetKey {
	if known && !cl.Shared && s.budgets.KnownFor > 0 {
		return BudgetKey{Realm: realm, Kind: BudgetKnown, Subject: account.String(), Source: sourceOf(cl.Address)}
	}
	return BudgetKey{Realm: realm, Kind: BudgetAccount, Subject: account.String()}
}

// known tells whether the client's source has signed the account in.
func (s *Service) known(ctx context.Context, account uuid.UUID, cl Client) (bool, error) {
	return s.store.KnownSource(ctx, account, sourceOf(cl.Address), s.knownSince())
}

func (s *Service) knownSince() time.Time { return s.now().Add(-s.budgets.KnownFor) }

// notWalled refuses whoever may no longer prove the account's password, since it has had
// too many failures, the next step of a login whose password was right before.
func (s *Service) notWalled(ctx context.Context, realm, account uuid.UUID, known bool, cl Client) error {
	k := s.accountBudget(realm, account, cl, known)
	p := s.budgets.policy(k.Kind)
	if p.Wall == 0 {
		return nil
	}
	state, err := s.budget(ctx, k)
	if err == nil && p.Walled(state) {
		return s.throttled(k, p.Max)
	}
	return err
}

// source is the budget of the guess's source, if it has one.
func (g *guess) source() []BudgetKey {
	if g.svc.budgets.exempt(g.attempt.client) {
		return nil
	}
	return []BudgetKey{{Realm: g.attempt.realm, Kind: BudgetSource, Source: sourceOf(g.attempt.client.Address)}}
}

// factor is the budget of the account's second factor.
func (g *guess) factor() BudgetKey { return factorBudget(g.attempt.realm, g.account) }

// reserve takes a place in each of the budgets: first in this process, so that no more wait
// for the other nodes than could run, then in all of them. If it fails, the guess must be
// left. Where all nodes count, that is also where the counters are read; but they are read
// before it, too, while a budget refuses guesses: those should change nothing.
func (g *guess) reserve(ctx context.Context, keys ...BudgetKey) error {
	defer trace.Start(ctx, "reserve guess").End()
	g.svc.observer.Reserving(1)
	defer g.svc.observer.Reserving(-1)
	for _, k := range keys {
		if err := g.reserveHere(ctx, k); err != nil {
			return err
		}
	}
	r, err := g.svc.reserveShared(ctx, keys)
	if err != nil { // nothing is looked at, so that nothing can be found wrong
		g.keys = g.keys[:len(g.keys)-len(keys)]
	}
	g.undone = g.undone || unavailable(err)
	if r != nil {
		g.shared = append(g.shared, r)
	}
	return err
}

func (g *guess) reserveHere(ctx context.Context, k BudgetKey) error {
	s := g.svc
	gate := k.gate()
	load := func() (throttle.State, error) { return s.budget(ctx, k) }
	if at, refused := s.refusals.Get(gate); s.shared != nil && (!refused || s.now().Sub(at).Abs() > time.Minute) {
		load = func() (throttle.State, error) { return throttle.State{}, nil }
	}
	leave, wait, err := s.gate.Enter(ctx, gate, s.budgets.policy(k.Kind), s.now, load)
	if errors.Is(err, throttle.ErrUndone) {
		return errUndone(k)
	}
	if err != nil {
		g.undone = unavailable(err)
		return err
	}
	if wait > 0 {
		return s.throttled(k, wait)
	}
	g.keys = append(g.keys, k)
	g.leaves = append(g.leaves, leave)
	return nil
}

// unavailable tells whether the store, or what counts the guesses, could not decide: the
// client's own end says nothing of that.
func unavailable(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Code == CodeUnavailable
}

// errUndone is for a guess that has waited for others, of which one could not be decided.
func errUndone(k BudgetKey) error {
	return &Error{Code: CodeUnavailable, RetryAfter: time.Second,
		Cause: fmt.Errorf("a guess (%s) waited for others, and the store was away from one of these, or had no place for it: the log says why", k.Kind)}
}

// gate is the name of the budget in this process.
func (k BudgetKey) gate() string {
	return k.Realm.String() + "|" + string(k.Kind) + "|" + k.Subject + "|" + k.Source
}

func (s *Service) throttled(k BudgetKey, wait time.Duration) error {
	s.observer.Throttled(k.Kind)
	s.refusals.Put(k.gate(), s.now(), 1)
	return &Error{Code: CodeThrottled, Detail: "too many failed attempts", RetryAfter: wait, Cause: errThrottled{k, s.mountedRealm(k.Realm)}}
}

// errThrottled says which budget is spent, and what an operator can do.
type errThrottled struct {
	BudgetKey
	realm string
}

func (e errThrottled) Error() string {
	id, in := e.account(), RealmFlag(e.realm)
	remedy := fmt.Sprintf("until when says ostiary account show %s%s, and ostiary account unlock %s%s ends it", id, in, id, in)
	switch {
	case e.Kind == BudgetSource:
		return fmt.Sprintf("too many wrong guesses from %s: until when says ostiary budget list%s, and ostiary budget clear --source %s%s ends it", e.Source, in, e.Source, in)
	case e.Kind == BudgetFactor:
		return fmt.Sprintf("too many wrong codes for the second factor of account %s: %s", id, remedy)
	case e.Kind == BudgetKnown:
		return fmt.Sprintf("too many wrong passwords for account %s from its known source %s: %s", id, e.Source, remedy)
	case id == uuid.Nil:
		return "too many wrong passwords for a name that no account has: it is spelled wrong, or guessed at; if a legacy server has its account, ostiary budget clear --name NAME" + in + " ends it"
	}
	return fmt.Sprintf("too many wrong passwords for account %s from sources that never signed it in: %s", id, remedy)
}

// charge counts the guess as wrong, and records it where a budget is spent by that. errOvertaken if
// the account has been merged into another one, which took its counters along, or was deleted.
func (g *guess) charge(ctx context.Context, tx Tx) error {
	if isAccount(g.account) {
		err := tx.HoldAccount(ctx, g.attempt.realm, g.account)
		if errors.Is(err, ErrNotFound) {
			return errOvertaken
		}
		if err != nil {
			return err
		}
	}
	now := g.svc.now()
	for _, k := range g.keys {
		p := g.svc.budgets.policy(k.Kind)
		if p.Free == 0 {
			continue
		}
		state, err := tx.ChargeBudget(ctx, k, p, now)
		if err != nil {
			return err
		}
		if !p.Spent(state) {
			continue
		}
		if err := tx.InsertEvent(ctx, g.spent(k, p, state)); err != nil {
			return err
		}
	}
	return nil
}

// spent is the entry of the audit log about a budget from which on guesses must wait.
func (g *guess) spent(k BudgetKey, p throttle.Policy, state throttle.State) audit.Event {
	e := g.svc.event(k.Realm, audit.BudgetSpent, k.account(), g.attempt.client)
	e.Dialect = string(g.attempt.dialect)
	what := string(k.Kind)
	switch {
	case k.Kind == BudgetSource, k.Kind == BudgetKnown:
		what += " " + k.Source
	case e.Account == uuid.Nil:
		what = "a name that no account has"
	}
	then := "the next not before " + p.Until(state, e.At).UTC().Format(time.RFC3339)
	switch {
	case p.Walled(state) && k.Kind == BudgetAccount:
		then = "only known sources pass until it is unlocked"
	case p.Walled(state):
		then = "no more until the account is unlocked"
	}
	e.Detail = fmt.Sprintf("%s: %s, %s", what, WrongGuesses(state.Failures), then)
	return e
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

// outlives is for how long a guess that was made, and what becomes of it, outlives a client whose request has no time of its own.
const outlives = 30 * time.Second

// unhurried is ctx without its end but with the time that the request had. A guess is counted, and a login that was right is
// stored, whether or not somebody waits for it: net/http calls a request done as soon as its client closes his side of the
// connection, and still sends the answer.
func unhurried(ctx context.Context) (context.Context, context.CancelFunc) {
	until, ok := ctx.Deadline()
	if !ok {
		until = time.Now().Add(outlives)
	}
	return context.WithDeadline(context.WithoutCancel(ctx), until)
}

// countWithin is what is left at the least for the counting of a guess that was wrong: a dear hash may have taken all the
// time of its request, and what was looked at must not be free.
const countWithin = 5 * time.Second

// counting is unhurried for a guess that is known to be wrong.
func counting(ctx context.Context) (context.Context, context.CancelFunc) {
	least := time.Now().Add(countWithin)
	if until, ok := ctx.Deadline(); ok && until.Before(least) {
		return context.WithDeadline(context.WithoutCancel(ctx), least)
	}
	return unhurried(ctx)
}

// inTx runs the transaction that stores what became of the guess, and gives its places back
// with it.
func (g *guess) inTx(ctx context.Context, fn func(tx Tx) error) error {
	var left []Reservation
	if len(g.shared) > 0 {
		ctx = alongGuess(ctx, g.keys[0])
	}
	ctx = patient(ctx, g.svc.hasher.Backlog())
	err := g.svc.store.InTx(ctx, func(tx Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		left = nil
		for _, r := range g.shared {
			settled, err := r.Settle(ctx, tx)
			if err != nil {
				return err
			}
			if !settled {
				left = append(left, r)
			}
		}
		return nil
	})
	if err == nil || errors.Is(err, ErrUnknown) { // places that may have been given back are left to be forgotten: others would be given back for them
		g.shared = left
	}
	g.undone = g.undone || unavailable(err)
	return err
}

// leave lets the next guess in; everything the guess changed must be stored by then.
func (g *guess) leave() {
	g.svc.leaveShared(g.shared)
	g.shared = nil
	for i := len(g.leaves) - 1; i >= 0; i-- {
		g.leaves[i](g.undone)
	}
}
