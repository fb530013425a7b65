package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

// fill inserts, many at once, until some of it fails, and checks what became of it all, and
// that the cause says what to do.
func fill(t *testing.T, s *Store, do string) map[uuid.UUID]error {
	t.Helper()
	got := map[uuid.UUID]error{}
	for range 50 {
		maps.Copy(got, outcomes(s, 40, 2000)())
		if failed := truthful(t, s, got); failed > 0 {
			t.Logf("%d of %d failed", failed, len(got))
			for _, err := range got {
				if err != nil && !strings.Contains(auth.AsError(err).Cause.Error(), s.info.Path+": store: "+do) {
					t.Errorf("the cause does not say what to do: %v", err)
				}
			}
			return got
		}
	}
	t.Fatal("the disk was never full")
	return nil
}

// recovers checks that the store works, with all that it had acknowledged.
func recovers(t *testing.T, s *Store, before map[uuid.UUID]error) {
	t.Helper()
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := outcomes(s, 40, 2000)()
	if failed := truthful(t, s, after); failed != 0 {
		t.Fatalf("%d failed with room on the disk", failed)
	}
	maps.Copy(after, before)
	truthful(t, s, after)
	var verdict string
	if err := s.row(t.Context(), "PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Fatalf("%q, %v", verdict, err)
	}
}

// TestDiskFull_Database: the database may not grow, which a statement finds out.
func TestDiskFull_Database(t *testing.T) {
	s := create(t)
	limit := func(pages int) {
		t.Helper()
		err := s.InTx(t.Context(), func(tx auth.Tx) error {
			_, err := own(tx).exec(context.Background(), fmt.Sprintf("PRAGMA max_page_count = %d", pages))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	limit(300)
	got := fill(t, s, "the disk of the database is full: free space on it")
	if _, err := s.RealmByName(t.Context(), "x"); !errors.Is(err, auth.ErrNotFound) {
		t.Fatalf("a read with a full disk says %v", err)
	}
	limit(1 << 20)
	recovers(t, s, got)
}
