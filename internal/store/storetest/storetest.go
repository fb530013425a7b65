// Package storetest is what every database under Ostiary must hold to: the same suites
// for every engine, in suites that each keep one guarantee. An engine joins by a factory.
//
// Nothing in here knows an engine, and none of it is skipped for one.
package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

// Run runs all suites on the stores that open returns: each time a new, empty one,
// that is closed by a cleanup of the test.
func Run(t *testing.T, open func(t *testing.T) auth.Store) {
	suites := []struct {
		name  string
		cases []testCase
	}{
		{"Realm", realmCases},
		{"Account", accountCases},
		{"Role", roleCases},
		{"Credential", credentialCases},
		{"Ticket", ticketCases},
		{"Source", sourceCases},
		{"Session", sessionCases},
		{"Refresh", refreshCases},
		{"Budget", budgetCases},
		{"Reserve", reserveCases},
		{"Audit", auditCases},
		{"Parity", parityCases},
		{"Foreign", foreignCases},
		{"Writeback", writebackCases},
		{"Usage", usageCases},
		{"Merge", mergeCases},
		{"TLS", tlsCases},
		{"Import", importCases},
		{"Transaction", transactionCases},
		{"Concurrency", concurrencyCases},
	}
	for _, s := range suites {
		t.Run(s.name, func(t *testing.T) {
			store := open(t)
			store.UseAuditKey(headKey)
			for _, c := range s.cases {
				t.Run(c.name, func(t *testing.T) { c.run(newWorld(t, store)) })
			}
		})
	}
}

type testCase struct {
	name string
	run  func(w *world)
}

// world is one test's own realm in a store that it shares with others.
type world struct {
	*testing.T
	ctx   context.Context
	store auth.Store
	realm uuid.UUID
	now   time.Time
}

// start is what a database can keep: whole microseconds.
var start = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

func newWorld(t *testing.T, store auth.Store) *world {
	w := &world{T: t, ctx: t.Context(), store: store, now: start}
	w.realm = w.newRealm().ID
	return w
}

// in runs fn in a transaction that must succeed. Like every such fn, it must not end
// the test, since it may run in another goroutine: it returns errors.
func (w *world) in(fn func(tx auth.Tx) error) {
	w.Helper()
	if err := w.store.InTx(w.ctx, fn); err != nil {
		w.Fatal(err)
	}
}

// yes runs a verb in a transaction of its own and returns its verdict.
func (w *world) yes(fn func(tx auth.Tx) (bool, error)) (ok bool) {
	w.Helper()
	w.in(func(tx auth.Tx) (err error) {
		ok, err = fn(tx)
		return err
	})
	return ok
}

// fails runs fn in a transaction that must fail with want.
func (w *world) fails(want error, fn func(tx auth.Tx) error) {
	w.Helper()
	if err := w.store.InTx(w.ctx, fn); !errors.Is(err, want) {
		w.Fatalf("got %v, want %v", err, want)
	}
}

// race runs fn n times at once and returns how often it said yes. Its error fails the test.
func (w *world) race(n int, fn func(i int) (bool, error)) (yes int) {
	w.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	begin := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-begin
			ok, err := fn(i)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				w.Errorf("%d of the race: %v", i, err)
			}
			if ok {
				yes++
			}
		})
	}
	close(begin)
	wg.Wait()
	return yes
}

// raceTx is race with each fn in a transaction of its own.
func (w *world) raceTx(n int, fn func(tx auth.Tx, i int) (bool, error)) (yes int) {
	w.Helper()
	return w.race(n, func(i int) (ok bool, err error) {
		err = w.store.InTx(w.ctx, func(tx auth.Tx) (err error) {
			ok, err = fn(tx, i)
			return err
		})
		return ok, err
	})
}

func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

func newHash() (h [32]byte) {
	_, _ = rand.Read(h[:])
	return h
}

func (w *world) newRealm() auth.Realm {
	w.Helper()
	id := newID()
	r := auth.Realm{ID: id, Name: "realm-" + id.String(), RefreshKey: []byte{1, 2, 3, 0, 255}, CreatedAt: w.now}
	w.in(func(tx auth.Tx) error { return tx.InsertRealm(w.ctx, r) })
	return r
}

// person is an account that is not stored yet; its name keys are its username and address.
func (w *world) person(name string, number int64) auth.AccountRecord {
	return auth.AccountRecord{
		Account: auth.Account{
			ID: newID(), RealmID: w.realm, Number: number, Kind: auth.KindPerson,
			Username: name, Email: name + "@example.com", EmailVerified: true,
			DisplayName: "Ms " + name, Org: "Æther", Origin: "test", CreatedAt: w.now, UpdatedAt: w.now,
		},
		PasswordHash: "$plain$" + name, Version: 1,
	}
}

func keysOf(a auth.AccountRecord) []string { return []string{a.Username, a.Email} }

// account stores a person with the next number.
func (w *world) account(name string) auth.AccountRecord {
	w.Helper()
	a := w.person(name, 0)
	w.in(func(tx auth.Tx) (err error) {
		if a.Number, err = tx.NextNumber(w.ctx, w.realm); err != nil {
			return err
		}
		return tx.InsertAccount(w.ctx, a, keysOf(a))
	})
	return a
}

func (w *world) accounts(n int) (out []auth.AccountRecord) {
	w.Helper()
	for i := range n {
		out = append(out, w.account("user"+strconv.Itoa(i)))
	}
	return out
}

// chain is a live session of an account whose refresh chain is at its first generation.
func (w *world) chain(account uuid.UUID) auth.Session {
	return auth.Session{
		ID: newID(), RealmID: w.realm, AccountID: account, Dialect: "one", AMR: []string{"pwd", "otp"},
		AuthTime: w.now, LastUsedAt: w.now, IdleAt: w.now.Add(time.Hour), ExpiresAt: w.now.Add(24 * time.Hour),
		Address: "192.0.2.1", UserAgent: "a browser", Generation: 1, Audience: "app",
	}
}

// session stores a chain, with changes.
func (w *world) session(account uuid.UUID, change ...func(*auth.Session)) auth.Session {
	w.Helper()
	s := w.chain(account)
	for _, c := range change {
		c(&s)
	}
	w.in(func(tx auth.Tx) error { return tx.InsertSession(w.ctx, s, nil) })
	return s
}

func (w *world) sessionByID(id uuid.UUID) auth.SessionRecord {
	w.Helper()
	rec, err := w.store.SessionByID(w.ctx, w.realm, id)
	if err != nil {
		w.Fatal(err)
	}
	return rec
}

// same fails unless both are equal in what == cannot see: it compares their texts.
func (w *world) same(what string, got, want any) {
	w.Helper()
	if g, e := text(got), text(want); g != e {
		w.Fatalf("%s:\n got %s\nwant %s", what, g, e)
	}
}

// wantErr fails unless err is want.
func (w *world) wantErr(what string, err, want error) {
	w.Helper()
	if !errors.Is(err, want) {
		w.Fatalf("%s: got %v, want %v", what, err, want)
	}
}
