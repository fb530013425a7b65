package store

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/pgtest"
)

// TestPing_CannotWrite: what can be read but not written does not count as ready.
func TestPing_CannotWrite(t *testing.T) {
	s := create(t)
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := s.InTx(t.Context(), func(auth.Tx) error { return &auth.Error{Code: auth.CodeUnavailable} }) // as a full disk makes it
	if auth.CodeOf(err) != auth.CodeUnavailable || s.writer.healthy.Load() {
		t.Fatalf("%v, healthy %v", err, s.writer.healthy.Load())
	}
	if err := s.Ping(t.Context()); err != nil || !s.writer.healthy.Load() {
		t.Fatalf("%v, healthy %v", err, s.writer.healthy.Load())
	}
}

// TestStore_FileGone: what is still open of a file that is gone is not the database. Nothing
// is read from it, and nothing that is written to it is called stored.
func TestStore_FileGone(t *testing.T) {
	dir := t.TempDir()
	s, err := Create(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	path := filepath.Join(dir, DatabaseFile)
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	all := func(what string, want auth.Code) {
		t.Helper()
		_, list := s.Realms(t.Context())
		_, row := s.HasAccounts(t.Context())
		for name, err := range map[string]error{
			"ping": s.Ping(t.Context()), "a list": list, "a row": row, "check": s.Check(t.Context()),
			"a write":            s.SetValue(t.Context(), "a", what),
			"what it would deny": s.InTx(t.Context(), func(auth.Tx) error { return auth.ErrNotFound }),
		} {
			if want == "" && name == "what it would deny" && errors.Is(err, auth.ErrNotFound) {
				continue
			}
			if auth.CodeOf(err) != want {
				t.Errorf("%s: %s: %v", what, name, err)
			}
		}
	}
	all("before", "")
	move(path, path+".away")
	all("without its file", auth.CodeUnavailable)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	all("with another file", auth.CodeUnavailable)
	move(path+".away", path)
	all("with its file again", "")
	err = s.InTx(t.Context(), func(tx auth.Tx) error { // it goes while the transaction runs
		move(path, path+".away")
		return nil
	})
	if auth.CodeOf(err) != auth.CodeUnavailable {
		t.Errorf("committed to a file that is gone: %v", err)
	}
	move(path+".away", path)
	all("at the end", "")
}

// TestWriter_Blocked: while another process keeps the database, all that wait are told so
// in the same time, and not one after the other.
func TestWriter_Blocked(t *testing.T) {
	dir := t.TempDir()
	s, err := Create(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	other, err := sql.Open("sqlite", dsn(filepath.Join(dir, DatabaseFile)))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	conn, err := other.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			if _, err := insert(t.Context(), s, 10); auth.CodeOf(err) != auth.CodeUnavailable || !strings.Contains(auth.AsError(err).Cause.Error(), "another process keeps the database") {
				t.Errorf("got %v", err)
			}
		})
	}
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if got := auth.CodeOf(s.Ping(short)); got != auth.CodeUnavailable || time.Since(start) > maxBusy/2 {
		t.Errorf("a ping said %q after %v", got, time.Since(start))
	}
	wait.Wait()
	if took := time.Since(start); took < maxBusy || took > 3*maxBusy/2 {
		t.Errorf("all were answered after %v", took)
	}
	if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if _, err := insert(t.Context(), s, 10); err != nil {
		t.Error(err)
	}
}

// TestPing_TableLost: a server that can't use one of the tables is not ready, and what needs that
// table is to be tried again later.
func TestPing_TableLost(t *testing.T) {
	for lose, back := range map[string]string{
		"ALTER TABLE session RENAME TO away":                "ALTER TABLE away RENAME TO session",
		"ALTER TABLE session OWNER TO postgres":             "ALTER TABLE session OWNER TO ostiary",
		"REVOKE UPDATE ON session FROM ostiary":             "GRANT UPDATE ON session TO ostiary",
		"CREATE SCHEMA s; ALTER TABLE session SET SCHEMA s": "ALTER TABLE s.session SET SCHEMA public",
	} {
		url := pgtest.URL(t)
		s, admin := createPostgresAt(t, url), strings.Replace(url, "ostiary@", "postgres@", 1)
		if err := errors.Join(s.Ping(t.Context()), pgtest.Exec(admin, lose)); err != nil {
			t.Fatal(err)
		}
		e, ok := errors.AsType[*auth.Error](s.Ping(t.Context()))
		if !ok || e.Code != auth.CodeUnavailable || e.RetryAfter == 0 || !strings.Contains(e.Cause.Error(), "these tables, or they are not there: session: ") {
			t.Errorf("%s: it is ready: %v", lose, e)
		}
		err := s.InTx(t.Context(), func(tx auth.Tx) error {
			_, err := own(tx).exec(t.Context(), "UPDATE session SET last_used_at = 0")
			return err
		})
		if e, ok = errors.AsType[*auth.Error](err); !ok || e.Code != auth.CodeUnavailable || e.RetryAfter == 0 || FaultOf(err) == FaultOther {
			t.Errorf("%s: a write is told %v", lose, err)
		}
		if err := errors.Join(pgtest.Exec(admin, back), s.Ping(t.Context())); err != nil {
			t.Errorf("%s: %v", back, err)
		}
	}
}
