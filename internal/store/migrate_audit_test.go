package store

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/pressly/goose/v3"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

// older makes a database with the schema of before the chain, and entries of two realms.
func older(t *testing.T, path string, entries int) (realms []uuid.UUID) {
	t.Helper()
	ctx := t.Context()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	files, err := fs.Sub(migrations, "migrations/sqlite")
	if err != nil {
		t.Fatal(err)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err == nil {
		_, err = provider.UpTo(ctx, 33)
	}
	if err != nil {
		t.Fatal(err)
	}
	realms = []uuid.UUID{newID(), newID(), newID()} // the last one has no entries
	err = inTx(ctx, db, func(tx *sql.Tx) error {
		for i := range entries {
			realm, id, account := realms[i%2], newID(), any(nil)
			if i%3 == 0 {
				account = realm[:]
			}
			_, err := tx.ExecContext(ctx, `INSERT INTO audit_event (realm_id, id, at, kind, account_id, session_id, dialect, address, request_id, actor, detail)
				VALUES ($1, $2, $3, 'signed_in', $4, NULL, 'one', '192.0.2.1', 'r', '', $5)`, realm[:], id[:], micros(benchNow)+int64(i), account, fmt.Sprint("old ", i))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return realms
}

func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// follows reads a realm's log and sees that it is a chain up to its head.
func follows(t *testing.T, s *Store, realm uuid.UUID) (events []audit.Event) {
	t.Helper()
	events, err := s.Events(t.Context(), realm, auth.AuditFilter{Limit: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	var head audit.Head
	for i := range events {
		again := events[i]
		if head = again.Follow(head); again.Hash != events[i].Hash || again.Seq != events[i].Seq {
			t.Fatalf("entry %d does not follow", events[i].Seq)
		}
	}
	if got, err := s.AuditHead(t.Context(), realm); err != nil || got.Head != head {
		t.Fatalf("head %s, %v; want %s", got.Head, err, head)
	}
	return events
}

// TestMigrateAudit: entries of before the chain are in it, each realm's in the order of
// their ids, also if the first start was cut short. Later ones follow.
func TestMigrateAudit(t *testing.T) {
	const entries = 2*chainBatch + chainBatch/2
	for _, interrupted := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), DatabaseFile)
		realms := older(t, path, entries)
		if interrupted {
			interrupt(t, path)
		}
		s, err := CreateFile(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		if i := s.Info(); i.Before != 33 && !interrupted || i.Schema != i.Current {
			t.Errorf("%+v", i)
		}
		if fact, err := s.Value(t.Context(), UnsealedLogs); err != nil || fact == "" {
			t.Errorf("the fact that nobody has sealed them: %q, %v", fact, err)
		}
		if err := s.DropValue(t.Context(), UnsealedLogs); err != nil {
			t.Error(err)
		}
		if fact, err := s.Value(t.Context(), UnsealedLogs); err != nil || fact != "" {
			t.Errorf("the fact, dropped: %q, %v", fact, err)
		}
		for n, realm := range realms[:2] {
			events := follows(t, s, realm)
			if len(events) != entries/2 {
				t.Fatalf("%d entries, want %d", len(events), entries/2)
			}
			for i, e := range events {
				if e.Detail != fmt.Sprint("old ", 2*i+n) || e.RealmID != realm || e.Dialect != "one" || (e.Account == uuid.Nil) != ((2*i+n)%3 != 0) {
					t.Fatalf("entry %d is %+v", i+1, e)
				}
			}
			if head, err := s.AuditHead(t.Context(), realm); err != nil || len(head.Seal) != 0 {
				t.Errorf("a seal %x from nobody, %v", head.Seal, err)
			}
			err := s.InTx(t.Context(), func(tx auth.Tx) error {
				return tx.InsertEvent(context.Background(), audit.Event{ID: newID(), RealmID: realm, At: benchNow, Kind: audit.SignedIn})
			})
			if err != nil || len(follows(t, s, realm)) != entries/2+1 {
				t.Errorf("an entry that follows: %v", err)
			}
		}
		if events, err := s.Events(t.Context(), realms[2], auth.AuditFilter{Limit: 1}); err != nil || len(events) != 0 {
			t.Errorf("%v, %v", events, err)
		}
	}
}

// TestMigrateAudit_New: in a new database there is nothing to take over.
func TestMigrateAudit_New(t *testing.T) {
	if fact, err := create(t).Value(t.Context(), UnsealedLogs); err != nil || fact != "" {
		t.Errorf("%q, %v", fact, err)
	}
}

// interrupt leaves a database as a start does that is killed after its first batch.
func interrupt(t *testing.T, path string) {
	t.Helper()
	ctx := t.Context()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	files, err := fs.Sub(migrations, "migrations/sqlite")
	if err != nil {
		t.Fatal(err)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithGoMigrations(goMigrations()...))
	if err == nil {
		_, err = provider.UpTo(ctx, goMigrations()[0].Version-1)
	}
	if err == nil {
		err = startChain(ctx, db)
	}
	if err == nil {
		err = inTx(ctx, db, func(tx *sql.Tx) error {
			_, err := chainSome(ctx, tx)
			return err
		})
	}
	var moved int
	if err == nil {
		err = db.QueryRowContext(ctx, "SELECT COUNT(*) FROM audit_chain").Scan(&moved)
	}
	if err != nil || moved != chainBatch {
		t.Fatalf("%d moved, %v", moved, err)
	}
}
