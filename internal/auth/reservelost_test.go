package auth_test

import (
	"context"
	"testing"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/throttle"
)

// mute is a store of whose next commit nobody finds out whether it has happened: it has.
type mute struct {
	auth.Store
	lose bool
}

func (s *mute) InTx(ctx context.Context, fn func(auth.Tx) error) error {
	err := s.Store.InTx(ctx, fn)
	if err != nil || !s.lose {
		return err
	}
	s.lose = false
	return &auth.Error{Code: auth.CodeUnavailable, Cause: auth.ErrUnknown}
}

// A guess that may have given its places back gives back nobody else's.
func TestReserve_CommitUnknown(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		for name, step := range map[string]func(w *world, r auth.Reserver, st *mute, claim auth.Claim){
			"what became of it": func(w *world, _ auth.Reserver, st *mute, _ auth.Claim) {
				st.lose = true
				w.wantCode(w.guess("steve", client), auth.CodeUnavailable)
			},
			"that it is over": func(w *world, r auth.Reserver, st *mute, claim auth.Claim) {
				st.lose = true
				refuse := func(context.Context, auth.BudgetKey, int, *throttle.State) error { return auth.ErrNoRoom }
				if _, err := r.Reserve(w.ctx, []auth.Claim{claim}, refuse); err == nil {
					w.t.Error("it was not refused")
				}
			},
		} {
			t.Run(name, func(t *testing.T) {
				st := &mute{}
				w := newWorld(t, withBudgets, func(o *auth.Options) {
					st.Store, o.Store = o.Store, st
					o.Shared = auth.ReserveIn(o.Store, o.Now)
				})
				w.account("steve")
				key := auth.BudgetKey{Realm: w.realm.ID, Kind: auth.BudgetSource, Source: client.Address.String()}
				reserve := func() int {
					t.Helper()
					places, err := w.store.ReserveGuesses(w.ctx, []auth.BudgetKey{key}, w.clock())
					if err != nil {
						t.Fatal(err)
					}
					return places[0].Running
				}
				reserve()
				step(w, auth.ReserveIn(st, w.clock), st, auth.Claim{Key: key, Most: 100})
				if st.lose {
					t.Fatal("no commit was without an answer")
				}
				if got := reserve(); got != 2 {
					t.Errorf("%d guesses run, and 2 were begun by others", got)
				}
			})
		}
	})
}
