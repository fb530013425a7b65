package store

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/store/storetest"
)

// small are the tables of few rows.
var small = []string{"goose_db_version", "audit_head", "commit_mark", "guess_running", "account_merge", "writeback", "realm", "signing_key", "verify_key", "store_info", "tls_storage", "lease"}

// TestPostgres runs the suites, and sees that every statement that they ran finds its rows by
// an index: the driver has prepared each on some connection.
func TestPostgres(t *testing.T) {
	s := createPostgres(t)
	t.Run("Suites", func(t *testing.T) { storetest.Run(t, func(*testing.T) auth.Store { return s }) })
	checked := map[string]bool{}
	for range s.db.Stats().OpenConnections {
		conn, err := s.db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for _, setting := range []string{"plan_cache_mode = force_generic_plan", "enable_seqscan = off"} {
			if _, err := conn.ExecContext(t.Context(), "SET "+setting); err != nil {
				t.Fatal(err)
			}
		}
		for _, text := range texts(t, conn, `SELECT name || ' ' || cardinality(parameter_types) || ' ' || statement
			FROM pg_prepared_statements WHERE statement NOT LIKE '%pg\_%'`) {
			parts := strings.SplitN(text, " ", 3)
			if name, text := parts[0], parts[2]; text != rare && !checked[text] {
				checked[text] = true
				checkPostgresPlan(t, conn, name, text, parts[1])
			}
		}
	}
	if len(checked) < 90 {
		t.Errorf("only %d statements: the suites do not run them all", len(checked))
	}
}

func checkPostgresPlan(t *testing.T, conn *sql.Conn, name, text, parameters string) {
	t.Helper()
	var n int
	if _, err := fmt.Sscan(parameters, &n); err != nil {
		t.Fatal(err)
	}
	arguments := ""
	if n > 0 {
		arguments = "(" + strings.Repeat("NULL, ", n-1) + "NULL)"
	}
	for _, step := range texts(t, conn, fmt.Sprintf("EXPLAIN EXECUTE %q%s", name, arguments)) {
		if _, table, scan := strings.Cut(step, "Seq Scan on "); scan && !slices.Contains(small, strings.Fields(table)[0]) {
			t.Errorf("%s\n\t%s", text, step)
		}
	}
}

// texts are the rows of a query for one column.
func texts(t *testing.T, conn *sql.Conn, query string) (all []string) {
	t.Helper()
	rows, err := conn.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		all = append(all, text)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
