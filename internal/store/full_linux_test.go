package store

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/ostiary/ostiary/internal/auth"
)

// TestDiskFull_Log: the write-ahead log may not grow, which a commit finds out.
func TestDiskFull_Log(t *testing.T) {
	s := create(t)
	if _, err := insert(t.Context(), s, 10); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(s.info.Path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	small := syscall.Rlimit{Cur: uint64(st.Size()) + 300_000, Max: old.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &small); err != nil {
		t.Fatal(err)
	}
	limited := true
	restore := func() {
		if limited {
			limited = false
			if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
				t.Error(err)
			}
		}
	}
	defer restore()
	got := fill(t, s, "the disk of the database fails, or a quota is reached")
	if _, err := s.RealmByName(t.Context(), "x"); !errors.Is(err, auth.ErrNotFound) {
		t.Fatalf("a read with a full disk says %v", err)
	}
	restore()
	recovers(t, s, got)
}
