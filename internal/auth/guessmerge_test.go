package auth_test

import (
	"context"
	"testing"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

// meanwhile is a store in which something else is done before its next transaction.
type meanwhile struct {
	auth.Store
	first func()
}

func (s *meanwhile) InTx(ctx context.Context, fn func(tx auth.Tx) error) error {
	if first := s.first; first != nil {
		s.first = nil
		first()
	}
	return s.Store.InTx(ctx, fn)
}

// A wrong guess at an account that is merged before it is known to be wrong counts for the account that is kept.
func TestGuess_MergedMeanwhile(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		st := &meanwhile{}
		w := newWorld(t, withBudgets, func(o *auth.Options) { st.Store, o.Store = o.Store, st })
		keep, other := w.account("ada"), w.account("lovelace")
		w.wantCode(w.guess("lovelace", client), auth.CodeBadCredentials)
		st.first = func() { w.merge(keep, other, auth.PreferKeep) }
		w.wantCode(w.guess("lovelace", client), auth.CodeBadCredentials)
		if got, of := w.wrong(keep.ID)[auth.BudgetAccount], w.wrong(other.ID); got != 2 || len(of) != 0 {
			t.Errorf("%d wrong guesses count for the account that was kept, and %v for the other one", got, of)
		}
		if all := w.events(audit.SignInFailed); len(all) != 2 || all[1].Account != keep.ID {
			t.Errorf("the log has %+v", all)
		}
	})
}

// The password that is asked for once more is a guess, too: the other account's is not found out by what is not counted.
func TestGuess_OwnMergedMeanwhile(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		st := &meanwhile{}
		w := newWorld(t, withBudgets, func(o *auth.Options) { st.Store, o.Store = o.Store, st })
		keep, other := w.account("ada"), w.account("lovelace")
		jwt, err := w.svc.Sign(w.ctx, w.signIn("lovelace"), nil)
		if err != nil {
			t.Fatal(err)
		}
		st.first = func() { w.merge(keep, other, auth.PreferKeep) }
		err = w.svc.ChangePassword(w.ctx, w.realm.ID, auth.Presented{Token: jwt}, "a wrong password", goodPassword+" 2", client)
		w.wantCode(err, auth.CodeBadCredentials)
		if got, of := w.wrong(keep.ID), w.wrong(other.ID); got[auth.BudgetKnown] != 1 || len(of) != 0 {
			t.Errorf("%v count for the account that was kept, and %v for the other one", got, of)
		}
	})
}

// A service account that is deleted while its secret is found to be wrong is as one that is not there.
func TestCaller_DeletedMeanwhile(t *testing.T) {
	st := &meanwhile{}
	w := newWorld(t, withBudgets, func(o *auth.Options) { st.Store, o.Store = o.Store, st })
	robot, _, err := w.svc.CreateAccount(w.ctx, w.realm.ID, auth.NewAccount{Username: "robot", Kind: auth.KindService}, client)
	if err != nil {
		t.Fatal(err)
	}
	_, wrong, err := w.svc.CreateAccount(w.ctx, w.realm.ID, auth.NewAccount{Username: "another", Kind: auth.KindService}, client)
	if err != nil {
		t.Fatal(err)
	}
	st.first = func() {
		if err := w.svc.DeleteAccount(w.ctx, w.realm.ID, robot.ID, client); err != nil {
			t.Error(err)
		}
	}
	_, err = w.svc.Caller(w.ctx, w.realm.ID, []auth.Credentials{{Name: "robot", Password: wrong}}, "introspect", client)
	w.wantCode(err, auth.CodeBadCredentials)
	if all := w.events(audit.SignInFailed); st.first != nil || len(all) != 1 || all[0].Detail == "" {
		t.Errorf("the log has %+v", all)
	}
}

// A wrong code that is being stored while its account is merged counts for the factor that goes along.
func TestBeside_CodeAndMerge(t *testing.T) {
	m := newMergingNode(t)
	m.enroll(m.other)
	ticket := m.ticket("lovelace")
	m.beside(func(tx auth.Tx) error {
		_, err := m.inside(tx).CompleteSignIn(m.ctx, m.two, ticket, "000000", client)
		m.wantCode(err, auth.CodeFactorInvalid)
		return nil
	}, func() { m.merge(m.keep, m.other, auth.PreferKeep) })
	if got, of := m.wrong(m.keep.ID)[auth.BudgetFactor], m.wrong(m.other.ID); got != 1 || len(of) != 0 {
		t.Errorf("%d wrong codes count for the account that was kept, and %v for the other one", got, of)
	}
}
