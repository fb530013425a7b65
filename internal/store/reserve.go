package store

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/throttle"
)

// reservationSlot is half of what a reservation outlives its node at the most. A row counts
// those of the present slot of time and those of the one before, and forgets older ones: so
// one that nobody gives back is gone after one to two slots, however many come after it,
// and one counter of each is all that is kept.
const reservationSlot = auth.PlaceLife

func slotOf(now time.Time) int64 { return now.Unix() / int64(reservationSlot/time.Second) }

// reserveGuess adds one to those that run. Another node's clock may be in the next slot
// already; one that is further ahead was wrong, or has been set back.
const (
	reserveHere  = "guess_running.slot IN ($5, $6)"
	reserveGuess = `INSERT INTO guess_running (realm_id, subject, kind, source, slot, running, earlier)
		VALUES ($1, $2, $3, $4, $5, 1, 0)
		ON CONFLICT (realm_id, subject, kind, source) DO UPDATE SET
			earlier = CASE WHEN ` + reserveHere + ` THEN guess_running.earlier WHEN guess_running.slot = $7 THEN guess_running.running ELSE 0 END,
			running = CASE WHEN ` + reserveHere + ` THEN guess_running.running + 1 ELSE 1 END,
			slot    = CASE WHEN ` + reserveHere + ` THEN guess_running.slot ELSE $5 END
		RETURNING slot, running + earlier`
)

func reserveArgs(k auth.BudgetKey, now time.Time) []any {
	at := slotOf(now)
	return []any{k.Realm[:], k.Subject, string(k.Kind), k.Source, at, at + 1, at - 1}
}

// ReserveGuesses implements auth.GuessReserver. In PostgreSQL it is one packet there and one
// back, and waits for no disk: what a crash of the server forgets is over when it is back.
func (s *Store) ReserveGuesses(ctx context.Context, keys []auth.BudgetKey, now time.Time) (places []auth.Place, err error) {
	places = make([]auth.Place, len(keys))
	if s.writer != nil {
		err := s.InTx(ctx, func(tx auth.Tx) error {
			for i, k := range keys {
				if err := own(tx).row(ctx, reserveGuess, reserveArgs(k, now)...).Scan(&places[i].Slot, &places[i].Running); err != nil {
					return classify(err)
				}
				if places[i].Failed, err = tx.Budget(ctx, k); err != nil {
					return err
				}
			}
			return nil
		})
		return places, err
	}
	// Those that would wait for each other's row do so here, where that takes no connection.
	defer s.waited(ctx, time.Now())
	late, stop := lateAt(endOf(ctx))
	defer stop()
	turn := s.turns.of(keys[0])
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-late:
		return nil, errLate
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := s.enter(ctx); err != nil {
		return nil, classify(err)
	}
	defer s.leave()
	for began := time.Now(); ; {
		err := s.onceMore(func() error { return s.reserve(ctx, keys, now, places) })
		if !isRetryable(err) || ctx.Err() != nil || time.Since(began) > maxBusy {
			return places, classify(err)
		}
		time.Sleep(rand.N(rowWait * time.Millisecond)) //nolint:gosec // chance, no secret
	}
}

// turns are for what would wait for the same row of the database.
type turns [64]chan struct{}

func newTurns() (t turns) {
	for i := range t {
		t[i] = make(chan struct{}, 1)
	}
	return t
}

func (t *turns) of(k auth.BudgetKey) chan struct{} {
	h := fnv.New32a()
	_, _ = h.Write(slices.Concat(k.Realm[:], []byte(k.Subject+"|"+k.Source)))
	return t[h.Sum32()%uint32(len(t))]
}

func (s *Store) reserve(ctx context.Context, keys []auth.BudgetKey, now time.Time, places []auth.Place) error {
	ctx, cancel := s.context(ctx)
	defer cancel()
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Raw(func(c any) error {
		pgxConn := c.(*stdlib.Conn).Conn()
		err := sendReserve(ctx, pgxConn, keys, now, places)
		if err != nil && pgxConn.PgConn().TxStatus() != 'I' {
			if _, end := pgxConn.Exec(ctx, "ROLLBACK"); end != nil {
				return driver.ErrBadConn
			}
		}
		return err
	})
}

// sendReserve reads the counters after the rows are taken: a guess that has ended before has
// charged them, and that is seen by a statement of its own.
func sendReserve(ctx context.Context, conn *pgx.Conn, keys []auth.BudgetKey, now time.Time, places []auth.Place) error {
	var b pgx.Batch
	b.Queue("BEGIN ISOLATION LEVEL " + readCommitted + " READ WRITE")
	b.Queue("SET LOCAL synchronous_commit = off")
	b.Queue("SET LOCAL lock_timeout = 100")
	for _, k := range keys {
		b.Queue(reserveGuess, reserveArgs(k, now)...)
	}
	for _, k := range keys {
		b.Queue(selectBudget, budgetArgs(k)...)
	}
	b.Queue("COMMIT")
	results := conn.SendBatch(ctx, &b)
	defer results.Close()
	for range 3 {
		if _, err := results.Exec(); err != nil {
			return err
		}
	}
	for i := range places {
		if err := results.QueryRow().Scan(&places[i].Slot, &places[i].Running); err != nil {
			return err
		}
	}
	for i := range places {
		var err error
		if places[i].Failed, err = scanBudget(results.QueryRow()); err != nil {
			return err
		}
	}
	_, err := results.Exec()
	return cmp.Or(err, results.Close())
}

// scanBudget scans selectBudget: a counter that is not there is the zero State.
func scanBudget(row scanner) (s throttle.State, err error) {
	err = row.Scan(&s.Failures, at{&s.FirstAt}, at{&s.LastAt})
	if errors.Is(err, sql.ErrNoRows) {
		return throttle.State{}, nil
	}
	return s, err
}

// EndGuess takes one off.
func (q queries) EndGuess(ctx context.Context, k auth.BudgetKey, slot int64) error {
	_, err := q.exec(ctx, endGuesses, endArgs(k, slot, 1)...)
	return err
}

// endGuesses takes some off that were counted in a slot. The row stays for the next guess,
// and is swept some time after the last: to change it costs less than to make it anew.
const endGuesses = `UPDATE guess_running SET
		running = running - CASE WHEN slot <> $5 THEN 0 WHEN running > $7 THEN CAST($7 AS BIGINT) ELSE running END,
		earlier = earlier - CASE WHEN slot <> $6 THEN 0 WHEN earlier > $7 THEN CAST($7 AS BIGINT) ELSE earlier END
	WHERE realm_id = $1 AND subject = $2 AND kind = $3 AND source = $4`

func endArgs(k auth.BudgetKey, slot int64, n int) []any {
	return []any{k.Realm[:], k.Subject, string(k.Kind), k.Source, slot, slot + 1, n}
}
