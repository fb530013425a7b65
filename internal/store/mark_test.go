package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// killed is a directory with what a process leaves there that is killed: changes that are in the
// write-ahead log alone.
func killed(t *testing.T, s *Store) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, end := range []string{"", "-wal"} {
		content, err := os.ReadFile(s.info.Path + end)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, DatabaseFile+end), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// refused sees that a database that was moved beside a log of another is as it was.
func refused(t *testing.T, dir, moved string) {
	t.Helper()
	want, err := os.ReadFile(moved)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, DatabaseFile)
	if err := os.WriteFile(path, want, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func(context.Context, string) (*Store, error){"Open": Open, "Create": Create} {
		s, err := open(t.Context(), dir)
		if err == nil {
			_ = s.Close()
		}
		if !errors.Is(err, ErrLog) || !strings.Contains(err.Error(), path+"-wal and "+path+"-shm away") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != string(want) {
		t.Errorf("the database was changed: %v", err)
	}
	if err := os.Remove(path + "-wal"); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got, err := s.Value(t.Context(), "whose"); err != nil || got != "the operator's" {
		t.Errorf("it has %q, %v", got, err)
	}
}

// closed is the file of a database that was closed.
func closed(t *testing.T, dir string) (path string) {
	t.Helper()
	s, err := Create(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.SetValue(t.Context(), "whose", "the operator's"), s.Close()); err != nil {
		t.Fatal(err)
	}
	return s.info.Path
}

func TestOpen_LogOfAnother(t *testing.T) {
	old := closed(t, t.TempDir())
	refused(t, killed(t, create(t)), old)
}

// TestOpen_OwnLog: whatever a process that is killed leaves is opened, and has what was stored.
func TestOpen_OwnLog(t *testing.T) {
	s := create(t)
	for i := range 40 {
		if i%5 == 4 { // the log begins anew, and may not have the first page
			for range 2 {
				if _, err := s.db.ExecContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
					t.Fatal(err)
				}
			}
		}
		want := strings.Repeat(strconv.Itoa(i), 1+i*i)
		if err := s.SetValue(t.Context(), "k"+strconv.Itoa(i%3), want); err != nil {
			t.Fatal(err)
		}
		again, err := Open(t.Context(), killed(t, s))
		if err != nil {
			t.Fatal(i, err)
		}
		if got, err := again.Value(t.Context(), "k"+strconv.Itoa(i%3)); err != nil || got != want {
			t.Errorf("%d: it has %d bytes, %v", i, len(got), err)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOpen_BesideAWriter: a log that is written and begun anew meanwhile is no other's.
func TestOpen_BesideAWriter(t *testing.T) {
	s := create(t)
	s.writer.folds.least.Store(1) // as often as it can
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var wait sync.WaitGroup
	wait.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			if err := s.SetValue(t.Context(), "k"+strconv.Itoa(i%500), strings.Repeat("x", i%9000)); err != nil {
				t.Error(err)
			}
		}
	})
	defer wait.Wait()
	for ctx.Err() == nil {
		if err := checkLog(s.info.Path); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMark: a database keeps the mark that it got first, and one of an older version that has none gets it as soon
// as nobody else has it open.
func TestMark(t *testing.T) {
	s := create(t)
	has := func() string {
		t.Helper()
		head, err := headOf(s.info.Path, headSize)
		if err != nil {
			t.Fatal(err)
		}
		return string(head[headMark : headMark+4])
	}
	const none = "\x00\x00\x00\x00"
	first := has()
	if first == none {
		t.Fatal("a new one has no mark")
	}
	reopen := func() {
		t.Helper()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = createIn(t, filepath.Dir(s.info.Path))
	}
	if reopen(); has() != first {
		t.Error("it has another one")
	}
	if _, err := s.db.ExecContext(t.Context(), "PRAGMA user_version = 0; PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		t.Fatal(err)
	}
	beside := createIn(t, filepath.Dir(s.info.Path))
	if has() != none {
		t.Error("it got one while another had it open")
	}
	if err := beside.Close(); err != nil {
		t.Fatal(err)
	}
	if reopen(); has() == none {
		t.Error("an older one has none")
	}
}
