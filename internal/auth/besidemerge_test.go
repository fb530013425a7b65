package auth_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

// within is a store whose transactions are all parts of one.
type within struct {
	auth.Store
	tx auth.Tx
}

func (s within) InTx(_ context.Context, fn func(tx auth.Tx) error) error { return fn(s.tx) }

// mergingNode is a node with two accounts, of which one is merged into the other.
type mergingNode struct {
	node
	options     auth.Options
	keep, other auth.Account
}

func newMergingNode(t *testing.T) *mergingNode {
	t.Helper()
	m := &mergingNode{}
	m.node = newNode(t, withBudgets, func(o *auth.Options) { m.options = *o })
	m.keep, m.other = m.account("ada"), m.account("lovelace")
	return m
}

// inside is the service in a transaction.
func (m *mergingNode) inside(tx auth.Tx) *auth.Service {
	o := m.options
	o.Store = within{m.store, tx}
	return auth.New(o)
}

// besideMerge runs second while the merge is about to be committed.
func (m *mergingNode) besideMerge(second func()) {
	m.t.Helper()
	m.beside(func(tx auth.Tx) error {
		_, err := m.inside(tx).Merge(m.ctx, m.realm.ID, m.keep.ID, m.other.ID, auth.PreferKeep, client)
		return err
	}, second)
}

// wrong is how many wrong guesses count for an account, by the kind of their budget.
func (w *world) wrong(account uuid.UUID) map[auth.BudgetKind]int {
	w.t.Helper()
	list, err := w.svc.BudgetOf(w.ctx, w.realm.ID, account)
	if err != nil {
		w.t.Fatal(err)
	}
	counts := map[auth.BudgetKind]int{}
	for _, b := range list {
		counts[b.Kind] += b.Failures
	}
	return counts
}

// Nobody is told that an account is unlocked of which another one has become, with all that counts for it.
func TestBeside_UnlockAndMerge(t *testing.T) {
	m := newMergingNode(t)
	m.wantCode(m.guess("lovelace", client), auth.CodeBadCredentials)
	m.besideMerge(func() {
		m.wantCode(m.svc.Unlock(m.ctx, m.realm.ID, m.other.ID, client), auth.CodeNotFound)
	})
	if got := m.wrong(m.keep.ID)[auth.BudgetAccount]; got != 1 || len(m.events(audit.AccountUnlocked)) != 0 {
		t.Errorf("%d wrong guesses, and %d entries about an unlocking", got, len(m.events(audit.AccountUnlocked)))
	}
}

// Tokens are not imported for an account of which another one has become: nobody could sign in by them.
func TestBeside_TokensAndMerge(t *testing.T) {
	m := newMergingNode(t)
	token := auth.ForeignRecord{
		Hash: [32]byte{1}, AccountID: m.other.ID, Dialect: "two", Kind: auth.ForeignBearer, CreatedAt: m.now, ExpiresAt: m.now.Add(time.Hour),
	}
	m.besideMerge(func() {
		_, err := m.svc.ImportTokens(m.ctx, m.realm.ID, []auth.ForeignRecord{token}, client)
		m.wantCode(err, auth.CodeConflict)
	})
	if r, err := m.store.ForeignToken(m.ctx, m.realm.ID, token.Hash); err == nil {
		t.Errorf("it was imported for account %s, which is gone", r.AccountID)
	}
}
