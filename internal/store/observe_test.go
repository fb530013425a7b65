package store

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/pgtest"
)

// ear is an Observer that remembers.
type ear struct {
	mu                                   sync.Mutex
	waits, reads, batches, jobs, commits int
	retried                              int
	took                                 time.Duration
	faults, resolved                     []string
}

func (e *ear) note(fn func()) { e.mu.Lock(); defer e.mu.Unlock(); fn() }

func (e *ear) StoreWaited(time.Duration)    { e.note(func() { e.waits++ }) }
func (e *ear) StoreRead(took time.Duration) { e.note(func() { e.reads++; e.took += took }) }
func (e *ear) StoreBatch(n int, took time.Duration) {
	e.note(func() { e.batches++; e.jobs += n; e.took += took })
}
func (e *ear) StoreCommit(took time.Duration) { e.note(func() { e.commits++; e.took += took }) }
func (e *ear) StoreRetried(n int)             { e.note(func() { e.retried += n }) }
func (e *ear) StoreResolved(what string)      { e.note(func() { e.resolved = append(e.resolved, what) }) }
func (e *ear) StoreFailed(fault string)       { e.note(func() { e.faults = append(e.faults, fault) }) }

func TestStore_Observed(t *testing.T) {
	s, err := Create(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	e := &ear{}
	s.Observe(e)
	if _, err := s.Realms(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.RealmByName(t.Context(), "none"); !errors.Is(err, auth.ErrNotFound) {
		t.Fatal(err)
	}
	if e.reads != 2 || len(e.faults) != 0 || e.batches != 0 {
		t.Errorf("after two reads: %+v", e)
	}
	for range 3 {
		if err := s.InTx(t.Context(), func(tx auth.Tx) error { _, err := tx.Realms(t.Context()); return err }); err != nil {
			t.Fatal(err)
		}
	}
	failed := errors.New("of the caller")
	if err := s.InTx(t.Context(), func(auth.Tx) error { return failed }); !errors.Is(err, failed) {
		t.Fatal(err)
	}
	if e.jobs != 4 || e.batches == 0 || e.commits != e.batches || e.reads != 2 || len(e.faults) != 0 || e.took <= 0 || e.took > time.Minute {
		t.Errorf("after four transactions: %+v", e)
	}
	path := s.Info().Path
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	if err := s.InTx(t.Context(), func(auth.Tx) error { return nil }); auth.CodeOf(err) != auth.CodeUnavailable || len(e.faults) != 1 || e.faults[0] != "other" {
		t.Errorf("%v: %+v", err, e)
	}
}

// A read that must wait for a connection says so, and one whose caller leaves says nothing.
func TestStore_ObservedWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &ear{}
		w := &watch{}
		var o Observer = e
		w.observer.Store(&o)
		p := &prepared{slots: make(chan struct{}, 1), inPlace: func() error { return nil }, watch: w}
		if err := p.enter(t.Context()); err != nil || e.waits != 0 {
			t.Fatal(err, e.waits)
		}
		done := make(chan error, 2)
		gone, cancel := context.WithCancel(t.Context())
		go func() { done <- p.enter(gone) }()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) || e.waits != 0 {
			t.Fatal(err, e.waits)
		}
		go func() { done <- p.enter(t.Context()) }()
		synctest.Wait()
		p.leave()
		if err := <-done; err != nil || e.waits != 1 {
			t.Fatal(err, e.waits)
		}
	})
}

func TestFault_Names(t *testing.T) {
	for f := range remedies {
		if f.String() == "other" {
			t.Errorf("fault %d has no name", int(f))
		}
	}
	if len(Faults) != len(remedies)+1 || FaultPooler.String() != "pooler" || FaultFull.String() != "full" || Fault(99).String() != "other" {
		t.Error(Faults, len(remedies))
	}
}

// On PostgreSQL the same is told, and what a commit was whose answer was lost.
func TestPostgres_Observed(t *testing.T) {
	proxy, url := pgtest.NewProxy(t, pgtest.URL(t))
	s := createPostgresAt(t, url)
	values(t, s, "x")
	e := &ear{}
	s.Observe(e)
	change := func() {
		t.Helper()
		if err := s.InTx(t.Context(), func(tx auth.Tx) error { return add(t.Context(), tx, "x", "a") }); err != nil {
			t.Fatal(err)
		}
	}
	change()
	if _, err := s.Realms(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e.jobs != 1 || e.batches != 1 || e.commits != 1 || e.reads != 1 || e.retried != 0 || len(e.faults) != 0 || len(e.resolved) != 0 {
		t.Errorf("%+v", e)
	}
	proxy.AtCommit(pgtest.CommitUnanswered)
	change()
	if len(e.resolved) != 1 || e.resolved[0] != ResolvedCommitted || e.retried != 0 {
		t.Errorf("the commit happened: %+v", e)
	}
	proxy.AtCommit(pgtest.CommitLost)
	change()
	if len(e.resolved) != 2 || e.resolved[1] != ResolvedLost || e.retried != 1 {
		t.Errorf("the commit was lost: %+v", e)
	}
	if p := s.Pool(); p.Max != DefaultConnections || p.InUse+p.Idle < 1 || p.InUse+p.Idle > p.Max {
		t.Errorf("%+v", p)
	}
}
