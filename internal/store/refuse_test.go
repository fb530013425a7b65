package store

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/pgtest"
)

// TestRefuseWrites: whoever writes is told to come back later and why, in all processes on a
// database; that ends by command, or by its time.
func TestRefuseWrites(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		dir := t.TempDir()
		refuseWrites(t, createIn(t, dir), createIn(t, dir))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		url := pgtest.URL(t)
		refuseWrites(t, createPostgresAt(t, url), createPostgresAt(t, url))
	})
}

func refuseWrites(t *testing.T, one, two *Store) {
	ctx := t.Context()
	write := func() error { return one.SetValue(ctx, "fact", "x") }
	if err := errors.Join(two.RefuseWrites(ctx, Refusal{Never, "it is tested"}), one.Ping(ctx)); err != nil {
		t.Fatal(err)
	}
	e, ok := errors.AsType[*auth.Error](write())
	if !ok || e.Code != auth.CodeUnavailable || e.RetryAfter <= 0 || !strings.Contains(e.Cause.Error(), "it is tested") {
		t.Fatalf("a write: %#v", e)
	}
	if v, err := one.Value(ctx, "fact"); v != "" || err != nil {
		t.Errorf("it was written all the same: %q %v", v, err)
	}
	if err := one.Ping(ctx); err != nil {
		t.Errorf("what can be read is ready: %v", err)
	}
	if err := one.SetValue(Unrefused(ctx), "other", "y"); err != nil {
		t.Errorf("who may: %v", err)
	}
	if r, err := one.Refusal(ctx); !r.ForGood() || r.Why != "it is tested" || err != nil {
		t.Errorf("%+v %v", r, err)
	}
	if err := errors.Join(two.KeepRefusing(ctx, Refusal{time.Now().Add(-time.Second), "nobody renews it"}), write()); err != nil {
		t.Errorf("after its time: %v", err)
	}
	if err := errors.Join(two.RefuseWrites(ctx, Refusal{Never, "again"}), two.TakeWrites(ctx), write()); err != nil {
		t.Errorf("after its end: %v", err)
	}
}

// TestRefuseWrites_WaitsForThoseThatWrite: what a server has begun to commit is committed
// once writes are refused, and so is in a copy that begins then.
func TestRefuseWrites_WaitsForThoseThatWrite(t *testing.T) {
	s := createPostgres(t)
	realm := uuid.Must(uuid.NewV7())
	entry := func(ctx context.Context) error {
		return s.InTx(ctx, func(tx auth.Tx) error {
			return tx.InsertEvent(ctx, audit.Event{ID: uuid.Must(uuid.NewV7()), RealmID: realm, Kind: audit.RealmCreated})
		})
	}
	if err := entry(t.Context()); err != nil {
		t.Fatal(err)
	}
	hold, err := s.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hold.ExecContext(t.Context(), "UPDATE audit_head SET seq = seq"); err != nil {
		t.Fatal(err)
	}
	written, refused := make(chan error, 1), make(chan error, 1)
	go func() { written <- entry(context.Background()) }()
	waiting := func(what string) bool {
		var n int
		if err := s.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE $1 AND pid <> pg_backend_pid() AND datname = current_database()", what).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n > 0
	}
	for !waiting("%audit_head%") {
		time.Sleep(5 * time.Millisecond)
	}
	go func() { refused <- s.RefuseWrites(context.Background(), Refusal{Never, "a test"}) }()
	for !waiting("LOCK TABLE%") {
		select {
		case err := <-refused:
			t.Fatalf("it did not wait: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
	if err := hold.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-refused; err != nil {
		t.Fatal(err)
	}
	var entries int
	if err := s.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM audit_event").Scan(&entries); err != nil || entries != 2 {
		t.Errorf("%d entries when writes are refused: %v", entries, err)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}
