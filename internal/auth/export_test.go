package auth_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

func (w *world) holdings() (all []auth.Holding) {
	w.t.Helper()
	if err := w.svc.EachHolding(w.ctx, w.realm.ID, func(h auth.Holding) error { all = append(all, h); return nil }); err != nil {
		w.t.Fatal(err)
	}
	return all
}

// TestEachHolding_Pages has more accounts than are read at a time, and some that come meanwhile.
func TestEachHolding_Pages(t *testing.T) {
	w := newWorld(t)
	const n = 1234
	insert := func(i int) error {
		return w.store.InTx(w.ctx, func(tx auth.Tx) error {
			a := auth.Account{ID: uuid.Must(uuid.NewV7()), RealmID: w.realm.ID, Number: int64(i + 1), Kind: auth.KindPerson, Username: fmt.Sprint("user", i)}
			return tx.InsertAccount(w.ctx, auth.AccountRecord{Account: a, Version: 1}, []string{a.Username})
		})
	}
	for i := range n {
		if err := insert(i); err != nil {
			t.Fatal(err)
		}
	}
	seen := 0
	err := w.svc.EachHolding(w.ctx, w.realm.ID, func(h auth.Holding) error {
		if want := fmt.Sprint("user", seen); h.Username != want || h.Factor != nil || h.TOTP != nil {
			t.Fatalf("%d: %+v", seen, h)
		}
		if seen++; seen == 1 {
			return insert(n)
		}
		return nil
	})
	if err != nil || seen != n+1 {
		t.Errorf("%d accounts, %v", seen, err)
	}
	enough := errors.New("enough")
	if err := w.svc.EachHolding(w.ctx, w.realm.ID, func(auth.Holding) error { return enough }); !errors.Is(err, enough) {
		t.Error(err)
	}
}

// TestEachHolding_OneMoment changes names while they are read: none is of another moment than the account's username.
func TestEachHolding_OneMoment(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		w := newWorld(t)
		ada := w.account("ada")
		renamed := make(chan error)
		go func() {
			var err error
			for i := 0; i < 100 && err == nil; i++ {
				name := []string{"lovelace", "ada"}[i%2]
				_, err = w.svc.UpdateAccount(w.ctx, w.realm.ID, ada.ID, auth.AccountChange{Username: &name}, client)
			}
			renamed <- err
		}()
		for {
			select {
			case err := <-renamed:
				if err != nil {
					t.Error(err)
				}
				return
			default:
			}
			if h := w.holdings()[0]; len(h.Names) > 0 {
				t.Errorf("an account called %q is also called %v", h.Username, h.Names)
			}
		}
	})
}

// TestEachHolding_Factor: an enrolment goes along until it is withdrawn.
func TestEachHolding_Factor(t *testing.T) {
	w := newWorld(t)
	ada := w.account("ada")
	if _, err := w.svc.EnrollFactor(w.ctx, w.realm.ID, ada.ID, client); err != nil {
		t.Fatal(err)
	}
	h := w.holdings()[0]
	if h.Factor == nil || len(h.TOTP) != 20 || bytes.Contains(h.Factor.Secret, h.TOTP) {
		t.Errorf("enrolled: %+v", h)
	}
	w.advance(7 * 24 * time.Hour)
	if h := w.holdings()[0]; h.Factor != nil || h.TOTP != nil {
		t.Errorf("withdrawn: %+v", h)
	}
}
