package store

import (
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

// logSize is how many pages the write-ahead log has since it last began anew.
func logSize(t *testing.T, s *Store) (pages int) {
	t.Helper()
	var busy, copied int
	if err := s.db.QueryRowContext(t.Context(), "PRAGMA wal_checkpoint(NOOP)").Scan(&busy, &pages, &copied); err != nil {
		t.Fatal(err)
	}
	return pages
}

// grow writes twenty pages so many times.
func grow(t *testing.T, s *Store, times int) {
	t.Helper()
	for range times {
		if err := s.SetValue(t.Context(), "large", strings.Repeat(rand.Text(), 20*4096/26)); err != nil {
			t.Fatal(err)
		}
	}
}

// pragma sets something of the writer's connection.
func pragma(t *testing.T, s *Store, text string) {
	t.Helper()
	err := s.InTx(t.Context(), func(tx auth.Tx) error {
		_, err := own(tx).exec(t.Context(), "PRAGMA "+text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What was committed is copied into the database beside the commits, and the log begins anew:
// here SQLite's own COMMIT never does that.
func TestCheckpoint_Beside(t *testing.T) {
	s := create(t)
	pragma(t, s, "wal_autocheckpoint = 0")
	deadline, most := time.Now().Add(10*time.Second), 0
	for n := 0; n >= most; n = logSize(t, s) {
		most = n
		grow(t, s, 1)
		if time.Now().After(deadline) {
			t.Fatalf("the log has %d pages, and never began anew", n)
		}
	}
	if most < checkpointPages {
		t.Errorf("the log began anew after %d pages", most)
	}
}

// The writer copies what came while all else was copied.
func TestCheckpoint_Rest(t *testing.T) {
	s := create(t)
	pragma(t, s, "wal_autocheckpoint = 0")
	s.writer.folds.least.Store(1 << 30)
	grow(t, s, 10)
	s.writer.folds.little.Store(true)
	for _, value := range []string{"x", "y"} { // it does after the first, and the second begins the log anew
		if err := s.SetValue(t.Context(), "small", value); err != nil {
			t.Fatal(err)
		}
	}
	if n := logSize(t, s); n > 20 || s.writer.folds.little.Load() {
		t.Errorf("the log has %d pages", n)
	}
}

// Nothing is copied into a database that is another one by now.
func TestCheckpoint_Gone(t *testing.T) {
	s := create(t)
	c := s.writer.folds
	if _, ok := c.checkpoint("NOOP"); !ok {
		t.Error("not of one that is in its place")
	}
	if err := os.Rename(s.info.Path, s.info.Path+".old"); err != nil {
		t.Fatal(err)
	}
	if _, ok := c.checkpoint("NOOP"); ok {
		t.Error("the log was asked for")
	}
}

// Large transactions change most pages again.
func TestCheckpoint_Bulk(t *testing.T) {
	s := create(t)
	if err := s.Bulk(t.Context()); err != nil {
		t.Fatal(err)
	}
	grow(t, s, checkpointPages/2)
	if n := logSize(t, s); n < 10*checkpointPages {
		t.Errorf("the log began anew, and has %d pages", n)
	}
}
