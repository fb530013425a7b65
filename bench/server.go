package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// secret is the password of every account.
const secret = "quiet otters juggle lanterns"

// buildFlags and buildEnv are those of "make build".
var (
	buildFlags = []string{"build", "-trimpath", "-ldflags=-s -w"}
	buildEnv   = "CGO_ENABLED=0"
)

// configuration is the server's, to be given a directory and an address. The signing
// algorithms are compared in one dialect, at two prefixes.
const configuration = `data = %q
listen = %q
guess_account = 0
guess_source = 0
guess_factor = 0

[[mount]]
dialect = "senmo"
prefix = "/rs256"

[[mount]]
dialect = "senmo"
prefix = "/es256"
algorithm = "ES256"

[[mount]]
dialect = "mikrocloud"

[[mount]]
dialect = "nomic"
`

// server is the server under test: a binary, a data directory, and at times a process.
type server struct {
	binary, config, address string
	log                     *os.File
	process                 *exec.Cmd
}

func newServer(ctx context.Context, binary, dir string) (*server, error) {
	if binary == "" {
		binary = filepath.Join(dir, "ostiary")
		progress("building ./cmd/ostiary")
		build := exec.CommandContext(ctx, "go", append(buildFlags, "-o", binary, "./cmd/ostiary")...)
		build.Dir, build.Env, build.Stderr = "..", append(os.Environ(), buildEnv), os.Stderr
		if err := build.Run(); err != nil {
			return nil, fmt.Errorf("build the server: %w", err)
		}
	}
	return configure(binary, dir)
}

// configure makes a server with a directory of its own, and with more settings.
func configure(binary, dir string, settings ...string) (*server, error) {
	s := &server{binary: binary, config: filepath.Join(dir, "ostiary.toml")}
	var err error
	if s.address, err = freeAddress(); err != nil {
		return nil, err
	}
	if s.log, err = os.Create(filepath.Join(dir, "server.log")); err != nil {
		return nil, err
	}
	text := settingsOf(settings) + fmt.Sprintf(configuration, filepath.Join(dir, "data"), s.address)
	return s, os.WriteFile(s.config, []byte(text), 0o600)
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// start starts the process, and returns how long it took until it answered that it is ready.
func (s *server) start(ctx context.Context) (took time.Duration, err error) {
	s.process = exec.CommandContext(ctx, s.binary, "serve", "--config", s.config)
	s.process.Env = environment()
	s.process.Stdout, s.process.Stderr = s.log, s.log
	begin := time.Now()
	if err := s.process.Start(); err != nil {
		s.process = nil
		return 0, err
	}
	for time.Since(begin) < 20*time.Second && ctx.Err() == nil {
		c, err := dial(ctx, s.address)
		if err != nil {
			time.Sleep(200 * time.Microsecond) // nobody listens yet: connecting is refused at once
			continue
		}
		_, err = c.ok(get(s.address, "/ostiary/readyz", ""))
		took = time.Since(begin)
		return took, errors.Join(err, c.conn.Close())
	}
	return 0, s.failed("the server does not answer")
}

// stop ends the process as an operator does, and waits for it.
func (s *server) stop() error {
	if s.process == nil {
		return nil
	}
	p := s.process
	s.process = nil
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	kill := time.AfterFunc(10*time.Second, func() { _ = p.Process.Kill() })
	defer kill.Stop()
	return p.Wait()
}

// failed is an error with the end of the server's log.
func (s *server) failed(what string) error {
	text, _ := os.ReadFile(s.log.Name())
	return fmt.Errorf("%s; its log ends with:\n%s", what, text[max(0, len(text)-2000):])
}

// createAccount makes an account by the command line, beside the running server.
func (s *server) createAccount(ctx context.Context, username string) error {
	_, err := s.create(ctx, "--password-stdin", "--username", username, "--email", username+"@example.com", "--display-name", "One of the crowd")
	return err
}

// createService makes a service account that may introspect, and returns its secret.
func (s *server) createService(ctx context.Context, username string) (string, error) {
	out, err := s.create(ctx, "--kind", "service", "--username", username, "--role", "ostiary:introspect")
	if err != nil {
		return "", err
	}
	secret, err := field(out, "secret")
	return string(secret), err
}

func (s *server) create(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, s.binary, append([]string{"account", "create", "--config", s.config}, args...)...)
	cmd.Env, cmd.Stdin = environment(), strings.NewReader(secret+"\n")
	out, err := cmd.Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("account create: %w: %s", err, failed.Stderr)
	}
	return out, err
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

// resident is the process's memory in RAM, in MB.
func (s *server) resident() (float64, error) { return residentOf(s.process.Process.Pid) }

func residentOf(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, found := bytes.Cut(text, []byte("\nVmRSS:"))
	value, _, _ := bytes.Cut(rest, []byte(" kB"))
	kib, err := strconv.Atoi(string(bytes.TrimSpace(value)))
	if !found || err != nil {
		return 0, fmt.Errorf("no VmRSS of a process: %w", err)
	}
	return float64(kib) * 1024 / 1e6, nil
}

// target is the process under test.
func (s *server) target() target { return target{s.address, s.process.Process.Pid} }

// size is the binary's, in MB.
func (s *server) size() (float64, error) {
	info, err := os.Stat(s.binary)
	if err != nil {
		return 0, err
	}
	return float64(info.Size()) / 1e6, nil
}

// startFloor starts the bare net/http server, which is this program under another flag,
// to answer with a header.
func startFloor(ctx context.Context, header http.Header) (to target, stop func() error, err error) {
	self, err := os.Executable()
	if err != nil {
		return to, nil, err
	}
	p := exec.CommandContext(ctx, self, "-floor")
	p.Stderr = os.Stderr
	in, err := p.StdinPipe()
	if err != nil {
		return to, nil, err
	}
	out, err := p.StdoutPipe()
	if err != nil {
		return to, nil, err
	}
	if err := p.Start(); err != nil {
		return to, nil, err
	}
	stop = func() error { return errors.Join(in.Close(), p.Wait()) }
	err = header.Write(in)
	if err == nil {
		_, err = io.WriteString(in, "\r\n")
	}
	var address string
	if err == nil {
		address, err = bufio.NewReader(out).ReadString('\n')
	}
	if err != nil {
		return to, nil, errors.Join(err, stop())
	}
	return target{strings.TrimSpace(address), p.Process.Pid}, stop, nil
}
