package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ostiary/ostiary/internal/processtest"
)

// server is the server under attack: a store, a configuration, and at times a process.
type server struct {
	w            *world
	data, config string
	address      string
	process      *processtest.Process
	before       string // what the processes before it have printed
}

// serve starts a server with a new store. The settings are lines of its configuration.
func (w *world) serve(settings ...string) *server {
	return w.serveIn(filepath.Join(w.newDir(), "data"), settings...)
}

func (w *world) serveIn(data string, settings ...string) *server {
	s := &server{w: w, data: data, config: filepath.Join(w.newDir(), "ostiary.toml"), address: "127.0.0.1:0"}
	s.configure(settings...)
	w.mu.Lock()
	w.servers = append(w.servers, s)
	w.mu.Unlock()
	s.start()
	return s
}

func (s *server) configure(settings ...string) {
	text := fmt.Sprintf("data = %q\n%s\n", s.data, strings.Join(settings, "\n"))
	s.w.must(os.WriteFile(s.config, []byte(text), 0o600))
}

// start starts the process, where it was before if it was, and waits until it serves.
func (s *server) start() {
	s.before = s.log()
	cmd := exec.CommandContext(s.w.ctx, s.w.binary, "serve", "--config", s.config, "--listen", s.address)
	cmd.Env = processtest.Environment()
	var err error
	s.process, err = processtest.Start(cmd)
	s.w.must(err)
	s.address, _, err = s.process.Address(0)
	s.w.must(err)
}

// log is all that was printed.
func (s *server) log() string {
	if s.process == nil {
		return s.before
	}
	return s.before + s.process.Log.String()
}

// kill ends the process without a warning.
func (s *server) kill() {
	if s.process != nil {
		s.process.Kill()
	}
}

// crash kills the process and starts it anew.
func (s *server) crash() {
	s.kill()
	s.start()
}

// resident is the process's memory in RAM, in MB.
func (s *server) resident() float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.Cmd.Process.Pid))
	s.w.must(err)
	_, rest, _ := bytes.Cut(text, []byte("\nVmRSS:"))
	value, _, _ := bytes.Cut(rest, []byte(" kB"))
	kib, err := strconv.Atoi(string(bytes.TrimSpace(value)))
	s.w.must(err)
	return float64(kib) * 1024 / 1e6
}

// command runs the command line beside the server.
func (s *server) command(stdin string, args ...string) (stdout, stderr string, status int) {
	cmd := exec.CommandContext(s.w.ctx, s.w.binary, append(args, "--config", s.config)...)
	var out, errOut bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = processtest.Environment(), strings.NewReader(stdin), &out, &errOut
	if err := cmd.Run(); cmd.ProcessState == nil {
		s.w.must(err)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

// must is command for what has to work.
func (s *server) must(stdin string, args ...string) string {
	out, errOut, status := s.command(stdin, args...)
	if status != 0 {
		s.w.must(fmt.Errorf("ostiary %s: %s", strings.Join(args, " "), strings.TrimSpace(errOut)))
	}
	return out
}

// account makes an account with the passphrase, and an e-mail address if it can have one.
func (s *server) account(name string, more ...string) {
	s.must(passphrase+"\n", append([]string{"account", "create", "--username", name, "--password-stdin"}, more...)...)
}

// service makes a service account, and returns its secret.
func (s *server) service(name string, more ...string) string {
	out := s.must("", append([]string{"account", "create", "--username", name, "--kind", "service"}, more...)...)
	return member(out, "secret")
}

// show is what the command line knows of an account.
func (s *server) show(name string) map[string]any {
	object := map[string]any{}
	s.w.must(json.Unmarshal([]byte(s.must("", "account", "show", name, "--json")), &object))
	return object
}
