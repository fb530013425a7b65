package store

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

// plan is how the engine runs a query.
func plan(t *testing.T, s *Store, query string, args ...any) string {
	t.Helper()
	rows, err := s.db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(steps, "; ")
}

// reopened is a store whose connections have read its schema as the migrations left it:
// EXPLAIN does not look whether it has changed.
func reopened(t *testing.T) *Store {
	t.Helper()
	dir := t.TempDir()
	if err := createIn(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	return createIn(t, dir)
}

// TestEvents_Index: the entries of an account are found by their index, whatever else is
// asked for, and those after a number by that; none is sorted.
func TestEvents_Index(t *testing.T) {
	s := reopened(t)
	a := uuid.Must(uuid.NewV7())
	const bySeq = "SEARCH audit_event USING PRIMARY KEY (realm_id=? AND seq>?"
	const byAccount = "SEARCH audit_event USING INDEX audit_event_account (account_id=? AND seq>?"
	for _, c := range []struct {
		f    auth.AuditFilter
		want string
	}{
		{auth.AuditFilter{Limit: 9}, bySeq},
		{auth.AuditFilter{After: 5, Last: 9, Limit: 9}, bySeq},
		{auth.AuditFilter{Since: time.Unix(1, 0), Kinds: []audit.Kind{audit.SignedIn}, Limit: 9}, bySeq},
		{auth.AuditFilter{Account: a, Limit: 9}, byAccount},
		{auth.AuditFilter{Account: a, After: 5, Last: 9, Limit: 9}, byAccount},
		{auth.AuditFilter{Account: a, After: 5, Last: 9, Kinds: []audit.Kind{audit.SignedIn}, Since: time.Unix(1, 0), Until: time.Unix(2, 0), Actor: "x", Address: "y", Session: a, Limit: 9}, byAccount},
	} {
		query, args := eventQuery(testRealm, c.f)
		if got := plan(t, s, query, args...); !strings.HasPrefix(got, c.want) || strings.Contains(got, "TEMP B-TREE") {
			t.Errorf("%+v: %s", c.f, got)
		}
	}
}

// TestEventSpan_Index: a time is found by its index.
func TestEventSpan_Index(t *testing.T) {
	s := reopened(t)
	const want = "SEARCH audit_event USING COVERING INDEX audit_event_at (realm_id=? AND at>? AND at<?)"
	if got := plan(t, s, selectSpan, testRealm[:], 1, 2); got != want {
		t.Error(got)
	}
}

// TestCheckEvents: an index from which somebody has taken an entry hides it, and is found.
func TestCheckEvents(t *testing.T) {
	s := create(t)
	account := newID()
	for range 9 {
		err := s.InTx(t.Context(), func(tx auth.Tx) error {
			return tx.InsertEvent(t.Context(), audit.Event{ID: newID(), RealmID: testRealm, At: benchNow, Kind: audit.SignedIn, Account: account})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found, err := s.CheckEvents(t.Context()); err != nil || found != "" {
		t.Fatalf("%q, %v", found, err)
	}
	path := s.Info().Path
	for _, q := range []string{
		"DROP INDEX audit_event_account",
		"CREATE INDEX audit_event_account ON audit_event (realm_id, account_id, seq) WHERE account_id IS NOT NULL AND seq <> 4",
		"PRAGMA writable_schema = ON",
		"UPDATE sqlite_master SET sql = 'CREATE INDEX audit_event_account ON audit_event (realm_id, account_id, seq) WHERE account_id IS NOT NULL' WHERE name = 'audit_event_account'",
	} {
		if _, err := s.writer.conn.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := OpenFile(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if list, err := s.Events(t.Context(), testRealm, auth.AuditFilter{Account: account, Limit: 99}); err != nil || len(list) != 8 {
		t.Fatalf("%d entries are listed, %v", len(list), err)
	}
	if found, err := s.CheckEvents(t.Context()); err != nil || !strings.Contains(found, "audit_event_account") {
		t.Errorf("%q, %v", found, err)
	}
}
