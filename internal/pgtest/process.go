package pgtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// Place is where programs that need a PostgreSQL of their own run, as the user who may run it. A database that they make
// in data, a directory in Dir, ends with the tests like all others.
type Place struct {
	Dir string // theirs
	Bin string // of PostgreSQL's programs
	all programs
}

// NewPlace is a new, empty one for each call.
func NewPlace(t testing.TB) Place {
	t.Helper()
	p, err := find()
	if err != nil {
		absent(t, err)
	}
	dir, err := p.newDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return Place{dir, p.bin, p}
}

// Write makes a file in the directory, for the programs to read.
func (p Place) Write(t testing.TB, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(p.Dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.all.own(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// Process is a program that runs.
type Process struct {
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
}

// Launch starts a program in the directory. What it prints is in a file there, to which each start adds.
func (p Place) Launch(t testing.TB, name, program string, args ...string) *Process {
	t.Helper()
	r := &Process{cmd: p.all.command(program, args...), log: filepath.Join(p.Dir, name+".log"), ended: make(chan struct{})}
	log, err := os.OpenFile(r.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	r.cmd.Dir, r.cmd.Stdout, r.cmd.Stderr = p.Dir, log, log
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := p.all.remember(r.cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = r.cmd.Wait()
		p.all.forget(r.cmd.Process.Pid)
		close(r.ended)
	}()
	t.Cleanup(func() { r.Stop(syscall.SIGKILL) })
	return r
}

// Run runs a program to its end, as Launch does, and returns what it prints.
func (p Place) Run(program string, args ...string) (out string, err error) {
	cmd := p.all.command(program, args...)
	cmd.Dir = p.Dir
	text, err := cmd.CombinedOutput()
	return string(text), err
}

// Stop ends the program, and waits for that.
func (r *Process) Stop(signal syscall.Signal) {
	_ = r.cmd.Process.Signal(signal) // that it has ended is well
	<-r.ended
}

// Log is what the program has printed, and whether it has ended.
func (r *Process) Log() (text string, ended bool) {
	b, err := os.ReadFile(r.log)
	if err != nil {
		b = []byte(err.Error())
	}
	select {
	case <-r.ended:
		ended = true
	default:
	}
	return string(b), ended
}
