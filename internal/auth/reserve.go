package auth

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/ostiary/ostiary/internal/throttle"
)

// Reserver counts the guesses in flight of all nodes, so that parallel ones can't overrun a
// budget by going to several. The counters of failures are the store's, whatever it is.
type Reserver interface {
	// Reserve counts a guess under each of the claims, and asks judge about each: under none
	// of them, if it or another claim's Most refuses it.
	Reserve(ctx context.Context, claims []Claim, judge Judge) (Reservation, error)
	// Ping tells whether it can answer.
	Ping(ctx context.Context) error
}

// Claim is a budget that a guess needs a place in.
type Claim struct {
	Key  BudgetKey
	Most int // as many can run at once whatever the counter says
}

// Judge decides whether a guess may run beside others, running with it. The counter of
// failures must be read after the guess was counted, or one that failed meanwhile would be
// seen neither as running nor as failed. It is given, or nil: then it is read now.
type Judge func(ctx context.Context, k BudgetKey, running int, failed *throttle.State) error

// Reservation is the places of one guess.
type Reservation interface {
	// Settle gives the places back in the transaction that stores what became of the guess,
	// if they are kept where that is; it tells whether it did.
	Settle(ctx context.Context, tx Tx) (bool, error)
	// Leave gives them back.
	Leave(ctx context.Context) error
}

// ErrNoRoom is what a Reserver answers when a guess has to wait for those in flight.
var ErrNoRoom = errors.New("no room for another guess")

const (
	// firstWait and longestWait are how often a guess asks for a place.
	firstWait   = 20 * time.Millisecond
	longestWait = 320 * time.Millisecond
	// leaveWithin is how long it may take to give a place back that would end by itself.
	leaveWithin = 5 * time.Second
)

// reserveShared waits for a place in each budget, among the guesses of all nodes.
func (s *Service) reserveShared(ctx context.Context, keys []BudgetKey) (Reservation, error) {
	var claims []Claim
	for _, k := range keys {
		if p := s.budgets.policy(k.Kind); p.Free > 0 {
			claims = append(claims, Claim{k, p.Free})
		}
	}
	if s.shared == nil || len(claims) == 0 {
		return nil, nil
	}
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		r, err := s.shared.Reserve(ctx, claims, s.judge)
		if refused, ok := errors.AsType[refusedGuess](err); ok {
			return nil, s.throttled(refused.key, refused.wait)
		}
		if !errors.Is(err, ErrNoRoom) {
			return r, err
		}
		again := time.NewTimer(wait/2 + rand.N(wait))
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return nil, ctx.Err()
		}
	}
}

// refusedGuess is a guess that must wait longer than for others in flight.
type refusedGuess struct {
	key  BudgetKey
	wait time.Duration
}

func (e refusedGuess) Error() string { return errThrottled(e.key).Error() }

// judge is a Judge: what throttle.Gate does for one process.
func (s *Service) judge(ctx context.Context, k BudgetKey, running int, failed *throttle.State) error {
	now, p := s.now(), s.budgets.policy(k.Kind)
	if failed == nil || failed.Ahead(now) {
		read, err := s.budget(ctx, k)
		if err != nil {
			return err
		}
		failed = &read
	}
	state := *failed
	if until := p.Until(state, now); until.After(now) {
		return refusedGuess{k, until.Sub(now)}
	}
	if running > p.Room(state, now) {
		return ErrNoRoom
	}
	return nil
}

// leaveShared gives places back that were not settled with what became of the guess.
func (s *Service) leaveShared(all []Reservation) {
	for _, r := range all {
		ctx, cancel := context.WithTimeout(context.Background(), leaveWithin)
		if err := r.Leave(ctx); err != nil {
			s.log.Info("the place of a guess was not given back: it is within a minute", "err", err)
		}
		cancel()
	}
}

// storeReserver counts in the store.
type storeReserver struct {
	store Store
	now   func() time.Time
}

// ReserveIn makes a Reserver that counts in a store. now is nil for the clock.
func ReserveIn(store Store, now func() time.Time) Reserver {
	if now == nil {
		now = time.Now
	}
	return storeReserver{store, now}
}

// Ping has nothing to say that the store's own would not.
func (r storeReserver) Ping(context.Context) error { return nil }

func (r storeReserver) Reserve(ctx context.Context, claims []Claim, judge Judge) (Reservation, error) {
	places := &storePlaces{store: r.store, keys: make([]BudgetKey, len(claims))}
	for i, c := range claims {
		places.keys[i] = c.Key
	}
	var err error
	if places.got, err = r.store.ReserveGuesses(ctx, places.keys, r.now()); err != nil {
		return nil, err
	}
	for i, p := range places.got {
		if err := judge(ctx, places.keys[i], p.Running, &p.Failed); err != nil {
			leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWithin)
			defer cancel()
			_ = places.Leave(leave) // what can't be given back is forgotten within a minute
			return nil, err
		}
	}
	return places, nil
}

// alongGuess has the guesses of a source, whose budget comes first, take turns: all of them
// count in its row.
func alongGuess(ctx context.Context, first BudgetKey) context.Context {
	return Along(ctx, first.Realm.String()+first.Subject+first.Source)
}

// storePlaces are places in the store.
type storePlaces struct {
	store Store
	keys  []BudgetKey
	got   []Place
}

func (p *storePlaces) Settle(ctx context.Context, tx Tx) (bool, error) {
	for i, k := range p.keys {
		if err := tx.EndGuess(ctx, k, p.got[i].Slot); err != nil {
			return false, err
		}
	}
	return true, nil
}

func (p *storePlaces) Leave(ctx context.Context) error {
	return p.store.InTx(alongGuess(ctx, p.keys[0]), func(tx Tx) error {
		_, err := p.Settle(ctx, tx)
		return err
	})
}
