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
	if n, err := s.Sweep(t.Context(), now, 100, auth.DefaultBudgets()); err != nil || n != 2 {
		t.Errorf("%d were deleted: %v", n, err)
	}
}
