package store

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

// commits counts the commits in the write-ahead log: the frames that carry the size of
// the database, in the order of https://www.sqlite.org/walformat.html.
func commits(t testing.TB, s *Store) (n int) {
	t.Helper()
	wal, err := os.ReadFile(s.info.Path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	const header, frame = 32, 24
	page := int(binary.BigEndian.Uint32(wal[8:]))
	salt := string(wal[16:24])
	for at := header; at+frame+page <= len(wal); at += frame + page {
		if string(wal[at+8:at+16]) != salt {
			break // of the log's last round
		}
		if binary.BigEndian.Uint32(wal[at+4:]) != 0 {
			n++
		}
	}
	return n
}

var testRealm = uuid.New()

// insert stores one entry of the audit log and returns its id.
func insert(ctx context.Context, s *Store, size int) (uuid.UUID, error) {
	e := audit.Event{ID: uuid.Must(uuid.NewV7()), RealmID: testRealm, Kind: "test", Detail: string(make([]byte, size))}
	return e.ID, s.InTx(ctx, func(tx auth.Tx) error { return tx.InsertEvent(ctx, e) })
}

// stored are the entries that insert made, as the database has them.
func stored(t testing.TB, s *Store) map[uuid.UUID]bool {
	t.Helper()
	list, err := s.Events(t.Context(), testRealm, auth.AuditFilter{Limit: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	got := map[uuid.UUID]bool{}
	for _, e := range list {
		got[e.ID] = true
	}
	return got
}

// hold keeps the writer busy with a transaction until release is called.
func hold(t testing.TB, s *Store) (release func()) {
	t.Helper()
	entered, leave, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	var once sync.Once
	go func() {
		done <- s.InTx(context.Background(), func(auth.Tx) error {
			once.Do(func() { close(entered) })
			<-leave
			return nil
		})
	}()
	<-entered
	return func() {
		t.Helper()
		close(leave)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

// outcomes runs n inserts at once and returns what each said, once all of them have.
func outcomes(s *Store, n, size int) (wait func() map[uuid.UUID]error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := map[uuid.UUID]error{}
	for range n {
		wg.Go(func() {
			id, err := insert(context.Background(), s, size)
			mu.Lock()
			defer mu.Unlock()
			got[id] = err
		})
	}
	return func() map[uuid.UUID]error {
		wg.Wait()
		return got
	}
}

// truthful fails unless just what was acknowledged is stored, and every failure says
// that it may work later. It counts the failures.
func truthful(t testing.TB, s *Store, got map[uuid.UUID]error) (failed int) {
	t.Helper()
	have := stored(t, s)
	for id, err := range got {
		if have[id] != (err == nil) {
			t.Fatalf("stored: %v, and the caller learnt %v", have[id], err)
		}
		if err != nil {
			failed++
			if e := auth.AsError(err); e.Code != auth.CodeUnavailable || e.RetryAfter <= 0 {
				t.Fatalf("got %q: %v", e.Code, err)
			}
		}
	}
	return failed
}

func queued(t testing.TB, s *Store, n int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); len(s.writer.jobs) < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d transactions wait, want %d", len(s.writer.jobs), n)
		}
	}
}

func TestWriter_GroupCommit(t *testing.T) {
	const n = 200
	s := create(t)
	release := hold(t, s)
	before := commits(t, s)
	wait := outcomes(s, n, 10)
	queued(t, s, n)
	release()
	if failed := truthful(t, s, wait()); failed != 0 {
		t.Fatalf("%d failed", failed)
	}
	if c := commits(t, s) - before; c < 1 || c > 2 {
		t.Fatalf("%d transactions that waited took %d commits", n, c)
	}
	before = commits(t, s)
	for range 5 {
		if _, err := insert(t.Context(), s, 10); err != nil {
			t.Fatal(err)
		}
	}
	if c := commits(t, s) - before; c != 5 {
		t.Fatalf("5 transactions, one after the other, took %d commits: the count is wrong", c)
	}
}

// TestWriter_SharedFailure: an engine that is out of disk or memory takes the whole
// transaction back, and with it what others had done in it. They must not notice.
func TestWriter_SharedFailure(t *testing.T) {
	s := create(t)
	release := hold(t, s)
	before := outcomes(s, 5, 10)
	queued(t, s, 5)
	bad := make(chan error, 1)
	go func() {
		bad <- s.InTx(context.Background(), func(tx auth.Tx) error {
			if err := tx.InsertEvent(context.Background(), audit.Event{Kind: "bad"}); err != nil {
				return err
			}
			if _, err := own(tx).exec(context.Background(), "ROLLBACK"); err != nil {
				return err
			}
			return &auth.Error{Code: auth.CodeForbidden}
		})
	}()
	queued(t, s, 6)
	after := outcomes(s, 5, 10)
	queued(t, s, 11)
	release()
	if err := <-bad; auth.CodeOf(err) != auth.CodeForbidden {
		t.Fatalf("its own error: %v", err)
	}
	if n := truthful(t, s, before()) + truthful(t, s, after()); n != 0 {
		t.Fatalf("%d others failed", n)
	}
	if list, err := s.Events(t.Context(), uuid.Nil, auth.AuditFilter{Limit: 10}); err != nil || len(list) != 0 {
		t.Fatalf("left of what failed: %v, %v", list, err)
	}
}

// TestWriter_GoneAfterCommit: a file that is gone when a batch has been committed is told to
// all of its jobs, and none is run again: it may come back, and has what they did.
func TestWriter_GoneAfterCommit(t *testing.T) {
	s := create(t)
	gone := &auth.Error{Code: auth.CodeUnavailable, RetryAfter: time.Second}
	entered, leave := make(chan struct{}), make(chan struct{})
	ran := 0 // by the writer alone
	done := make(chan error, 2)
	do := func(first bool) {
		done <- s.InTx(context.Background(), func(tx auth.Tx) error {
			if ran++; first && ran == 1 {
				place := s.writer.inPlace
				s.writer.inPlace = func() error {
					s.writer.inPlace = place
					return gone
				}
				close(entered)
				<-leave
			}
			return tx.InsertEvent(context.Background(), audit.Event{ID: uuid.New(), RealmID: testRealm, Kind: "test"})
		})
	}
	go do(true)
	<-entered
	go do(false)
	queued(t, s, 1)
	close(leave)
	for range 2 {
		if err := <-done; !errors.Is(err, gone) {
			t.Errorf("a caller learnt %v", err)
		}
	}
	if n := len(stored(t, s)); ran != 2 || n != 2 {
		t.Errorf("2 jobs ran %d times and left %d entries", ran, n)
	}
	if s.writer.healthy.Load() {
		t.Error("the store takes itself for healthy")
	}
}

// TestWriter_Close: what waits when the store is closed is stored, or says that it is not.
func TestWriter_Close(t *testing.T) {
	dir := t.TempDir()
	s := createIn(t, dir)
	release := hold(t, s)
	wait := outcomes(s, maxBatch+50, 10) // more than the queue takes
	queued(t, s, maxBatch)
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	late := outcomes(s, 20, 10)
	release()
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	again, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	truthful(t, again, wait())
	truthful(t, again, late())

	_, err = insert(t.Context(), s, 10)
	if e := auth.AsError(err); e.Code != auth.CodeUnavailable || e.RetryAfter <= 0 {
		t.Fatalf("a closed store says %v", err)
	}
	if _, err := s.RealmByName(t.Context(), "x"); auth.CodeOf(err) != auth.CodeUnavailable {
		t.Fatalf("a read of a closed store says %v", err)
	}
	if err := s.Ping(t.Context()); auth.CodeOf(err) != auth.CodeUnavailable {
		t.Fatalf("a ping of a closed store says %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("closing twice: %v", err)
	}
}

// TestWriter_FullQueue: who gives up while the queue is full is gone.
func TestWriter_FullQueue(t *testing.T) {
	s := create(t)
	release := hold(t, s)
	wait := outcomes(s, maxBatch, 10)
	queued(t, s, maxBatch)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	id, err := insert(ctx, s, 10)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	release()
	if truthful(t, s, wait()) != 0 || stored(t, s)[id] {
		t.Fatal("the others are stored, and the one that gave up is not")
	}
}

// TestWriter_TwoHandles writes through two handles at once, as the server and the
// command line do. The one that writes now and then must get its turn.
func TestWriter_TwoHandles(t *testing.T) {
	dir := t.TempDir()
	server := createIn(t, dir)
	tool, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer tool.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := map[uuid.UUID]error{}
	note := func(id uuid.UUID, err error) {
		mu.Lock()
		defer mu.Unlock()
		got[id] = err
	}
	for range 16 {
		wg.Go(func() {
			for n := 0; n < 2000 && ctx.Err() == nil; n++ {
				note(insert(context.Background(), server, 100))
			}
		})
	}
	var longest time.Duration
	for range 40 {
		began := time.Now()
		id, err := insert(t.Context(), tool, 100)
		longest = max(longest, time.Since(began))
		note(id, err)
		var seen bool
		if err := server.row(t.Context(), "SELECT EXISTS (SELECT 1 FROM audit_event WHERE realm_id = $1 AND id = $2)", testRealm[:], id[:]).
			Scan(&seen); err != nil || !seen {
			t.Errorf("one handle does not see what the other has committed: %v", err)
		}
	}
	cancel()
	wg.Wait()
	t.Logf("%d transactions; the tool waited %v at the longest", len(got), longest)
	if failed := truthful(t, server, got); failed != 0 {
		t.Fatalf("%d transactions failed", failed)
	}
	var verdict string
	if err := server.row(t.Context(), "PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Fatalf("%q, %v", verdict, err)
	}
}
