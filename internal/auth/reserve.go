package auth

import (
	"context"
	"errors"
	"fmt"
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

// ErrUnknown is wrapped by the error of a transaction of which it is not known whether it was stored.
var ErrUnknown = errors.New("whether it has happened is not known")

const (
	// firstWait and longestWait are how often a guess asks for a place.
	firstWait   = 20 * time.Millisecond
	longestWait = 320 * time.Millisecond
	// roomWait is for how long. The places of a node that was killed are forgotten later.
	roomWait = 5 * time.Second
	// PlaceLife is how long a place is kept at the least for a guess that does not give it
	// back, and half of how long at the most.
	PlaceLife = 10 * time.Second
	// leaveWithin is how long it may take to give a place back, once; leaveWait is for how
	// long that is waited for, and leaveAgain until it is tried again.
	leaveWithin = 5 * time.Second
	leaveWait   = time.Second
	leaveAgain  = 500 * time.Millisecond
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
	began := time.Now()
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		r, err := s.shared.Reserve(ctx, claims, s.judge)
		if refused, ok := errors.AsType[refusedGuess](err); ok {
			return nil, s.throttled(refused.key, refused.wait)
		}
		if !errors.Is(err, ErrNoRoom) {
			return r, err
		}
		if time.Since(began) > roomWait {
			return nil, errNoPlace(keys)
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

// errNoPlace is for a guess that has waited long enough for those in flight. If these are of
// a node that was killed, they are forgotten by the time that it says.
func errNoPlace(keys []BudgetKey) error {
	k := keys[len(keys)-1]
	return &Error{Code: CodeUnavailable, RetryAfter: 2*PlaceLife - roomWait,
		Cause: fmt.Errorf("as many guesses (%s) as may run at once have been in flight for %s: the nodes are too slow for them, or one was killed and its places are forgotten within %s", k.Kind, roomWait, 2*PlaceLife)}
}

// refusedGuess is a guess that must wait longer than for others in flight.
type refusedGuess struct {
	key  BudgetKey
	wait time.Duration
}

func (e refusedGuess) Error() string { return errThrottled{BudgetKey: e.key}.Error() }

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
		giveBack(r)
	}
}

// giveBack gives places back, as often as it takes while they are kept. While the store is
// away nobody waits for that.
func giveBack(r Reservation) {
	left := make(chan struct{})
	go func() {
		defer close(left)
		for began := time.Now(); time.Since(began) < 2*PlaceLife; time.Sleep(leaveAgain) {
			ctx, cancel := context.WithTimeout(context.Background(), leaveWithin)
			err := r.Leave(ctx)
			cancel()
			if err == nil || errors.Is(err, ErrUnknown) { // see guess.inTx
				return
			}
		}
	}()
	wait := time.NewTimer(leaveWait)
	defer wait.Stop()
	select {
	case <-left:
	case <-wait.C:
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
			giveBack(places)
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
