package main

import (
	"context"
	"fmt"

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

// beginFill has nobody use a store until it is whole.
func beginFill(ctx context.Context, st *store.Store, state string) error {
	if err := st.RefuseWrites(ctx, store.Refusal{Until: store.Never, Why: unfinished[state]}); err != nil {
		return err
	}
	return st.SetValue(store.Unrefused(ctx), store.CopiedFact, state)
}
