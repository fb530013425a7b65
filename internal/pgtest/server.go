package pgtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// patience is for what takes a moment on an idle machine.
const patience = time.Minute

// Server is a PostgreSQL of the tests.
type Server struct {
	programs  programs
	dir       string // the data, and beside it the log
	port      int
	settings  []string
	cmd       *exec.Cmd
	ended     chan struct{}
	databases atomic.Int64
}

// Open makes a server and starts it, for programs; tests have Start. It ends with the process, if it was not closed.
func Open(o Options) (*Server, error) {
	p, err := find()
	if err != nil {
		return nil, err
	}
	dir, err := p.newDir()
	if err != nil {
		return nil, err
	}
	s := &Server{programs: p, dir: dir, settings: []string{
		"listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200", "shared_buffers=64MB",
		"wal_level=minimal", "max_wal_senders=0",
	}}
	if !o.Durable {
		s.settings = append(s.settings, "fsync=off", "synchronous_commit=off", "full_page_writes=off")
	}
	s.settings = append(s.settings, o.Settings...)
	out, err := p.command("initdb", "-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync").CombinedOutput()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("initdb: %w: %s", err, out), os.RemoveAll(dir))
	}
	for range 20 { // another may take the port in between
		if s.port, err = freePort(); err != nil {
			break
		}
		if err = s.start(); err == nil {
			if err = s.exec("postgres", "CREATE ROLE ostiary LOGIN"); err == nil {
				return s, nil
			}
			break
		}
		if !strings.Contains(s.Log(), "could not bind") {
			break
		}
	}
	return nil, errors.Join(err, s.Close())
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// Address is where the server listens.
func (s *Server) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Log is what the server has said since it was made.
func (s *Server) Log() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return "" // it has not said anything yet
	}
	return string(text)
}

// Database makes an empty database that the user ostiary owns, and says how to be rid of it.
func (s *Server) Database() (url string, drop func() error, err error) {
	name := "test_" + strconv.FormatInt(s.databases.Add(1), 10)
	if err := s.exec("postgres", "CREATE DATABASE "+name+" OWNER ostiary"); err != nil {
		return "", nil, err
	}
	drop = func() error {
		if !s.running() {
			return nil
		}
		return s.exec("postgres", "DROP DATABASE "+name+" WITH (FORCE)")
	}
	return "postgres://ostiary@" + s.Address() + "/" + name + "?sslmode=disable", drop, nil
}

func (s *Server) exec(database, sql string) error {
	return Exec("postgres://postgres@"+s.Address()+"/"+database+"?sslmode=disable", sql)
}

// Exec runs statements in the database of a URL.
func Exec(url, sql string) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	_, err = conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	return err
}

// FreeAddress is one of the loopback network where nothing listens.
func FreeAddress(t testing.TB) string {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// start runs the server, and returns when it answers. What is left of one that was killed takes a moment to end.
func (s *Server) start() (err error) {
	if s.running() {
		return errors.New("the server runs")
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		said := len(s.Log())
		if err = s.startOnce(); err == nil || !strings.Contains(s.Log()[said:], "is still in use") {
			return err
		}
	}
	return err
}

func (s *Server) startOnce() error {
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	args := []string{"-D", s.data(), "-p", strconv.Itoa(s.port)}
	for _, line := range s.settings {
		args = append(args, "-c", line)
	}
	s.cmd, s.ended = s.programs.command("postgres", args...), make(chan struct{})
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	if err := s.programs.remember(s.cmd.Process.Pid); err != nil {
		return errors.Join(err, s.cmd.Process.Kill())
	}
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait()
		s.programs.forget(cmd.Process.Pid)
		close(ended)
	}(s.cmd, s.ended)
	return s.await()
}

// await waits until the server answers.
func (s *Server) await() (err error) {
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if err = s.exec("postgres", "SELECT 1"); err == nil {
			return nil
		}
		select {
		case <-s.ended:
			return fmt.Errorf("the server has ended: %v\n%s", s.cmd.ProcessState, s.Log())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return err
}

func (s *Server) running() bool {
	if s.cmd == nil || s.cmd.Process == nil {
		return false
	}
	select {
	case <-s.ended:
		return false
	default:
		return true
	}
}

func (s *Server) stop(signal syscall.Signal) error {
	if !s.running() {
		return errors.New("the server does not run")
	}
	if err := s.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.ended:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("the server does not end on %v\n%s", signal, s.Log())
	}
}

// signalAll sends a signal to the server and to its children.
func (s *Server) signalAll(signal syscall.Signal) error {
	pid := s.cmd.Process.Pid
	if err := syscall.Kill(pid, signal); err != nil { // first, so that it makes no more
		return err
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return err
	}
	for _, child := range strings.Fields(string(children)) {
		n, err := strconv.Atoi(child)
		if err != nil {
			return err
		}
		if err := syscall.Kill(n, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

// Close stops the server, if it runs, and removes its data.
func (s *Server) Close() error {
	var err error
	if s.running() {
		_ = s.signalAll(syscall.SIGCONT)
		err = s.stop(syscall.SIGQUIT)
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// freePort is one below those that the system gives to clients: while the server is away, a client that asks for a port
// of these could be given the same one for its own end, and be connected to itself.
func freePort() (int, error) {
	var err error
	for range 100 {
		port := 20000 + rand.IntN(12000) //nolint:gosec // any will do
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, err
}
