package store

import (
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

// What killed nodes have left is deleted when nothing counts it any more.
func TestSweep_Reservations(t *testing.T) {
	s, err := Create(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	now := time.Now()
	for i, ago := range []time.Duration{0, reservationSlot, 2 * reservationSlot, 3 * reservationSlot, time.Hour} {
		key := auth.BudgetKey{Kind: auth.BudgetSource, Source: string(rune('a' + i))}
		if _, err := s.ReserveGuesses(t.Context(), []auth.BudgetKey{key}, now.Add(-ago)); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.Sweep(t.Context(), now, 100, 1, auth.DefaultBudgets()); err != nil || n != 2 {
		t.Errorf("%d were deleted: %v", n, err)
	}
}

// A guess that waits for one that fails meanwhile is told of the failure.
func TestPostgres_ReserveSeesWhatFailed(t *testing.T) {
	s := createPostgres(t)
	k := auth.BudgetKey{Kind: auth.BudgetAccount, Subject: "x"}
	now := time.Now()
	first, err := s.ReserveGuesses(t.Context(), []auth.BudgetKey{k}, now)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := s.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.Exec(endGuesses, endArgs(k, first[0].Slot, 1)...); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("INSERT INTO guess_budget (realm_id, subject, kind, source, failures, first_at, last_at) VALUES ($1, $2, $3, $4, 1, 1, 1)", budgetArgs(k)...); err != nil {
		t.Fatal(err)
	}
	var second []auth.Place
	done := make(chan error, 1)
	go func() {
		var err error
		second, err = s.ReserveGuesses(t.Context(), []auth.BudgetKey{k}, now)
		done <- err
	}()
	waitFor(t, s, "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || second[0].Running != 1 || second[0].Failed.Failures != 1 {
		t.Errorf("%+v, %v", second, err)
	}
}
