package store

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// manyAccounts are two statements that fill a realm with accounts of two names each; %s makes
// an id of i.
var manyAccounts = []string{
	`INSERT INTO account (id, realm_id, number, kind, username, email, email_verified, display_name, org, disabled, password_hash, version, origin, created_at, updated_at, signed_in_at)
	WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %[2]d)
	SELECT %[1]s, $1, i, 'person', 'user' || i, 'user' || i || '@example.com', 0, 'A Person', 'acme', 0, '', 1, 'test', 1, 1, 0 FROM n`,
	`INSERT INTO account_name (realm_id, name_key, account_id)
	WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %[2]d)
	SELECT $1, 'user' || i || CASE WHEN t.tail = 1 THEN '@example.com' ELSE '' END, %[1]s FROM n, (SELECT 0 AS tail UNION ALL SELECT 1) t`,
	"ANALYZE",
}

// crowded makes a store of each engine with so many accounts in a realm.
func crowded(t *testing.T, accounts int) (realm uuid.UUID, stores map[string]*Store) {
	t.Helper()
	realm = newID()
	stores = map[string]*Store{"SQLite": create(t), "PostgreSQL": createPostgres(t)}
	ids := map[string]string{"SQLite": "CAST(printf('%016d', i) AS BLOB)", "PostgreSQL": "convert_to(lpad(CAST(i AS TEXT), 16, '0'), 'UTF8')"}
	for engine, s := range stores {
		for _, statement := range manyAccounts {
			args := []any{realm[:]}
			if !strings.Contains(statement, "$1") {
				args = nil
			} else {
				statement = fmt.Sprintf(statement, ids[engine], accounts)
			}
			if _, err := s.db.ExecContext(t.Context(), statement, args...); err != nil {
				t.Fatalf("%s: %v", engine, err)
			}
		}
	}
	return realm, stores
}

// TestAccountsByPrefix_Large: a search by prefix is found by the names' key. TEST_LARGE is the
// number of accounts to try it with, on a machine with nothing else to do: each search must
// take less than 20 ms then.
func TestAccountsByPrefix_Large(t *testing.T) {
	if testing.Short() {
		t.Skip("makes many accounts")
	}
	accounts, err := strconv.Atoi(os.Getenv("TEST_LARGE"))
	timed := err == nil
	if !timed {
		accounts = 20_000
	}
	realm, stores := crowded(t, accounts)
	for engine, s := range stores {
		t.Run(engine, func(t *testing.T) {
			for _, c := range []struct {
				prefix, after string
				limit, want   int
			}{
				{"user", "", 500, 500}, {"user1", "user19", 500, 500}, {"user777", "", 10, 10}, {"user" + strconv.Itoa(accounts) + "@", "", 500, 1},
				{"nobody", "", 500, 0}, {"zz", "", 500, 0},
			} {
				best := time.Hour
				for range 10 {
					start := time.Now()
					list, err := s.AccountsByPrefix(t.Context(), realm, "", c.prefix, c.after, c.limit)
					best = min(best, time.Since(start))
					if err != nil || len(list) != c.want {
						t.Fatalf("%+v: %d, %v", c, len(list), err)
					}
				}
				t.Logf("%d accounts, %q after %q, %d of at most %d: %s", accounts, c.prefix, c.after, c.want, c.limit, best)
				if timed && best > 20*time.Millisecond {
					t.Errorf("%+v takes %s", c, best)
				}
			}
			checkPrefixPlan(t, s, realm)
		})
	}
}

// checkPrefixPlan sees that the names are read by their key, in its order, and the rest by theirs.
func checkPrefixPlan(t *testing.T, s *Store, realm uuid.UUID) {
	t.Helper()
	for i, from := range []string{">=", ">"} {
		query := prefixQuery(from)
		if s.writer != nil {
			got := plan(t, s, query, realm[:], "user1", "user1", "user2", 500)
			if !strings.HasPrefix(got, "SEARCH n USING PRIMARY KEY (realm_id=? AND name_key>? AND name_key<?)") || strings.Contains(got, "TEMP B-TREE") || strings.Contains(got, "SCAN") {
				t.Errorf("%s", got)
			}
			continue
		}
		conn, err := s.db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
			name := fmt.Sprint(mode, i)
			for _, statement := range []string{"SET plan_cache_mode = " + mode, "PREPARE " + name + " (bytea, text, text, text, bigint) AS " + query} {
				if _, err := conn.ExecContext(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			got := strings.Join(texts(t, conn, fmt.Sprintf(`EXPLAIN EXECUTE %s ('\x%x', 'user1', 'user1', 'user2', 500)`, name, realm[:])), "\n")
			if !strings.Contains(got, "using account_name_pkey on account_name n") || strings.Contains(got, "Sort") || strings.Contains(got, "Seq Scan on account ") || strings.Contains(got, "Seq Scan on account_name") || strings.Contains(got, "Hash") {
				t.Errorf("%s:\n%s", mode, got)
			}
		}
	}
}
