package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/throttle"
)

func (q queries) Budget(ctx context.Context, k auth.BudgetKey) (s throttle.State, err error) {
	s, err = scanBudget(q.row(ctx, selectBudget, budgetArgs(k)...))
	return s, classify(err)
}

const selectBudget = `SELECT failures, first_at, last_at FROM guess_budget
	WHERE realm_id = $1 AND subject = $2 AND kind = $3 AND source = $4`

func budgetArgs(k auth.BudgetKey) []any {
	return []any{k.Realm[:], k.Subject, string(k.Kind), k.Source}
}

func (q queries) BudgetsOf(ctx context.Context, realm uuid.UUID, subject string) (map[auth.BudgetKey]throttle.State, error) {
	out := map[auth.BudgetKey]throttle.State{}
	_, err := list(ctx, q.prepared, func(row scanner) (struct{}, error) {
		k := auth.BudgetKey{Realm: realm, Subject: subject}
		var s throttle.State
		err := row.Scan(&k.Kind, &k.Source, &s.Failures, at{&s.FirstAt}, at{&s.LastAt})
		out[k] = s
		return struct{}{}, err
	}, `SELECT kind, source, failures, first_at, last_at FROM guess_budget WHERE realm_id = $1 AND subject = $2`, realm[:], subject)
	return out, err
}

// Budgets lists counters in the order of the primary key.
func (q queries) Budgets(ctx context.Context, after auth.BudgetKey, limit int) (keys []auth.BudgetKey, states []throttle.State, err error) {
	states, err = list(ctx, q.prepared, func(row scanner) (s throttle.State, err error) {
		k := auth.BudgetKey{Realm: after.Realm}
		err = row.Scan(&k.Subject, &k.Kind, &k.Source, &s.Failures, at{&s.FirstAt}, at{&s.LastAt})
		keys = append(keys, k)
		return s, err
	}, `SELECT subject, kind, source, failures, first_at, last_at FROM guess_budget
		WHERE realm_id = $1 AND (subject, kind, source) > ($2, $3, $4)
		ORDER BY subject, kind, source LIMIT $5`, after.Realm[:], after.Subject, string(after.Kind), after.Source, limit)
	return keys, states, err
}

// ChargeBudget counts one failure. A counter with a window starts again when the
// window is over; another one first forgets what has decayed, unless it is at its wall.
func (q queries) ChargeBudget(ctx context.Context, k auth.BudgetKey, p throttle.Policy, now time.Time) (s throttle.State, err error) {
	kept := "guess_budget.failures - CASE WHEN $5 > guess_budget.last_at THEN ($5 - guess_budget.last_at) / $6 ELSE 0 END"
	first, span := "guess_budget.first_at", p.Decay
	if p.Window > 0 {
		kept = "CASE WHEN $5 - guess_budget.first_at >= $6 THEN 0 ELSE guess_budget.failures END"
		first = "CASE WHEN $5 - guess_budget.first_at >= $6 THEN CAST($5 AS BIGINT) ELSE guess_budget.first_at END"
		span = p.Window
	}
	err = q.row(ctx, `INSERT INTO guess_budget (realm_id, subject, kind, source, failures, first_at, last_at)
		VALUES ($1, $2, $3, $4, 1, CAST($5 AS BIGINT), $5)
		ON CONFLICT (realm_id, subject, kind, source) DO UPDATE SET
			failures = 1 + CASE
				WHEN $7 > 0 AND guess_budget.failures >= $7 THEN guess_budget.failures
				WHEN `+kept+` < 0 THEN 0
				ELSE `+kept+` END,
			first_at = `+first+`,
			last_at  = $5
		RETURNING failures, first_at, last_at`,
		k.Realm[:], k.Subject, string(k.Kind), k.Source, micros(now), span.Microseconds(), p.Wall).
		Scan(&s.Failures, at{&s.FirstAt}, at{&s.LastAt})
	return s, classify(err)
}

func (q queries) RebaseBudget(ctx context.Context, k auth.BudgetKey, now time.Time) error {
	_, err := q.exec(ctx, `UPDATE guess_budget SET first_at = first_at - (last_at - $5), last_at = $5
		WHERE realm_id = $1 AND subject = $2 AND kind = $3 AND source = $4 AND last_at > $6`,
		k.Realm[:], k.Subject, string(k.Kind), k.Source, micros(now), micros(now.Add(throttle.Skew)))
	return err
}

func (q queries) ClearBudget(ctx context.Context, k auth.BudgetKey) error {
	return q.keep(ctx, "DELETE FROM guess_budget WHERE realm_id = $1 AND subject = $2 AND kind = $3 AND source = $4",
		k.Realm[:], k.Subject, string(k.Kind), k.Source)
}

func (q queries) ClearBudgets(ctx context.Context, realm uuid.UUID, subject string, but auth.BudgetKind) error {
	_, err := q.exec(ctx, "DELETE FROM guess_budget WHERE realm_id = $1 AND subject = $2 AND kind <> $3", realm[:], subject, string(but))
	return err
}

func (q queries) KnownSource(ctx context.Context, account uuid.UUID, source string, since time.Time) (known bool, err error) {
	err = q.row(ctx, "SELECT EXISTS (SELECT 1 FROM known_source WHERE account_id = $1 AND source = $2 AND seen_at >= $3)",
		account[:], source, micros(since)).Scan(&known)
	return known, classify(err)
}

// NoteSource writes no more than once a minute for a source that is known.
func (q queries) NoteSource(ctx context.Context, account uuid.UUID, source string, now time.Time) error {
	return q.keep(ctx, `INSERT INTO known_source (account_id, source, seen_at) VALUES ($1, $2, $3)
		ON CONFLICT (account_id, source) DO UPDATE SET seen_at = excluded.seen_at WHERE known_source.seen_at < $4`,
		account[:], source, micros(now), micros(now.Add(-time.Minute)))
}
