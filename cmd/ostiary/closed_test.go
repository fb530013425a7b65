package main

import (
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/pgtest"
)

// TestServe_DatabaseFilledUnderIt: while a server runs, nobody fills its database. One that
// stood still meanwhile, as if it had been killed, serves what is there then, by itself: until
// it does all are told to come again, and nothing is written of the realm that is gone.
func TestServe_DatabaseFilledUnderIt(t *testing.T) {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	t.Setenv("OSTIARY_MASTER_KEY", base64.StdEncoding.EncodeToString(key))
	from := filepath.Join(t.TempDir(), "from")
	if err := serve(t, from).stop(); err != nil {
		t.Fatal(err)
	}
	must(t, diskPass, "account", "create", "--data", from, "--username", "ada", "--password-stdin")
	file := filepath.Join(t.TempDir(), "backup")
	must(t, "", "backup", file, "--data", from)
	for _, c := range []struct {
		engine, how string
	}{{"sqlite", "restore"}, {"pgx", "restore"}, {"pgx", "copy"}} {
		t.Run(c.engine+" "+c.how, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "data")
			url, dsn := "sqlite:"+filepath.Join(data, "ostiary.db"), "file:"+filepath.Join(data, "ostiary.db")+"?_pragma=busy_timeout(10000)"
			if c.engine == "pgx" {
				url = pgtest.URL(t)
				dsn = url
			}
			p := serve(t, data, "--database", url)
			db, err := sql.Open(c.engine, dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			p.waitForLease(t, db)
			fill := []string{"restore", file, "--data", data, "--database", url}
			if c.how == "copy" {
				fill = []string{"database", "copy", "--from", "sqlite:" + filepath.Join(from, "ostiary.db"), "--to", url}
			}
			if _, errOut, status := command(t, "", fill...); status != 1 || !strings.Contains(errOut, "a server (ostiary serve) runs on the store") {
				t.Fatalf("beside a server: %d %s", status, errOut)
			}
			_ = p.cmd.Process.Signal(syscall.SIGSTOP)
			if _, err := db.Exec("DELETE FROM lease"); err != nil { // its time is over
				t.Fatal(err)
			}
			must(t, "", fill...)
			_ = p.cmd.Process.Signal(syscall.SIGCONT)
			for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
				status, answer := login(t, p.url, "ada", diskPass)
				if status == http.StatusOK {
					break
				}
				if status != http.StatusServiceUnavailable || time.Since(began) > time.Minute {
					t.Fatalf("%s after: %d %s\n%s", time.Since(began), status, answer, p.err.String())
				}
			}
			p.waitFor(t, "the database was read anew")
			if status := get(t, p.url+"/ostiary/readyz"); status != http.StatusOK {
				t.Errorf("readiness %d", status)
			}
			for _, table := range []string{"audit_event", "audit_head", "audit_checkpoint", "guess_budget", "signing_key", "session"} {
				var n int
				if err := db.QueryRow("SELECT COUNT(*) FROM " + table + " WHERE realm_id NOT IN (SELECT id FROM realm)").Scan(&n); err != nil || n != 0 {
					t.Errorf("%s: %d rows of no realm: %v", table, n, err)
				}
			}
			if err := p.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// waitForLease waits until a server has its turns.
func (p *process) waitForLease(t *testing.T, db *sql.DB) {
	t.Helper()
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(10 * time.Millisecond) {
		var n int
		if err := db.QueryRow("SELECT COUNT(*) FROM lease").Scan(&n); err == nil && n > 1 {
			return
		}
	}
	t.Fatalf("no turns in a minute: %s", p.err.String())
}
