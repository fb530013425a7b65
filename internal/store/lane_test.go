package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/pgtest"
)

// values makes facts to be locked by the transactions of a test.
func values(t *testing.T, s *Store, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := s.SetValue(t.Context(), name, "0"); err != nil {
			t.Fatal(err)
		}
	}
}

// add adds a letter to a fact, which locks it.
func add(ctx context.Context, tx auth.Tx, name, letter string) error {
	return must(own(tx).exec(ctx, "UPDATE store_info SET value = value || $2 WHERE name = $1", name, letter))
}

func wantValue(t *testing.T, s *Store, name, want string) {
	t.Helper()
	got, err := s.Value(t.Context(), name)
	sorted := []rune(got)
	slices.Sort(sorted)
	if err != nil || string(sorted) != want {
		t.Errorf("%s is %q, %v; want %q", name, got, err, want)
	}
}

// Two transactions that take the same rows in opposite orders both commit, and soon.
func TestLane_Deadlock(t *testing.T) {
	s := createPostgres(t)
	values(t, s, "x", "y")
	var both sync.WaitGroup
	both.Add(2)
	var met [2]sync.Once
	crosswise := func(i int, letter string, names ...string) error {
		return s.InTx(t.Context(), func(tx auth.Tx) error {
			if err := add(t.Context(), tx, names[0], letter); err != nil {
				return err
			}
			met[i].Do(func() { both.Done(); both.Wait() }) // each has its first row
			return add(t.Context(), tx, names[1], letter)
		})
	}
	failed := make(chan error, 2)
	begun := time.Now()
	go func() { failed <- crosswise(0, "a", "x", "y") }()
	go func() { failed <- crosswise(1, "b", "y", "x") }()
	for range 2 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	if took := time.Since(begun); took > maxBusy {
		t.Errorf("took %v", took)
	}
	wantValue(t, s, "x", "0ab")
	wantValue(t, s, "y", "0ab")
}

// busy keeps all lanes in a transaction each, until release is called.
func busy(t *testing.T, s *Store) (release func()) {
	t.Helper()
	let := make(chan struct{})
	var in, out sync.WaitGroup
	for range cap(s.slots) { // more than there are lanes
		in.Add(1)
		out.Go(func() {
			var once sync.Once
			_ = s.InTx(context.Background(), func(auth.Tx) error {
				once.Do(in.Done)
				<-let
				return nil
			})
		})
		if len(s.committer.(*lanes).jobs) > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return func() { close(let); out.Wait() }
}

// Of transactions that share a commit, one that fails takes no other with it.
func TestLane_Batch(t *testing.T) {
	s := createPostgres(t)
	values(t, s, "x")
	release := busy(t, s)
	results := make(chan error, 30)
	for i := range cap(results) {
		go func() {
			results <- s.InTx(t.Context(), func(tx auth.Tx) error {
				if err := add(t.Context(), tx, "x", "a"); err != nil {
					return err
				}
				switch i % 3 {
				case 1:
					return auth.ErrConflict
				case 2:
					_, err := own(tx).exec(t.Context(), "INSERT INTO store_info (name, value) VALUES ($1, $2)", "x", "again")
					return err
				}
				return nil
			})
		}()
	}
	release()
	var good, bad int
	for range cap(results) {
		switch err := <-results; {
		case err == nil:
			good++
		case errors.Is(err, auth.ErrConflict):
			bad++
		default:
			t.Error(err)
		}
	}
	if good != 10 || bad != 20 {
		t.Errorf("%d committed, %d were refused", good, bad)
	}
	wantValue(t, s, "x", "0"+strings.Repeat("a", 10))
}

// A transaction that says that it closes, and then fails or tells the log more than it said,
// takes no other's places in the log with it: the chain goes on without a gap.
func TestLane_Closing(t *testing.T) {
	s := createPostgres(t)
	values(t, s, "x")
	tell := func(tx auth.Tx) error {
		return tx.InsertEvent(t.Context(), audit.Event{ID: newID(), RealmID: testRealm, At: benchNow, Kind: audit.SignedIn})
	}
	release := busy(t, s)
	results := make(chan error, 30)
	for i := range cap(results) {
		go func() {
			results <- s.InTx(t.Context(), func(tx auth.Tx) error {
				if i%5 == 1 {
					if err := tell(tx); err != nil { // one before
						return err
					}
				}
				tx.Closing(testRealm)
				if err := add(t.Context(), tx, "x", "a"); err != nil {
					return err
				}
				switch i % 5 {
				case 2:
					return auth.ErrConflict
				case 3:
					if err := tell(tx); err != nil { // one too many
						return err
					}
				}
				return tell(tx)
			})
		}()
	}
	release()
	good, refused, broken := 0, 0, 0
	for range cap(results) {
		switch err := <-results; {
		case err == nil:
			good++
		case errors.Is(err, auth.ErrConflict):
			refused++
		default:
			broken++
		}
	}
	if refused != 6 || good+broken != 24 || good < 18 {
		t.Errorf("%d committed, %d were refused, %d failed", good, refused, broken)
	}
	events, err := s.Events(t.Context(), testRealm, auth.AuditFilter{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	head, err := s.AuditHead(t.Context(), testRealm)
	if err != nil || head.Seq != int64(len(events)) || len(events) == 0 || events[len(events)-1].Hash != head.Hash {
		t.Fatalf("%d entries before the head %d, %v", len(events), head.Seq, err)
	}
	for i, e := range events {
		if e.Seq != int64(i+1) {
			t.Errorf("entry %d has the place %d", i+1, e.Seq)
		}
	}
	wantValue(t, s, "x", "0"+strings.Repeat("a", good))
}

// cut ends all connections of a store, as a server does that goes away.
func cut(t *testing.T, url string) {
	t.Helper()
	other, err := OpenPostgres(t.Context(), url, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	var n int
	if err := other.row(t.Context(), `SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()`).Scan(&n); err != nil {
		t.Fatalf("%d connections cut, %v", n, err)
	}
}

// Reads, and transactions that had not come to their commit, go on over new connections.
func TestLane_ConnectionsCut(t *testing.T) {
	url := pgtest.URL(t)
	s := createPostgresAt(t, url)
	values(t, s, "x", "y")
	for round := range 5 {
		cut(t, url)
		wantValue(t, s, "y", "0")
		cut(t, url)
		runs := 0
		err := s.InTx(t.Context(), func(tx auth.Tx) error {
			runs++
			if err := add(t.Context(), tx, "x", "a"); err != nil {
				return err
			}
			if runs == 1 {
				cut(t, url)
			}
			return nil
		})
		if err != nil || runs < 2 {
			t.Fatalf("round %d: %d runs, %v", round, runs, err)
		}
	}
	wantValue(t, s, "x", "0aaaaa")
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// A mark tells whether a commit has happened; one that has not can't happen any more.
func TestLane_Resolve(t *testing.T) {
	s := createPostgres(t)
	l := s.committer.(*lanes)
	b := &batch{lane: &lane{lanes: l, id: uuid.New()}, mark: uuid.New()}
	if err := b.resolve(); !errors.Is(err, errLost) {
		t.Fatalf("a commit that was never begun: %v", err)
	}
	done := make(chan error, 1)
	b.jobs = []*job{{ctx: t.Context(), fn: func(auth.Tx) error { return nil }}}
	if err := b.try(); err != nil {
		t.Fatal(err)
	}
	if err := b.resolve(); err != nil {
		t.Fatalf("a commit that happened: %v", err)
	}
	// One that is still in the air is waited for.
	tx, err := s.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	b.mark = uuid.New()
	if _, err := tx.Exec("UPDATE commit_mark SET mark = $2 WHERE writer = $1", b.id[:], b.mark[:]); err != nil {
		t.Fatal(err)
	}
	go func() { done <- b.resolve() }()
	waitFor(t, s, "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatalf("a commit that was late: %v", err)
	}
}

// waitFor waits until a count is not 0.
func waitFor(t *testing.T, s *Store, query string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		var n int
		if err := s.row(t.Context(), query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(query)
		}
	}
}

// The marks of processes that have ended are deleted a day later.
func TestLane_MarksSwept(t *testing.T) {
	s := createPostgres(t)
	values(t, s, "x") // which leaves a mark that stays
	if _, err := s.db.ExecContext(t.Context(), "INSERT INTO commit_mark (writer, mark, at) VALUES ('a', 'b', $1)", micros(time.Now().AddDate(0, 0, -2))); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Sweep(t.Context(), time.Now(), 10, 1, auth.DefaultBudgets()); err != nil || n != 1 {
		t.Fatalf("%d swept, %v", n, err)
	}
}

// A job that fails before it has sent anything takes nothing along of the one that it has joined,
// even if it came just when that one was done.
func TestLane_FailsUnsent(t *testing.T) {
	s := createPostgres(t)
	const good, each = 4, 1000
	var failing, storing sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	for range 4 {
		failing.Go(func() {
			for ctx.Err() == nil {
				_ = s.InTx(t.Context(), func(auth.Tx) error { return errors.New("none") })
			}
		})
	}
	for range good {
		storing.Go(func() {
			for range each {
				if err := s.InTx(t.Context(), func(tx auth.Tx) error {
					return own(tx).keep(t.Context(), "INSERT INTO store_info (name, value) VALUES ($1, '')", uuid.NewString())
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	storing.Wait()
	stop()
	failing.Wait()
	var stored int
	if err := s.row(t.Context(), "SELECT COUNT(*) FROM store_info WHERE value = ''").Scan(&stored); err != nil || stored != good*each {
		t.Errorf("%d of %d are stored: %v", stored, good*each, err)
	}
}

// TestThreat65_FrozenNode: rows that a node holds which has stopped in the middle of a transaction are free
// for the others soon, and nothing of that transaction is stored.
func TestThreat65_FrozenNode(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	frozen, other := createPostgresAt(t, url), createPostgresAt(t, url)
	values(t, other, "x")
	holds, thaw := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	var once sync.Once
	go func() {
		ended <- frozen.InTx(t.Context(), func(tx auth.Tx) error {
			err := add(t.Context(), tx, "x", "a")
			once.Do(func() { close(holds); <-thaw })
			if err == nil {
				err = add(t.Context(), tx, "x", "b")
			}
			return err
		})
	}()
	<-holds
	began := time.Now()
	write := func() error {
		return other.InTx(t.Context(), func(tx auth.Tx) error { return add(t.Context(), tx, "x", "c") })
	}
	err := write()
	for err != nil && time.Since(began) < time.Minute {
		err = write()
	}
	if err != nil {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
	wantValue(t, other, "x", "0c")
	close(thaw)
	if err := <-ended; auth.CodeOf(err) != auth.CodeUnavailable {
		t.Errorf("the transaction that was frozen: %v", err)
	}
	wantValue(t, other, "x", "0c")
}
