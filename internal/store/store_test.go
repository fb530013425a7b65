package store

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/keyring"
	"github.com/ostiary/ostiary/internal/store/storetest"
)

// create makes a new store that the test closes.
func create(t testing.TB) *Store {
	t.Helper()
	return createIn(t, t.TempDir())
}

func createIn(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Create(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestSQLite runs the suites, and then looks at every statement that they ran.
func TestSQLite(t *testing.T) {
	texts := &statements{seen: map[string]bool{}}
	storetest.Run(t, func(t *testing.T) auth.Store {
		s := create(t)
		t.Cleanup(func() { texts.add(s) })
		return s
	})
	s := create(t)
	if err := s.SetValue(t.Context(), "name", "one"); err != nil {
		t.Fatal(err)
	}
	if kept, err := s.KeepValue(t.Context(), "name", "two"); err != nil || kept != "one" {
		t.Fatalf("kept %q, %v", kept, err)
	}
	if got, err := s.Value(t.Context(), "name"); err != nil || got != "one" {
		t.Fatalf("got %q, %v", got, err)
	}
	if _, err := s.Sweep(t.Context(), time.Now(), 10, 1, auth.DefaultBudgets()); err != nil {
		t.Fatal(err)
	}
	texts.add(s)
	all := texts.list()
	if len(all) < 90 {
		t.Fatalf("only %d statements: the suites do not run them all", len(all))
	}
	t.Run("Plans", func(t *testing.T) { checkPlans(t, s, all) })
	t.Run("Dialect", func(t *testing.T) { checkDialect(t, all) })
}

// statements are the texts that stores have prepared.
type statements struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (l *statements) add(s *Store) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range []*prepared{s.prepared, s.writer.tx.prepared} {
		p.cache.Range(func(query, _ any) bool {
			if !control.MatchString(query.(string)) {
				l.seen[query.(string)] = true
			}
			return true
		})
	}
}

func (l *statements) list() []string { return slices.Sorted(maps.Keys(l.seen)) }

// control are the statements that are SQLite's alone.
var control = regexp.MustCompile(`^(BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|PRAGMA) ?`)

// scans are the plans that read a whole table of few rows, or a page of another, and constants those that read none.
var (
	scans     = regexp.MustCompile(`^SCAN (realm|signing_key|verify_key|store_info|audit_head|commit_mark|guess_running|account_merge|writeback|page|tls_storage( USING COVERING INDEX \S+)?)$`)
	constants = regexp.MustCompile(`^SCAN (CONSTANT ROW|[0-9]+-ROW VALUES CLAUSE)$`)
)

// rare is for operators alone, and the table is swept of what is older than minutes.
const rare = "DELETE FROM ticket WHERE account_id = $1"

// checkPlans sees that every statement finds its rows by an index, and in order; few rows may
// be sorted.
func checkPlans(t *testing.T, s *Store, all []string) {
	for _, query := range all {
		if query == rare {
			continue
		}
		plan := explain(t, s, query)
		if strings.Contains(query, ofPage) && !strings.Contains(plan[0], "(account_id>? AND account_id<?)") {
			t.Errorf("%s\n\treads more than a page: %s", query, plan[0])
		}
		few := slices.ContainsFunc(plan, scans.MatchString)
		for _, step := range plan {
			if strings.HasPrefix(step, "SCAN") && !scans.MatchString(step) && !constants.MatchString(step) ||
				strings.Contains(step, "TEMP B-TREE") && !few || strings.Contains(step, "AUTOMATIC") {
				t.Errorf("%s\n\t%s", query, strings.Join(plan, "\n\t"))
				break
			}
		}
	}
}

func explain(t *testing.T, s *Store, query string) (plan []string) {
	t.Helper()
	args := make([]any, parameters(query))
	rows, err := s.db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, detail)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan
}

var parameter = regexp.MustCompile(`\$([0-9]+)`)

// parameters counts a statement's parameters, or returns -1 if a number is left out.
func parameters(query string) int {
	used := map[int]bool{}
	for _, m := range parameter.FindAllStringSubmatch(query, -1) {
		n, _ := strconv.Atoi(m[1])
		used[n] = true
	}
	for n := 1; n <= len(used); n++ {
		if !used[n] {
			return -1
		}
	}
	return len(used)
}

// oneEngine is SQL that only one engine understands, or that means something else in another.
var oneEngine = regexp.MustCompile(`(?i)\b(LISTEN|NOTIFY|AUTOINCREMENT|SERIAL|NEXTVAL|TRIGGER|OFFSET|TEMP|TEMPORARY|PRAGMA|ROWID|` +
	`INSERT OR|REPLACE INTO|IFNULL|IIF|GLOB|LIKE|ILIKE|REGEXP|NOCASE|DATETIME|STRFTIME|JULIANDAY|UNIXEPOCH|CURRENT_TIMESTAMP|NOW|` +
	`JSON_EXTRACT|JSONB|ADVISORY|SET LOCAL|GENERATED|LAST_INSERT_ROWID|CHANGES|RANDOM|PRINTF|INDEXED BY)\b|[?]|::|->|"`)

// checkDialect keeps the one text of each statement what every engine can run.
func checkDialect(t *testing.T, all []string) {
	for _, query := range all {
		if found := oneEngine.FindString(query); found != "" {
			t.Errorf("%q in: %s", found, query)
		}
		if parameters(query) < 0 {
			t.Errorf("a parameter is left out, which PostgreSQL refuses: %s", query)
		}
		if strings.Contains(query, ";") {
			t.Errorf("more than one statement: %s", query)
		}
	}
	for _, bad := range []string{"SELECT 1 WHERE a = ?", "SELECT a FROM b LIMIT 1 OFFSET 2", "INSERT OR IGNORE INTO a", "SELECT a::text"} {
		if !oneEngine.MatchString(bad) {
			t.Errorf("the check misses %s", bad)
		}
	}
	if parameters("$1 $3") != -1 || parameters("$2 $1 $2") != 2 {
		t.Error("parameters are counted wrongly")
	}
}

func TestSweep_OnlyWhatIsDead(t *testing.T) {
	s, now := create(t), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ctx, realm, account := t.Context(), uuid.New(), uuid.New()
	old := auth.Session{ID: uuid.New(), RealmID: realm, AccountID: account, ExpiresAt: now.Add(-keepEnded - time.Second)}
	late := auth.Session{ID: uuid.New(), RealmID: realm, AccountID: account, ExpiresAt: now.Add(-keepEnded + time.Second)}
	dead, live := auth.Ticket{Hash: [32]byte{1}, ExpiresAt: now.Add(-time.Second)}, auth.Ticket{Hash: [32]byte{2}, ExpiresAt: now.Add(time.Second)}
	err := s.InTx(ctx, func(tx auth.Tx) error {
		for _, ses := range []auth.Session{old, late} {
			if err := tx.InsertSession(ctx, ses, nil); err != nil {
				return err
			}
		}
		for _, ticket := range []auth.Ticket{dead, live} {
			if err := tx.InsertTicket(ctx, ticket); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	count := func() (n int) {
		t.Helper()
		if err := s.row(ctx, "SELECT (SELECT COUNT(*) FROM session) + (SELECT COUNT(*) FROM ticket)").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n, err := s.Sweep(ctx, now, 100, 1, auth.DefaultBudgets()); err != nil || n != 2 || count() != 2 {
		t.Fatalf("swept %d, %v; %d are left", n, err, count())
	}
	if n, err := s.Sweep(ctx, now.Add(2*time.Second), 1, 1, auth.DefaultBudgets()); err != nil || n != 2 || count() != 0 {
		t.Fatalf("swept %d, %v; %d are left", n, err, count())
	}
}

// A key is deleted only when it has been at its end for long.
func TestSweep_Keys(t *testing.T) {
	s, now := create(t), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ctx, realm := t.Context(), uuid.New()
	ends := map[string]time.Time{
		"no end": {}, "ends soon": now.Add(time.Hour), "ended": now.Add(-keepKeys + time.Second),
		"long ago": now.Add(-keepKeys - time.Second), "longer ago": now.Add(-keepKeys - time.Hour),
	}
	err := s.InTx(ctx, func(tx auth.Tx) error {
		for kid, end := range ends {
			k := keyring.Record{ID: uuid.New(), RealmID: realm, Kid: kid, Sealed: []byte{1}, Public: []byte{2}, SignsFrom: now, CreatedAt: now, ExpiresAt: end}
			if err := tx.InsertKey(ctx, k); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, left := range []int{4, 3, 3} { // one at a time
		if _, err := s.Sweep(ctx, now, 1, 1, auth.DefaultBudgets()); err != nil {
			t.Fatal(err)
		}
		keys, err := s.Keys(ctx, realm)
		if err != nil || len(keys) != left {
			t.Fatalf("%d keys are left, %v; want %d", len(keys), err, left)
		}
		for _, k := range keys {
			if left == 3 && !k.ExpiresAt.IsZero() && k.ExpiresAt.Before(now.Add(-keepKeys)) {
				t.Errorf("%q is left", k.Kid)
			}
		}
	}
}
