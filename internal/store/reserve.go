package store

import (
	"context"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

// reservationSlot is half of what a reservation outlives its node at the most. A row counts
// those of the present slot of time and those of the one before, and forgets older ones: so
// one that nobody gives back is gone after one to two slots, however many come after it,
// and one counter of each is all that is kept.
const reservationSlot = 30 * time.Second

func slotOf(now time.Time) int64 { return now.Unix() / int64(reservationSlot/time.Second) }

// ReserveGuess adds one to those that run. Another node's clock may be in the next slot
// already; one that is further ahead was wrong, or has been set back.
func (q queries) ReserveGuess(ctx context.Context, k auth.BudgetKey, now time.Time) (slot int64, running int, err error) {
	at := slotOf(now)
	const here = "guess_running.slot IN ($5, $6)"
	err = q.row(ctx, `INSERT INTO guess_running (realm_id, subject, kind, source, slot, running, earlier)
		VALUES ($1, $2, $3, $4, $5, 1, 0)
		ON CONFLICT (realm_id, subject, kind, source) DO UPDATE SET
			earlier = CASE WHEN `+here+` THEN guess_running.earlier WHEN guess_running.slot = $7 THEN guess_running.running ELSE 0 END,
			running = CASE WHEN `+here+` THEN guess_running.running + 1 ELSE 1 END,
			slot    = CASE WHEN `+here+` THEN guess_running.slot ELSE $5 END
		RETURNING slot, running + earlier`,
		k.Realm[:], k.Subject, string(k.Kind), k.Source, at, at+1, at-1).Scan(&slot, &running)
	return slot, running, classify(err)
}

// EndGuess deletes the row of a guess that runs alone, as most do, or takes one off.
func (q queries) EndGuess(ctx context.Context, k auth.BudgetKey, slot int64) error {
	const of = " WHERE realm_id = $1 AND subject = $2 AND kind = $3 AND source = $4 "
	args := []any{k.Realm[:], k.Subject, string(k.Kind), k.Source, slot, slot + 1}
	n, err := q.exec(ctx, "DELETE FROM guess_running"+of+"AND (slot = $5 AND running = 1 AND earlier = 0 OR slot = $6 AND running = 0 AND earlier = 1)", args...)
	if err != nil || n > 0 {
		return err
	}
	_, err = q.exec(ctx, `UPDATE guess_running SET
			running = running - CASE WHEN slot = $5 AND running > 0 THEN 1 ELSE 0 END,
			earlier = earlier - CASE WHEN slot = $6 AND earlier > 0 THEN 1 ELSE 0 END`+of, args...)
	return err
}
