package pgtest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func ask(t *testing.T, conn *pgx.Conn, query string) (answer string) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), query).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return answer
}

func TestURL_FreshDatabase(t *testing.T) {
	one, other := connect(t, URL(t)), connect(t, URL(t))
	if _, err := one.Exec(t.Context(), "CREATE TABLE x (a TEXT COLLATE \"C\")"); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Exec(t.Context(), "SELECT * FROM x"); err == nil {
		t.Error("a table of another test is there")
	}
	if got := ask(t, one, "SHOW server_encoding"); got != "UTF8" {
		t.Errorf("the encoding is %s", got)
	}
	if got := ask(t, one, "SELECT rolsuper::text FROM pg_roles WHERE rolname = current_user"); got != "false" {
		t.Error("the tests are the superuser, whom PostgreSQL denies nothing")
	}
	if want := os.Getenv("TEST_POSTGRES"); want != "" && !strings.HasPrefix(ask(t, one, "SHOW server_version"), want) {
		t.Errorf("not version %s", want)
	}
}

func TestURL_GoneAfterTheTest(t *testing.T) {
	var url string
	t.Run("one", func(t *testing.T) {
		url = URL(t)
		connect(t, url)
	})
	conn, err := pgx.Connect(t.Context(), url)
	if url == "" {
		t.Skip("no server")
	}
	if err == nil {
		_ = conn.Close(t.Context())
		t.Error("the database is still there")
	}
}

func TestServer_StopAndRun(t *testing.T) {
	s := Start(t, Options{Durable: true, Settings: []string{"max_connections=7"}})
	url := s.URL(t)
	conn := connect(t, url)
	if got := ask(t, conn, "SHOW max_connections") + ask(t, conn, "SHOW fsync"); got != "7on" {
		t.Errorf("settings: %s", got)
	}
	if _, err := conn.Exec(t.Context(), "CREATE TABLE x (a TEXT); INSERT INTO x VALUES ('kept')"); err != nil {
		t.Fatal(err)
	}
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL} {
		s.Stop(t, signal)
		if conn, err := net.Dial("tcp", s.Address()); err == nil {
			_ = conn.Close()
			t.Errorf("%v: it still listens", signal)
		}
		s.Run(t)
		if got := ask(t, connect(t, url), "SELECT a FROM x"); got != "kept" {
			t.Errorf("%v: %q", signal, got)
		}
	}
	if !strings.Contains(s.Log(), "not properly shut down") {
		t.Errorf("it was not killed:\n%s", s.Log())
	}
}

func TestServer_Pause(t *testing.T) {
	s := Start(t, Options{})
	conn := connect(t, s.URL(t))
	s.Pause(t)
	answer := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), "SELECT 1")
		answer <- err
	}()
	select {
	case err := <-answer:
		t.Errorf("it answers: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	s.Resume(t)
	if err := <-answer; err != nil {
		t.Error(err)
	}
}

// TestServer_NoneLeftBehind kills a process that has servers, one of them frozen.
func TestServer_NoneLeftBehind(t *testing.T) {
	if os.Getenv("PGTEST_CHILD") == "1" {
		s := Start(t, Options{})
		Start(t, Options{}).Pause(t)
		fmt.Printf("base %s\n", s.programs.base)
		select {}
	}
	URL(t) // skips without a server
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-test.run=^TestServer_NoneLeftBehind$")
	cmd.Env = append(os.Environ(), "PGTEST_CHILD=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	for !strings.Contains(text.String(), "\n") {
		var b [256]byte
		n, err := out.Read(b[:])
		if text.Write(b[:n]); err != nil {
			t.Fatal(err, text.String())
		}
	}
	base, found := strings.CutPrefix(strings.TrimSpace(text.String()), "base ")
	pids, err := filepath.Glob(filepath.Join(base, "pids/*"))
	if !found || err != nil || len(pids) != 2 {
		t.Fatalf("%q: %v %v", text.String(), pids, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(base); os.IsNotExist(err) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%s is still there", base)
		}
	}
	for _, pid := range pids {
		line, err := os.ReadFile(filepath.Join("/proc", filepath.Base(pid), "cmdline"))
		if err == nil && bytes.Contains(line, []byte("postgres")) {
			t.Errorf("%s runs: %q", pid, line)
		}
	}
}
