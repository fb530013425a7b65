package store

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/pgtest"
	"github.com/ostiary/ostiary/internal/throttle"
)

// request is the context of one, as the web makes it.
func request(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return context.WithValue(ctx, auth.WaitedKey{}, new(auth.Waited))
}

// A request that asks a slow database one thing after the other gives up on it soon.
func TestThreat65_SlowDatabase(t *testing.T) {
	t.Parallel()
	p, url := pgtest.NewProxy(t, pgtest.URL(t))
	s := createPostgresAt(t, url)
	values(t, s, "x")
	p.SetDelay(1500 * time.Millisecond)
	start := time.Now()
	ctx := request(t)
	var err error
	for range 20 {
		if _, err = s.Value(ctx, "x"); err != nil {
			break
		}
	}
	if took := time.Since(start); auth.CodeOf(err) != auth.CodeUnavailable || took > 2*maxBusy {
		t.Errorf("reads: %v after %v", err, took)
	}
	if err := s.InTx(ctx, func(auth.Tx) error { return nil }); auth.CodeOf(err) != auth.CodeUnavailable {
		t.Errorf("a transaction after them: %v", err)
	}
	start = time.Now()
	err = s.InTx(request(t), func(tx auth.Tx) error {
		for range 20 {
			if err := add(t.Context(), tx, "x", "a"); err != nil {
				return err
			}
		}
		return nil
	})
	if took := time.Since(start); auth.CodeOf(err) != auth.CodeUnavailable || took > 3*maxBusy {
		t.Errorf("a transaction of many statements: %v after %v", err, took)
	}
	p.SetDelay(0)
	wantValue(t, s, "x", "0")
}

// While somebody holds what all transactions need, none waits for those before it.
func TestThreat65_MarkHeld(t *testing.T) {
	t.Parallel()
	s := createPostgres(t)
	key := auth.BudgetKey{Kind: auth.BudgetAccount, Subject: "x"}
	write := func() error {
		return s.InTx(request(t), func(tx auth.Tx) error {
			_, err := tx.ChargeBudget(t.Context(), key, throttle.Policy{Decay: time.Hour}, time.Now())
			return err
		})
	}
	if err := write(); err != nil {
		t.Fatal(err)
	}
	tx, err := s.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("LOCK TABLE commit_mark IN EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	var all sync.WaitGroup
	for range 80 {
		all.Go(func() {
			err := write()
			if took := time.Since(start); auth.CodeOf(err) != auth.CodeUnavailable || took > 3*maxBusy {
				t.Errorf("%v after %v", err, took)
			}
		})
	}
	all.Wait()
	t.Logf("all were told after %v", time.Since(start))
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := write(); err != nil {
		t.Error(err)
	}
	if b, err := s.Budget(t.Context(), key); err != nil || b.Failures != 2 {
		t.Errorf("%+v, %v: what was refused is stored", b, err)
	}
}

// A session that the server has ended since it was idle is one that has gone.
func TestPostgres_Ended(t *testing.T) {
	for _, code := range []string{"25P03", "25P04", "57P05"} {
		err := &pgconn.PgError{Code: code}
		if auth.CodeOf(classify(err)) != auth.CodeUnavailable || FaultOf(err) != FaultAway || !broken(err) {
			t.Errorf("%s: %v, %s", code, classify(err), FaultOf(err))
		}
	}
	url := pgtest.URL(t)
	s := createPostgresAt(t, url+map[bool]string{true: "&", false: "?"}[strings.Contains(url, "?")]+"idle_in_transaction_session_timeout=200")
	values(t, s, "x")
	runs := 0
	if err := s.InTx(request(t), func(tx auth.Tx) error {
		runs++
		if err := add(t.Context(), tx, "x", strconv.Itoa(runs)); err != nil {
			return err
		}
		if runs == 1 {
			time.Sleep(time.Second) // in which the server ends the session
		}
		return add(t.Context(), tx, "x", "b")
	}); err != nil || runs != 2 {
		t.Errorf("%d runs, %v", runs, err)
	}
}

// Who reads on a session that the server has ended since it was idle reads on another.
func TestPostgres_EndedIdle(t *testing.T) {
	url := pgtest.URL(t)
	createPostgresAt(t, url)
	s, err := OpenPostgres(t.Context(), url+map[bool]string{true: "&", false: "?"}[strings.Contains(url, "?")]+"idle_session_timeout=200", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	read := func() error { _, err := s.Realms(t.Context()); return err }
	if err := read(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(700 * time.Millisecond) // in which the server ends the session; after a second the driver would look
	if err := read(); err != nil {
		t.Error(err)
	}
}
