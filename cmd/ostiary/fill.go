package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ostiary/ostiary/internal/store"
)

// unfinished are what is left of a copy or a restore that was interrupted.
var unfinished = map[string]string{
	store.Copying:   "the copy into it is not finished: run the same ostiary database copy again",
	store.Restoring: "the restore into it is not finished: run ostiary restore again",
}

// usable sees that a store is whole.
func usable(ctx context.Context, st *store.Store) error {
	state, err := st.Value(ctx, store.CopiedFact)
	if err != nil {
		return err
	}
	if why := unfinished[state]; why != "" {
		return fmt.Errorf("the store at %s can't be used: %s", st.Info().Path, why)
	}
	return nil
}

// servable sees that a store is whole, and was not moved elsewhere.
func servable(ctx context.Context, st *store.Store) error {
	r, err := st.Refusal(ctx)
	if err != nil || !r.ForGood() {
		return err
	}
	return fmt.Errorf("the store at %s can't be used: %s", st.Info().Path, r.Why)
}

// mayFill sees that a store has nothing that would be lost.
func mayFill(ctx context.Context, st *store.Store, state string) error {
	is, err := st.Value(ctx, store.CopiedFact)
	if err != nil || is == state {
		return err
	}
	if why := unfinished[is]; why != "" {
		return fmt.Errorf("the store at %s has something else in it: %s", st.Info().Path, why)
	}
	has, err := st.HasAccounts(ctx)
	if err == nil && has {
		err = remedied{fmt.Sprintf("the store at %s has accounts", st.Info().Path), "give a database that has none, or one that is not there yet"}
	}
	return err
}

// fillTurn is the turn of who fills a database, by a restore or a copy.
const fillTurn = "fill"

// alone sees that nobody uses a database that is to be filled, and that nobody else fills it
// until end is called.
func (a *app) alone(st *store.Store) (end func(), err error) {
	ctx, cancel := context.WithCancel(store.Unrefused(a))
	t := newTurn(st, slog.New(slog.DiscardHandler), func() string { return fillTurn })
	mine, err := t.await(ctx)
	var served bool
	if err == nil && mine {
		served, err = st.LeaseHeld(ctx, tendTurns, time.Now())
	}
	switch {
	case err == nil && !mine:
		err = remedied{fmt.Sprintf("another ostiary restore or database copy fills the store at %s", st.Info().Path),
			"wait until it has ended"}
	case err == nil && served:
		err = remedied{fmt.Sprintf("a server (ostiary serve) runs on the store at %s", st.Info().Path),
			fmt.Sprintf("stop all that run on it; if it was killed, try again in %s", turnLife)}
	}
	if err != nil {
		if mine {
			err = errors.Join(err, st.EndLease(ctx, fillTurn, t.holder))
		}
		cancel()
		return nil, err
	}
	var keeping sync.WaitGroup
	keeping.Go(func() { t.keep(ctx) })
	return func() {
		cancel()
		keeping.Wait()
		once, cancel := context.WithTimeout(context.WithoutCancel(ctx), turnEvery)
		defer cancel()
		t.leave(once, "")
	}, nil
}

// beginFill has nobody use a store until it is whole.
func beginFill(ctx context.Context, st *store.Store, state string) error {
	if err := st.RefuseWrites(ctx, store.Refusal{Until: store.Never, Why: unfinished[state]}); err != nil {
		return err
	}
	if err := st.SetValue(store.Unrefused(ctx), store.CopiedFact, state); err != nil {
		return err
	}
	return st.Renew(ctx) // a server that has read what was there, and has stood still, must not go on with it
}
