// Package processtest builds the program, and runs it and others as processes beside a test.
package processtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Build builds the program into a directory, as it is shipped, and returns its path.
func Build(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "ostiary")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags=nopgxregisterdefaulttypes", "-ldflags=-s -w", "-o", path, "github.com/ostiary/ostiary/cmd/ostiary")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the server: %w\n%s", err, out)
	}
	return path, nil
}

var (
	scratch string // of this run
	built   = sync.OnceValues(func() (string, error) { return Build(context.Background(), scratch) })
)

// Main runs the tests of a package that asks for Binary.
func Main(m *testing.M) int {
	var err error
	if scratch, err = os.MkdirTemp("", "ostiary-test-"); err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	return m.Run()
}

// Binary is the program, built once for all tests of a package.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Environment is ours, without settings for Ostiary.
func Environment() (list []string) {
	for _, setting := range os.Environ() {
		if !strings.HasPrefix(setting, "OSTIARY_") {
			list = append(list, setting)
		}
	}
	return list
}

// FreeAddress is one of this machine that nobody listens at. Its port is none that the system
// gives to who asks for any, or to those that connect, so that it stays free for a moment.
func FreeAddress(t testing.TB) string {
	t.Helper()
	const first, end, tries = 10_000, 32_000, 100
	var err error
	for range tries {
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(end-first))); err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal(err)
	return ""
}

// Log gathers what a process prints, while it runs.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Tail is the end of it.
func (l *Log) Tail() string {
	text := l.String()
	return text[max(0, len(text)-4000):]
}

// Process is a program that runs.
type Process struct {
	Cmd    *exec.Cmd
	Log    Log           // what it prints, but for what goes elsewhere by Cmd
	Done   chan struct{} // closed when it has ended
	Failed error         // then: how
}

// Start starts a program.
func Start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{Cmd: cmd, Done: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = &p.Log
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &p.Log
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.Failed = cmd.Wait()
		close(p.Done)
	}()
	return p, nil
}

// Try tries until there is no error, the process has ended, or two minutes are over.
func (p *Process) Try(try func() error) error {
	for deadline := time.Now().Add(2 * time.Minute); ; {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-p.Done:
			if err = try(); err == nil { // the last that it said
				return nil
			}
			return fmt.Errorf("%s has ended (%s): %s", p.Cmd.Path, p.Cmd.ProcessState, p.Log.Tail())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: %w: %s", p.Cmd.Path, err, p.Log.Tail())
		}
	}
}

// Await waits for a line behind a place in the log, and returns its groups.
func (p *Process) Await(line *regexp.Regexp, from int) (found []string, err error) {
	err = p.Try(func() error {
		if found = line.FindStringSubmatch(p.Log.String()[from:]); found == nil {
			return fmt.Errorf("it does not say %s", line)
		}
		return nil
	})
	return found, err
}

// Serving finds where a server answers, in a log of either format: the address, and whether it
// is by TLS.
var Serving = regexp.MustCompile(`\bmsg"?[=:]"?serving"?[ ,]"?address"?[=:]"?([^\s",]+)"?[ ,]"?tls"?[=:](true|false)`)

// Address waits until a server says behind a place in the log where it answers, and returns
// the address, and its URL.
func (p *Process) Address(from int) (address, url string, err error) {
	found, err := p.Await(Serving, from)
	if err != nil {
		return "", "", err
	}
	if found[2] == "true" {
		return found[1], "https://" + found[1], nil
	}
	return found[1], "http://" + found[1], nil
}

// Freeze stops the process where it is, until Thaw. The signal is on its way for a while: no thread runs when it returns.
func (p *Process) Freeze() error {
	if err := p.Cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	return p.Try(func() error {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", p.Cmd.Process.Pid))
		if err != nil {
			return err
		}
		for _, thread := range threads {
			text, err := os.ReadFile(thread)
			if err != nil {
				return err
			}
			if !strings.Contains(string(text), "\nState:\tT") {
				return errors.New("it still runs")
			}
		}
		return nil
	})
}

// Thaw has it go on.
func (p *Process) Thaw() error { return p.Cmd.Process.Signal(syscall.SIGCONT) }

// Kill ends it without a warning.
func (p *Process) Kill() {
	_ = p.Cmd.Process.Kill() // that it has ended already is well
	<-p.Done
}

// Stop ends it as an operator does.
func (p *Process) Stop() error {
	_ = p.Cmd.Process.Signal(syscall.SIGTERM)
	return p.Stopped()
}

// Stopped waits for the end of a process that was told to stop.
func (p *Process) Stopped() error {
	select {
	case <-p.Done:
	case <-time.After(time.Minute):
		p.Kill()
		return errors.New(p.Cmd.Path + " is not stopped in a minute: " + p.Log.Tail())
	}
	if p.Failed != nil {
		return fmt.Errorf("%s ends with %w: %s", p.Cmd.Path, p.Failed, p.Log.Tail())
	}
	return nil
}
