package acme

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/seal"
	"github.com/ostiary/ostiary/internal/store"
)

func database(t *testing.T) (db *store.Store, dir string) {
	t.Helper()
	dir = t.TempDir()
	db, err := store.Create(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db, dir
}

func storageOf(t *testing.T, db Store, master seal.Key) *storage {
	t.Helper()
	return newStorage(db, master, slog.New(slog.DiscardHandler))
}

func TestStorage_Values(t *testing.T) {
	db, _ := database(t)
	s, ctx := storageOf(t, db, seal.New()), t.Context()
	if _, err := s.Load(ctx, "a/b"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := s.Stat(ctx, "a"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := s.List(ctx, "a", false); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for _, key := range []string{"a/b/c.crt", "a/b/c.key", "a/d", "ab/e"} {
		if err := s.Store(ctx, key, []byte("first")); err != nil {
			t.Fatal(err)
		}
		if err := s.Store(ctx, key, []byte("value of "+key)); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Load(ctx, key); err != nil || string(got) != "value of "+key {
			t.Errorf("%s: %q, %v", key, got, err)
		}
	}
	for _, c := range []struct {
		path      string
		recursive bool
		want      []string
	}{
		{"a", false, []string{"a/b", "a/d"}},
		{"a", true, []string{"a/b/c.crt", "a/b/c.key", "a/d"}},
		{"", false, []string{"a", "ab"}},
		{"a/b", false, []string{"a/b/c.crt", "a/b/c.key"}},
	} {
		if got, err := s.List(ctx, c.path, c.recursive); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("below %q: %q, %v", c.path, got, err)
		}
	}
	if info, err := s.Stat(ctx, "a/d"); err != nil || !info.IsTerminal || time.Since(info.Modified) > time.Minute {
		t.Errorf("%+v, %v", info, err)
	}
	if info, err := s.Stat(ctx, "a/b"); err != nil || info.IsTerminal || !s.Exists(ctx, "a/b") {
		t.Errorf("%+v, %v", info, err)
	}
	if err := s.Delete(ctx, "a"); err != nil || s.Exists(ctx, "a/b/c.key") || s.Exists(ctx, "a") || !s.Exists(ctx, "ab/e") {
		t.Error("deleted too little or too much", err)
	}
}

// The database alone gives no private key away, and a value opens only where it was put.
func TestStorage_Sealed(t *testing.T) {
	db, dir := database(t)
	master := seal.New()
	s, ctx := storageOf(t, db, master), t.Context()
	secret := []byte("-----BEGIN EC PRIVATE KEY----- marker")
	if err := s.Store(ctx, "a.key", secret); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{store.DatabaseFile, store.DatabaseFile + "-wal"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil && bytes.Contains(text, []byte("marker")) {
			t.Errorf("%s has the value in the clear", name)
		}
	}
	sealed, _, err := db.TLSValue(ctx, "a.key")
	if err != nil {
		t.Fatal(err)
	}
	if err := db.SetTLSValue(ctx, "b.key", sealed, time.Now()); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Load(ctx, "b.key"); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("moved to another key: %q, %v", got, err)
	}
	if got, err := storageOf(t, db, seal.New()).Load(ctx, "a.key"); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("under another master key: %q, %v", got, err)
	}
}

// Of goroutines of one process and of others, one at a time has a lock.
func TestStorage_LocksOutEveryoneElse(t *testing.T) {
	db, _ := database(t)
	master := seal.New()
	nodes := []*storage{storageOf(t, db, master), storageOf(t, db, master)}
	var inside, total atomic.Int64
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			s := nodes[i%2]
			if err := s.Lock(t.Context(), "name"); err != nil {
				t.Error(err)
				return
			}
			if inside.Add(1) != 1 {
				t.Error("two have the lock")
			}
			total.Add(1)
			time.Sleep(5 * time.Millisecond)
			inside.Add(-1)
			if err := s.Unlock(context.Background(), "name"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if total.Load() != 6 {
		t.Errorf("%d had it", total.Load())
	}
	if err := nodes[0].Unlock(t.Context(), "name"); err == nil {
		t.Error("unlocked what was not locked")
	}
	held, err := nodes[0].TryLock(t.Context(), "name")
	if err != nil || !held {
		t.Fatal(held, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := nodes[1].Lock(ctx, "name"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a lock that is held: %v", err)
	}
}

// A lock of a process that has crashed is free after a while, and one of a process that
// lives is not, however long it takes.
func TestStorage_LockOfACrashedHolder(t *testing.T) {
	db, _ := database(t)
	master := seal.New()
	var clock atomic.Int64
	clock.Store(time.Now().UnixMicro())
	now := func() time.Time { return time.UnixMicro(clock.Load()) }
	crashed, other := storageOf(t, db, master), storageOf(t, db, master)
	crashed.now, other.now = now, now
	if ok, err := crashed.TryLock(t.Context(), "name"); err != nil || !ok {
		t.Fatal(ok, err)
	}
	crashed.held["name"].end() // no more of it
	clock.Add((leaseLife - time.Second).Microseconds())
	if ok, err := other.TryLock(t.Context(), "name"); err != nil || ok {
		t.Fatalf("taken from a holder that may live: %v", err)
	}
	clock.Add(time.Second.Microseconds())
	if ok, err := other.TryLock(t.Context(), "name"); err != nil || !ok {
		t.Fatalf("not free: %v", err)
	}
	if err := crashed.Unlock(t.Context(), "name"); err != nil { // it lives after all
		t.Fatal(err)
	}
	if ok, err := crashed.TryLock(t.Context(), "name"); err != nil || ok {
		t.Fatalf("the late holder freed the other's lock: %v", err)
	}

	alive := storageOf(t, db, master)
	alive.life = 300 * time.Millisecond
	if ok, err := alive.TryLock(t.Context(), "long"); err != nil || !ok {
		t.Fatal(ok, err)
	}
	impatient := storageOf(t, db, master)
	for until := time.Now().Add(4 * alive.life); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		if ok, err := impatient.TryLock(t.Context(), "long"); err != nil || ok {
			t.Fatalf("taken from a holder that lives: %v", err)
		}
	}
}
