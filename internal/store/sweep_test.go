package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

// Sources that are no longer known, service secrets that have ended, and counters that
// have decayed are deleted; a counter at its wall stays for whoever unlocks it.
func TestSweep_Guesses(t *testing.T) {
	s, now := create(t), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ctx, realm, account := t.Context(), uuid.New(), uuid.New()
	b := auth.DefaultBudgets()
	b.Account.Wall, b.KnownFor = 3, 60*24*time.Hour
	day := func(n int) time.Time { return now.Add(time.Duration(n) * 24 * time.Hour) }
	key := func(kind auth.BudgetKind, subject string) auth.BudgetKey {
		return auth.BudgetKey{Realm: realm, Kind: kind, Subject: subject}
	}
	err := s.InTx(ctx, func(tx auth.Tx) error {
		for i, d := range []int{-61, -59, 0} {
			if err := tx.NoteSource(ctx, account, fmt.Sprint(i), day(d)); err != nil {
				return err
			}
		}
		for i, end := range []time.Time{day(-8), day(-6), day(1)} {
			one := uuid.New()
			if err := tx.InsertSecret(ctx, realm, one, [32]byte{byte(i + 1)}, day(-9)); err != nil {
				return err
			}
			if err := tx.ExpireSecrets(ctx, one, end); err != nil {
				return err
			}
		}
		if err := tx.InsertSecret(ctx, realm, account, [32]byte{9}, day(-900)); err != nil { // for ever
			return err
		}
		for _, k := range []auth.BudgetKey{key(auth.BudgetAccount, "walled"), key(auth.BudgetFactor, "a"), key(auth.BudgetSource, "")} {
			for range 3 {
				if _, err := tx.ChargeBudget(ctx, k, b.Account, day(-31)); err != nil {
					return err
				}
			}
		}
		if _, err := tx.ChargeBudget(ctx, key(auth.BudgetAccount, "old"), b.Account, day(-31)); err != nil {
			return err
		}
		_, err := tx.ChargeBudget(ctx, key(auth.BudgetAccount, "new"), b.Account, day(-29))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	left := func() (sources, secrets, counters int) {
		t.Helper()
		err := s.row(ctx, "SELECT (SELECT COUNT(*) FROM known_source), (SELECT COUNT(*) FROM service_secret), (SELECT COUNT(*) FROM guess_budget)").
			Scan(&sources, &secrets, &counters)
		if err != nil {
			t.Fatal(err)
		}
		return sources, secrets, counters
	}
	slow := b
	slow.Known.Decay = 12 * 24 * time.Hour // the third of old's guesses would be forgotten after 36 days
	if _, err := s.Sweep(ctx, now, 10, 1, slow); err != nil {
		t.Fatal(err)
	}
	if _, _, counters := left(); counters != 5 {
		t.Errorf("%d counters are left, of which none is forgotten", counters)
	}
	for range 4 { // one of a kind at a time
		if _, err := s.Sweep(ctx, now, 1, 1, b); err != nil {
			t.Fatal(err)
		}
	}
	if sources, secrets, counters := left(); sources != 2 || secrets != 3 || counters != 2 {
		t.Errorf("%d sources, %d secrets and %d counters are left", sources, secrets, counters)
	}
	for subject, want := range map[string]int{"walled": 3, "new": 1, "old": 0} {
		if state, err := s.Budget(ctx, key(auth.BudgetAccount, subject)); err != nil || state.Failures != want {
			t.Errorf("%s: %+v, %v", subject, state, err)
		}
	}
	b.Account.Wall = 0 // none is behind a wall
	if n, err := s.Sweep(ctx, now, 10, 1, b); err != nil || n != 1 {
		t.Errorf("without a wall: %d, %v", n, err)
	}
}

// What is swept is found by an index of its age, and deleted by its key, however much there is
// that stays.
func TestSweep_UsesIndexes(t *testing.T) {
	s := create(t)
	for _, o := range oldRows(time.Now(), auth.DefaultBudgets()) {
		if slices.Contains(small, o.table) {
			continue
		}
		for _, query := range sweepTexts(o) {
			plan := ""
			_, err := list(t.Context(), s.prepared, func(row scanner) (none struct{}, err error) {
				var id, parent, unused int
				var step string
				err = row.Scan(&id, &parent, &unused, &step)
				plan += step + "\n"
				return none, err
			}, "EXPLAIN QUERY PLAN "+query)
			if err != nil || !strings.Contains(plan, o.age+"<?)") || strings.Contains(plan, "SCAN "+o.table) || strings.Contains(plan, "TEMP B-TREE") {
				t.Errorf("%s: %v\n%s", query, err, plan)
			}
		}
	}
}

// PostgreSQL does so, too, where it believes that any row will do, since most are old, and
// where it believes that there are many old ones when there is none.
func TestSweep_PostgresUsesIndexes(t *testing.T) {
	s := createPostgres(t)
	conn, err := s.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	now := time.Now()
	for _, what := range []string{
		`INSERT INTO session (id, realm_id, account_id, dialect, amr, auth_time, last_used_at, idle_at, expires_at, ended_at, end_reason, address, user_agent, generation, rotated_at, audience)
			SELECT decode(lpad(to_hex(i), 32, '0'), 'hex'), '', decode(md5(i::text), 'hex'), '', '', 0, 0, 0, i, 0, '', '', '', 0, 0, '' FROM generate_series(1, 40000) i`,
		"ANALYZE session",
		fmt.Sprintf("UPDATE session SET expires_at = %d WHERE id > decode(lpad(to_hex(20000), 32, '0'), 'hex')", now.Add(time.Hour).UnixMicro()),
		"SET enable_seqscan = on",
	} {
		if _, err := conn.ExecContext(t.Context(), what); err != nil {
			t.Fatal(err)
		}
	}
	for _, o := range oldRows(now, auth.DefaultBudgets()) {
		if o.table != "session" { // the others are empty, and an index of them is no better
			if _, err := conn.ExecContext(t.Context(), "SET enable_seqscan = off"); err != nil {
				t.Fatal(err)
			}
		}
		if slices.Contains(small, o.table) {
			continue
		}
		for _, query := range sweepTexts(o) {
			if plan := strings.Join(texts(t, conn, "EXPLAIN "+query), "\n"); strings.Contains(plan, "Seq Scan") || !strings.Contains(plan, "("+o.age+" < ") {
				t.Errorf("%s\n%s", query, plan)
			}
		}
		if _, err := conn.ExecContext(t.Context(), "SET enable_seqscan = on"); err != nil {
			t.Fatal(err)
		}
	}
}

// sweepTexts are the statements that look for old rows and that delete some, with what they are given.
func sweepTexts(o old) (list []string) {
	full := func(query string, args []any) {
		for i, a := range args {
			query = strings.ReplaceAll(query, fmt.Sprintf("$%d", i+1), fmt.Sprint(a))
		}
		list = append(list, query)
	}
	full(o.look())
	full(o.drop(50))
	return list
}

// A sweep takes no more rows at a time than it is told, so that others who write go in between,
// and where nothing is old it does not stand in their way at all.
func TestSweep_Batches(t *testing.T) {
	s, ctx, now, e := create(t), t.Context(), time.Now(), &ear{}
	write := func(source string, at time.Time) {
		t.Helper()
		if err := s.InTx(ctx, func(tx auth.Tx) error { return tx.NoteSource(ctx, uuid.New(), source, at) }); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 7 {
		write(fmt.Sprint(i), now.Add(-auth.DefaultBudgets().KnownFor-time.Hour))
	}
	s.Observe(e)
	for i, want := range []int{3, 3, 1, 0} {
		n, err := s.Sweep(ctx, now, 3, 1, auth.DefaultBudgets())
		if err != nil || n != want {
			t.Errorf("sweep %d: %d rows, %v", i, n, err)
		}
		write("new", now)
	}
	if e.jobs != 3+4 {
		t.Errorf("%d transactions for three sweeps that found something, and four others", e.jobs)
	}
}

// However many are to be deleted at once, a transaction deletes few of them, or so many times as many.
func TestSweep_Pieces(t *testing.T) {
	s, ctx, now, e := create(t), t.Context(), time.Now(), &ear{}
	err := s.InTx(ctx, func(tx auth.Tx) error {
		for i := range 8*pieceRows + 1 {
			if err := tx.NoteSource(ctx, uuid.New(), fmt.Sprint(i), now.Add(-auth.DefaultBudgets().KnownFor-time.Hour)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Observe(e)
	for _, c := range []struct{ limit, times, rows, jobs int }{
		{3 * pieceRows, 1, 3 * pieceRows, 3},
		{5 * pieceRows, 2, 5 * pieceRows, 3},
		{5 * pieceRows, 2, 1, 1},
	} {
		e.jobs = 0
		if n, err := s.Sweep(ctx, now, c.limit, c.times, auth.DefaultBudgets()); err != nil || n != c.rows || e.jobs != c.jobs {
			t.Errorf("%+v: %d rows in %d transactions, %v", c, n, e.jobs, err)
		}
	}
}
