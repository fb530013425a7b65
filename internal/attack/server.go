package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// server is the server under attack: a store, a configuration, and at times a process.
type server struct {
	w            *world
	data, config string
	address      string
	log          journal
	process      *exec.Cmd
	ended        chan struct{} // of the process that was started, closed when it has
}

// journal gathers what a process prints, while it runs.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
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

var serving = regexp.MustCompile(`"?msg"?[=:]"?serving"?[ ,]"?address"?[=:]"?([0-9.]+:[0-9]+)`)

// start starts the process, where it was before if it was, and waits until it serves.
func (s *server) start() {
	before := len(s.log.String())
	s.process = exec.CommandContext(s.w.ctx, s.w.binary, "serve", "--config", s.config, "--listen", s.address)
	s.process.Env, s.process.Stdout, s.process.Stderr = environment(), &s.log, &s.log
	s.w.must(s.process.Start())
	s.ended = make(chan struct{})
	go func() {
		_ = s.process.Wait() // whether it ended well, its state says
		close(s.ended)
	}()
	for range 3000 {
		if m := serving.FindStringSubmatch(s.log.String()[before:]); m != nil {
			s.address = m[1]
			return
		}
		select {
		case <-s.ended:
			s.w.must(fmt.Errorf("the server does not start: %s", strings.TrimSpace(s.log.String()[before:])))
		case <-time.After(5 * time.Millisecond):
		}
	}
	s.w.must(errors.New("the server does not start in 15 s"))
}

// kill ends the process without a warning.
func (s *server) kill() {
	if s.ended != nil {
		_ = s.process.Process.Kill() // that it has ended already is well
		<-s.ended
	}
}

// crash kills the process and starts it anew.
func (s *server) crash() {
	s.kill()
	s.start()
}

// stop ends the process as an operator does.
func (s *server) stop() error {
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return s.stopped()
}

// stopped waits for the end of a process that was told to stop.
func (s *server) stopped() error {
	select {
	case <-s.ended:
	case <-time.After(40 * time.Second):
		s.kill()
		return errors.New("not stopped in 40 s")
	}
	if !s.process.ProcessState.Success() {
		return fmt.Errorf("the server ends with %v", s.process.ProcessState)
	}
	return nil
}

// resident is the process's memory in RAM, in MB.
func (s *server) resident() float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.Process.Pid))
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
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = environment(), strings.NewReader(stdin), &out, &errOut
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

// environment is ours, without settings for Ostiary.
func environment() (list []string) {
	for _, setting := range os.Environ() {
		if !strings.HasPrefix(setting, "OSTIARY_") {
			list = append(list, setting)
		}
	}
	return list
}
