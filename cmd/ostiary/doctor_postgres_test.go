package main

import (
	"bufio"
	"database/sql"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/pgtest"
	"github.com/ostiary/ostiary/internal/store"
)

// Each thing that can be wrong with a server is found, and what is right is not.
func TestDoctor_JudgesTheServer(t *testing.T) {
	sound := store.Server{Fsync: "on", FullPageWrites: "on", SynchronousCommit: "on", Used: 10, Connections: 97}
	for _, c := range []struct {
		name            string
		change          func(s *store.Server)
		state, text, do string
	}{
		{"no fsync", func(s *store.Server) { s.Fsync = "off" }, wrong, "fsync is off: what was acknowledged may be lost", "set fsync to on"},
		{"torn pages", func(s *store.Server) { s.FullPageWrites = "off" }, wrong, "full_page_writes is off", "set full_page_writes"},
		{"asynchronous", func(s *store.Server) { s.SynchronousCommit = "off" }, wrong, "synchronous_commit is off", "set synchronous_commit"},
		{"local", func(s *store.Server) { s.SynchronousCommit, s.Standbys = "local", "ANY 1 (*)" }, warn, "a fail-over may lose", "set synchronous_commit to on"},
		{"standbys", func(s *store.Server) { s.Standbys = "ANY 1 (*)" }, fine, "on those of its standbys", ""},
		{"forbidden", func(s *store.Server) { s.Forbidden = []string{"session"} }, wrong, "may not read and write session", "GRANT"},
		{"of another", func(s *store.Server) { s.Foreign = 3 }, warn, "3 tables belong to another user", "REASSIGN OWNED"},
		{"none left", func(s *store.Server) { s.Used = 97 }, wrong, "no connections are left of 97", "max_connections"},
		{"few left", func(s *store.Server) { s.Used = 85 }, warn, "12 connections are left of 97, and one more node may take 16", "max_connections"},
		{"enough", func(s *store.Server) { s.Used = 81 }, fine, "16 connections are left", ""},
		{"ahead", func(s *store.Server) { s.Ahead = 4 * time.Second }, warn, "are 4s apart", "time service"},
		{"behind", func(s *store.Server) { s.Ahead = -time.Minute }, warn, "are 1m0s apart", "time service"},
		{"near", func(s *store.Server) { s.Ahead = -2 * time.Second }, fine, "less than 3s apart", ""},
	} {
		d := &doctor{app: &app{Context: t.Context(), set: &config.Shared{DatabaseConnections: 16}, out: bufio.NewWriter(io.Discard)}}
		s := sound
		c.change(&s)
		d.judgeServer(s)
		subject := "database"
		if s.Ahead != 0 {
			subject = "clock"
		}
		if !has(d.findings, c.state, subject, c.text, c.do) {
			t.Errorf("%s: %+v", c.name, d.findings)
		}
		for _, f := range d.findings {
			if c.state == fine && f.State != fine {
				t.Errorf("%s: %+v", c.name, f)
			}
		}
	}
}

// Who may not write is told so, and not to start the server or to bring the database back.
func TestDoctor_MayNotWrite(t *testing.T) {
	url, data := pgtest.URL(t), filepath.Join(t.TempDir(), "data")
	if err := serve(t, data, "--database", url).Stop(); err != nil {
		t.Fatal(err)
	}
	admin := strings.Replace(url, "ostiary@", "postgres@", 1)
	for _, c := range []struct{ change, back, want string }{
		{"ALTER TABLE session OWNER TO postgres", "ALTER TABLE session OWNER TO ostiary", `(?m)^wrong +store +table session: .*42501.*: let the user of the URL own the tables`},
		{"ALTER TABLE session RENAME TO away", "ALTER TABLE away RENAME TO session", `(?m)^wrong +store +table session: .*42P01.*: bring the database back`},
		{"ALTER ROLE ostiary SET default_transaction_read_only = on", "ALTER ROLE ostiary RESET default_transaction_read_only", `(?m)^wrong +store .*default_transaction_read_only is on.*: name the primary.*RESET`},
	} {
		if err := pgtest.Exec(admin, c.change); err != nil {
			t.Fatal(err)
		}
		out, _, status := command(t, "", "doctor", "--data", data, "--database", url)
		if err := pgtest.Exec(admin, c.back); err != nil {
			t.Fatal(err)
		}
		if status != 1 || !regexp.MustCompile(c.want).MatchString(out) || strings.Contains(out, "bring the database back") != strings.Contains(c.want, "bring the database back") ||
			strings.Contains(out, "the network") {
			t.Errorf("%s: %d\n%s", c.change, status, out)
		}
	}
}

// Who has begun a transaction and gone to lunch is named, with what ends it.
func TestDoctor_IdleInTransaction(t *testing.T) {
	url, data := pgtest.URL(t), filepath.Join(t.TempDir(), "data")
	if err := serve(t, data, "--database", url).Stop(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	begin := func(lock string) (pid int) {
		t.Helper()
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = tx.Rollback() })
		if err := tx.QueryRow("SELECT pg_backend_pid() " + lock).Scan(&pid); err != nil {
			t.Fatal(err)
		}
		return pid
	}
	begin("") // it holds nothing
	pid := begin("FROM realm FOR UPDATE")
	want := regexp.MustCompile(fmt.Sprintf(`(?m)^warn +database +session %d \(user ostiary, .*\) has been idle in a transaction for \d+s, .*pg_terminate_backend\(%[1]d\)$`, pid))
	for begun := time.Now(); ; time.Sleep(time.Second) {
		out, _, _ := command(t, "", "doctor", "--data", data, "--database", url)
		found := strings.Contains(out, "idle in a transaction")
		switch took := time.Since(begun); {
		case found && (took < 8*time.Second || !want.MatchString(out) || strings.Count(out, "idle in a transaction") > 1), took > time.Minute:
			t.Fatalf("after %s: %s", took, out)
		}
		if found {
			return
		}
	}
}
