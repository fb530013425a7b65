package e2e_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/pgtest"
	"github.com/ostiary/ostiary/internal/store"
)

// A login that waits for a row which somebody else holds does not hold the audit log, for which
// all others of its realm would wait, on each node.
func TestPostgres_LoginWaitsWithoutTheLog(t *testing.T) {
	url := pgtest.URL(t)
	s, err := store.CreatePostgres(t.Context(), url, 0)
	if err != nil {
		t.Fatal(err)
	}
	h := openOn(t, s)
	h.account(t, hostOne, "ada")
	k := new(tokens)
	h.nomic(t, hostOne, "ada", k)
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "UPDATE known_source SET seen_at = seen_at - 90000000000"); err != nil { // a day: it is noted again
		t.Fatal(err)
	}
	holder, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holder.Rollback() }()
	if _, err := holder.ExecContext(t.Context(), "SELECT 1 FROM known_source FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.nomic(t, hostOne, "ada", k)
	}()
	waiting := 0
	for deadline := time.Now().Add(2 * time.Second); waiting == 0 && time.Now().Before(deadline); {
		if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&waiting); err != nil {
			t.Fatal(err)
		}
	}
	if waiting == 0 {
		t.Error("the login waits for nothing")
	}
	if _, err := db.ExecContext(t.Context(), "SELECT 1 FROM audit_head FOR UPDATE NOWAIT"); err != nil {
		t.Errorf("the log is held: %v", err)
	}
	if err := holder.Rollback(); err != nil {
		t.Error(err)
	}
	<-done
}
