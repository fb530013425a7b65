package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

var transactionCases = []testCase{
	{"Rollback", txRollback},
	{"Panic", txPanic},
	{"OwnError", txOwnError},
	{"FailuresApart", txFailuresApart},
	{"ReadYourWrites", txReadYourWrites},
	{"Isolated", txIsolated},
	{"VisibleAtOnce", txVisibleAtOnce},
	{"CancelledBefore", txCancelledBefore},
	{"CancelledWithin", txCancelledWithin},
	{"CancelledWaiting", txCancelledWaiting},
	{"CancelledRead", cancelledRead},
	{"Ping", ping},
}

var errTest = errors.New("this fails on purpose")

// write does what a login does to an account, and more, all of which leaves a trace.
func (w *world) write(tx auth.Tx, a auth.AccountRecord, session uuid.UUID) error {
	if err := tx.InsertAccount(w.ctx, a, keysOf(a)); err != nil {
		return err
	}
	if err := tx.SetAlias(w.ctx, w.realm, a.ID, "one", a.ID.String()); err != nil {
		return err
	}
	if err := tx.NoteSource(w.ctx, a.ID, "192.0.2.1", w.now); err != nil {
		return err
	}
	s := w.chain(a.ID)
	s.ID = session
	if err := tx.InsertSession(w.ctx, s, nil); err != nil {
		return err
	}
	return tx.InsertEvent(w.ctx, audit.Event{ID: newID(), RealmID: w.realm, At: w.now, Kind: audit.SignedIn, Account: a.ID})
}

// traces counts what write left of an account: 0 or 4.
func (w *world) traces(a auth.AccountRecord, session uuid.UUID) (n int) {
	w.Helper()
	rec, err := w.store.AccountByName(w.ctx, w.realm, a.Username, "one")
	if err == nil && rec.ID == a.ID && rec.Subject == a.ID.String() {
		n++
	} else if err != nil && !errors.Is(err, auth.ErrNotFound) {
		w.Fatal(err)
	}
	if _, err = w.store.SessionByID(w.ctx, w.realm, session); err == nil {
		n++
	} else if !errors.Is(err, auth.ErrNotFound) {
		w.Fatal(err)
	}
	if known, err := w.store.KnownSource(w.ctx, a.ID, "192.0.2.1", w.now); err != nil {
		w.Fatal(err)
	} else if known {
		n++
	}
	return n + len(w.events(auth.AuditFilter{Account: a.ID}))
}

// all is what traces counts of a transaction that was committed.
const all = 4

func txRollback(w *world) {
	a, session := w.person("anna", 9), newID()
	w.fails(errTest, func(tx auth.Tx) error {
		if err := w.write(tx, a, session); err != nil {
			return err
		}
		return errTest
	})
	w.same("after a failure", w.traces(a, session), 0)
	w.fails(auth.ErrConflict, func(tx auth.Tx) error {
		if err := w.write(tx, a, session); err != nil {
			return err
		}
		return w.write(tx, a, session)
	})
	w.same("after a conflict", w.traces(a, session), 0)
	w.in(func(tx auth.Tx) error { return w.write(tx, a, session) })
	w.same("after a success", w.traces(a, session), all)
}

func txPanic(w *world) {
	a, session := w.person("anna", 9), newID()
	err := w.store.InTx(w.ctx, func(tx auth.Tx) error {
		if err := w.write(tx, a, session); err != nil {
			return err
		}
		panic("on purpose")
	})
	if auth.CodeOf(err) != auth.CodeInternal || !strings.Contains(err.Error(), "on purpose") {
		w.Fatalf("got %v", err)
	}
	w.same("after a panic", w.traces(a, session), 0)
	w.in(func(tx auth.Tx) error { return w.write(tx, a, session) })
	w.same("the next one", w.traces(a, session), all)
}

// txOwnError: what fn returns is what InTx returns, so that the core can tell why.
func txOwnError(w *world) {
	own := &auth.Error{Code: auth.CodeThrottled, Detail: "mine"}
	err := w.store.InTx(w.ctx, func(auth.Tx) error { return fmt.Errorf("around: %w", own) })
	if got, ok := errors.AsType[*auth.Error](err); !ok || got != own {
		w.Fatalf("got %v", err)
	}
}

// txFailuresApart runs transactions that fail in each way beside others that must not notice.
func txFailuresApart(w *world) {
	const n = 60
	taken := w.account("taken")
	people, sessions := make([]auth.AccountRecord, n), make([]uuid.UUID, n)
	for i := range n {
		people[i], sessions[i] = w.person(fmt.Sprintf("user%d", i), int64(1000+i)), newID()
	}
	got := w.race(n, func(i int) (bool, error) {
		err := w.store.InTx(w.ctx, func(tx auth.Tx) error {
			if err := w.write(tx, people[i], sessions[i]); err != nil {
				return err
			}
			switch i % 4 {
			case 1:
				return errTest
			case 2:
				panic("on purpose")
			case 3:
				return tx.InsertAccount(w.ctx, taken, keysOf(taken))
			}
			return nil
		})
		if (err != nil) != (i%4 != 0) {
			return false, fmt.Errorf("got %w", err)
		}
		return err == nil, nil
	})
	w.same("committed", got, n/4)
	for i := range n {
		want := 0
		if i%4 == 0 {
			want = all
		}
		w.same(people[i].Username, w.traces(people[i], sessions[i]), want)
	}
}

func txReadYourWrites(w *world) {
	a, session, budget := w.person("anna", 9), newID(), w.budgetKey(auth.BudgetFactor)
	w.in(func(tx auth.Tx) error {
		if err := w.write(tx, a, session); err != nil {
			return err
		}
		rec, err := tx.AccountByName(w.ctx, w.realm, a.Email, "one")
		if err != nil || rec.ID != a.ID || rec.Subject != a.ID.String() {
			return fmt.Errorf("account: %+v, %w", rec, err)
		}
		if _, err := tx.SessionByID(w.ctx, w.realm, session); err != nil {
			return fmt.Errorf("session: %w", err)
		}
		if _, err := tx.EndSessions(w.ctx, a.ID, uuid.Nil, "x", w.now); err != nil {
			return err
		}
		if live, err := tx.Sessions(w.ctx, w.realm, a.ID, uuid.Nil, 10, w.now); err != nil || len(live) != 0 {
			return fmt.Errorf("live sessions: %v, %w", live, err)
		}
		if _, err := tx.ChargeBudget(w.ctx, budget, charging, w.now); err != nil {
			return err
		}
		if s, err := tx.Budget(w.ctx, budget); err != nil || s.Failures != 1 {
			return fmt.Errorf("budget: %+v, %w", s, err)
		}
		return nil
	})
	w.same("committed", w.traces(a, session), all)
}

// txIsolated reads from outside of a transaction that has written and not committed.
func txIsolated(w *world) {
	a, session := w.person("anna", 9), newID()
	w.in(func(tx auth.Tx) error {
		if err := w.write(tx, a, session); err != nil {
			return err
		}
		if _, err := w.store.AccountByID(w.ctx, w.realm, a.ID, ""); !errors.Is(err, auth.ErrNotFound) {
			return fmt.Errorf("seen before the commit: %w", err)
		}
		return nil
	})
	w.same("committed", w.traces(a, session), all)
}

// txVisibleAtOnce reads, again and again, what a transaction has just acknowledged.
func txVisibleAtOnce(w *world) {
	s := w.session(w.account("anna").ID)
	for i := int64(1); i <= 40; i++ {
		r, err := w.rotate(s.ID, i, 0, 0, w.now)
		w.wantErr("rotate", err, nil)
		w.race(4, func(int) (bool, error) {
			got, err := w.store.SessionByID(w.ctx, w.realm, s.ID)
			if err == nil && got.Generation != r.Session.Generation {
				err = fmt.Errorf("read generation %d after %d was committed", got.Generation, r.Session.Generation)
			}
			return true, err
		})
	}
}

// truthful fails unless the outcome of a transaction is what the store shows.
func (w *world) truthful(err error, a auth.AccountRecord, session uuid.UUID) {
	w.Helper()
	want := all
	if err != nil {
		want = 0
		if auth.CodeOf(err) != auth.CodeUnavailable {
			w.Fatalf("a cancelled transaction says %v", err)
		}
	}
	w.same("what is stored", w.traces(a, session), want)
}

func txCancelledBefore(w *world) {
	a, session := w.person("anna", 9), newID()
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	err := w.store.InTx(ctx, func(tx auth.Tx) error { return w.write(tx, a, session) })
	if err == nil {
		w.Fatal("a cancelled transaction was committed")
	}
	w.truthful(err, a, session)
}

func txCancelledWithin(w *world) {
	a, session := w.person("anna", 9), newID()
	ctx, cancel := context.WithCancel(w.ctx)
	err := w.store.InTx(ctx, func(tx auth.Tx) error {
		if err := w.write(tx, a, session); err != nil {
			return err
		}
		cancel()
		_, err := tx.AccountByID(ctx, w.realm, a.ID, "")
		return err
	})
	w.truthful(err, a, session)
}

// txCancelledWaiting cancels some of many transactions while they wait for each other.
func txCancelledWaiting(w *world) {
	const n = 40
	people, sessions, outcome := make([]auth.AccountRecord, n), make([]uuid.UUID, n), make([]error, n)
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	var once sync.Once
	for i := range n {
		people[i], sessions[i] = w.person(fmt.Sprintf("user%d", i), int64(1000+i)), newID()
	}
	w.race(n, func(i int) (bool, error) {
		mine := w.ctx
		if i%2 == 0 {
			mine = ctx
		}
		outcome[i] = w.store.InTx(mine, func(tx auth.Tx) error {
			once.Do(cancel)
			return w.write(tx, people[i], sessions[i])
		})
		return true, nil
	})
	for i := range n {
		if i%2 != 0 {
			w.wantErr("one that nobody cancelled", outcome[i], nil)
		}
		w.truthful(outcome[i], people[i], sessions[i])
	}
}

func cancelledRead(w *world) {
	a := w.account("anna")
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	if _, err := w.store.AccountByID(ctx, w.realm, a.ID, ""); err != nil && auth.CodeOf(err) != auth.CodeUnavailable {
		w.Fatalf("a cancelled read says %v", err)
	}
	w.same("the next read", w.byID(a.ID), a)
}

func ping(w *world) {
	w.wantErr("ping", w.store.Ping(w.ctx), nil)
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	if err := w.store.Ping(ctx); auth.CodeOf(err) != auth.CodeUnavailable {
		w.Fatalf("a cancelled ping says %v", err)
	}
}
