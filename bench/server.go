package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// secret is the password of every account.
const secret = "quiet otters juggle lanterns"

// configuration is the server's, to be given a directory and two addresses. All clients
// come from one address, and guess all the time. The signing algorithms are compared in
// one dialect, at two prefixes.
const configuration = `data = %q
listen = %q
admin_listen = %q
guess_account = 0
guess_source = 0
guess_factor = 0
source_requests = 1024

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

// server is Ostiary, with a configuration.
type server struct {
	process
	config string
}

func newServer(ctx context.Context, binary, dir string) (*server, error) {
	if binary == "" {
		binary = filepath.Join(dir, "ostiary")
		if err := build(ctx, "..", "./cmd/ostiary", binary); err != nil {
			return nil, err
		}
	}
	return configure(binary, dir)
}

// configure makes a server with a directory of its own, and with more settings.
func configure(binary, dir string, settings ...string) (*server, error) {
	s := &server{config: filepath.Join(dir, "ostiary.toml")}
	s.binary, s.args, s.ready = binary, []string{"serve", "--config", s.config}, "/ostiary/readyz"
	var err error
	if s.address, err = freeAddress(); err != nil {
		return nil, err
	}
	admin, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s.counter = "http://" + admin + "/metrics"
	if s.log, err = os.Create(filepath.Join(dir, "server.log")); err != nil {
		return nil, err
	}
	text := settingsOf(settings) + fmt.Sprintf(configuration, filepath.Join(dir, "data"), s.address, admin)
	return s, os.WriteFile(s.config, []byte(text), 0o600)
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
	address = strings.TrimSpace(address)
	return target{address, p.Process.Pid, "http://" + address + mallocsPath}, stop, nil
}
