package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ostiary/ostiary/internal/processtest"
)

// world is the company: its old servers, its new one, and its clients.
type world struct {
	ctx       context.Context
	root, dir string
	binary    string
	shown     io.Writer // what commands print; nil: nobody looks
	people    []*person
	old       map[string]*processtest.Process
	urls      map[string]string // of the old servers
	server    *processtest.Process
	address   string // of Ostiary
	through   atomic.Bool
	place     atomic.Int32
	client    http.Client
	mu        sync.Mutex
	tallies   []tally
	failures  []error
}

// tally is what clients saw in a step.
type tally struct {
	requests, failed int
	slowest          time.Duration
}

const (
	known = 5 // the step from which services ask Ostiary about tokens
	moved = 6 // the step from which Ostiary answers all
)

// now is the step that is being taken: 0 before the first.
func (w *world) now() int { return int(w.place.Load()) }

func newWorld(ctx context.Context, root, binary string) (w *world, err error) {
	w = &world{ctx: ctx, binary: binary, people: everybody(), old: map[string]*processtest.Process{}, urls: map[string]string{}, client: http.Client{Timeout: 30 * time.Second}}
	if w.root, err = filepath.Abs(root); err != nil {
		return nil, err
	}
	if w.dir, err = os.MkdirTemp("", "ostiary-rehearsal-"); err != nil {
		return nil, err
	}
	for _, begin := range []func() error{w.build, w.startOld, w.startServer} {
		if err := begin(); err != nil {
			return nil, errors.Join(err, w.close())
		}
	}
	return w, nil
}

func (w *world) close() error {
	for _, p := range w.old {
		p.Kill()
	}
	if w.server != nil {
		w.server.Kill()
	}
	return os.RemoveAll(w.dir)
}

// build builds the server, and what an operator types besides: systemctl.
func (w *world) build() error {
	bin := filepath.Join(w.dir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		return err
	}
	named := filepath.Join(bin, "ostiary")
	if w.binary != "" {
		binary, err := filepath.Abs(w.binary)
		if err != nil {
			return err
		}
		if err := os.Symlink(binary, named); err != nil {
			return err
		}
	} else {
		if _, err := processtest.Build(w.ctx, bin); err != nil {
			return err
		}
	}
	reload := "#!/bin/sh\nkill -HUP \"$OSTIARY_PID\"\n"
	return os.WriteFile(filepath.Join(bin, "systemctl"), []byte(reload), 0o700)
}

var oldServes = regexp.MustCompile(`"url":"([^"]+)"`)

func (w *world) startOld() error {
	for _, d := range dialects {
		var own []*person
		for _, p := range w.people {
			if p.dialect == d {
				own = append(own, p)
			}
		}
		accounts, err := json.Marshal(own)
		if err != nil {
			return err
		}
		cmd := exec.Command("node", filepath.Join(w.root, "test", "legacy", d+".mjs"))
		cmd.Env = append(os.Environ(), "ACCOUNTS="+string(accounts))
		p, err := processtest.Start(cmd)
		if err != nil {
			return err
		}
		w.old[d] = p
		found, err := p.Await(oldServes, 0)
		if err != nil {
			return err
		}
		w.urls[d] = found[1]
	}
	return nil
}

func (w *world) startServer() error {
	if err := w.configure(""); err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(w.dir, "bin", "ostiary"), "serve", "--listen", "127.0.0.1:0")
	cmd.Env = w.environment()
	p, err := processtest.Start(cmd)
	if err != nil {
		return err
	}
	w.server = p
	_, w.address, err = p.Address(0)
	return err
}

// environment is the operator's.
func (w *world) environment() []string {
	env := append(os.Environ(), "PATH="+filepath.Join(w.dir, "bin")+":"+os.Getenv("PATH"), "OSTIARY_CONFIG="+filepath.Join(w.dir, "ostiary.toml"))
	if w.server != nil {
		env = append(env, fmt.Sprintf("OSTIARY_PID=%d", w.server.Cmd.Process.Pid))
	}
	return env
}

// configure writes the settings of a step, with the old servers where they are.
func (w *world) configure(settings string) error {
	for d, url := range w.urls {
		settings = strings.ReplaceAll(settings, "https://old-"+d+".example.com", url)
	}
	text := fmt.Sprintf("data = %q\nsource_requests = 1000\n%s", filepath.Join(w.dir, "data"), settings)
	return os.WriteFile(filepath.Join(w.dir, "ostiary.toml"), []byte(text), 0o600)
}

var reloaded = regexp.MustCompile(`msg="configuration (reloaded|not reloaded[^"]*)".*`)

// reload has the server read its settings, and waits until it has.
func (w *world) reload() error {
	from := len(w.server.Log.String())
	if err := w.server.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		return err
	}
	found, err := w.server.Await(reloaded, from)
	if err == nil && found[1] != "reloaded" {
		err = errors.New(found[0])
	}
	return err
}

// command runs what the operator types in a step.
func (w *world) command(text string) error {
	shell := exec.CommandContext(w.ctx, "bash", "-euo", "pipefail", "-c", text)
	shell.Dir, shell.Env = w.dir, w.environment()
	out, err := shell.CombinedOutput()
	if w.shown != nil {
		fmt.Fprintf(w.shown, "%s\n", bytes.TrimSpace(out))
	}
	if err != nil {
		return fmt.Errorf("%s%s%w", text, out, err)
	}
	return nil
}

// base is where the clients of a dialect find their server.
func (w *world) base(dialect string) string {
	if w.through.Load() {
		return w.address
	}
	return w.urls[dialect]
}

// issued is what an old server tells of itself.
type issued struct {
	Issued []struct {
		Kind     string `json:"kind"`
		Token    string `json:"token"`
		Username string `json:"username"`
		Email    string `json:"email"`
	} `json:"issued"`
	Keys struct {
		Secret string          `json:"secret"`
		PEM    string          `json:"pem"`
		JWK    json.RawMessage `json:"jwk"`
	} `json:"keys"`
}

// export writes the files of the page, as long as there are old servers: the accounts, the
// keys, and the tokens that were issued until now.
func (w *world) export() error {
	if len(w.old) == 0 {
		return nil
	}
	files, err := exports(w.people)
	if err != nil {
		return err
	}
	var tokens bytes.Buffer
	for _, d := range dialects {
		var told issued
		answer, err := w.client.Get(w.urls[d] + "/_control")
		if err != nil {
			return err
		}
		err = json.NewDecoder(answer.Body).Decode(&told)
		if err = errors.Join(err, answer.Body.Close()); err != nil {
			return err
		}
		switch d {
		case "cloudio":
			files["cloudio.secret"] = []byte(told.Keys.Secret)
		case "nomic":
			files["nomic.pem"] = []byte(told.Keys.PEM)
		case "senmo":
			files["senmo.jwks"] = fmt.Appendf(nil, `{"keys":[%s]}`, told.Keys.JWK)
		}
		for _, t := range told.Issued {
			if t.Kind == "jwt" { // its key speaks for it
				continue
			}
			name := t.Username
			if name == "" {
				name = t.Email
			}
			sum := sha256.Sum256([]byte(t.Token))
			fmt.Fprintf(&tokens, `{"dialect":%q,"kind":%q,"sha256":%q,"account":%q,"expires_at":%q}`+"\n",
				d, t.Kind, hex.EncodeToString(sum[:]), name, time.Now().Add(30*24*time.Hour).UTC().Format(time.RFC3339))
		}
	}
	files["tokens.jsonl"] = tokens.Bytes()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(w.dir, name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// send sends a client's request, and notes what becomes of it.
func (w *world) send(r *http.Request, what string) (body []byte, header http.Header, err error) {
	began, place := time.Now(), w.now()
	status := 0
	answer, err := w.client.Do(r)
	if err == nil {
		status, header = answer.StatusCode, answer.Header
		body, err = io.ReadAll(answer.Body)
		err = errors.Join(err, answer.Body.Close())
	}
	if r.Context().Err() != nil { // the walk is over
		return nil, nil, r.Context().Err()
	}
	w.mu.Lock()
	t := &w.tallies[place]
	t.requests++
	t.slowest = max(t.slowest, time.Since(began))
	w.mu.Unlock()
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%d %s", status, bytes.TrimSpace(body))
	}
	if err != nil {
		return nil, nil, w.failed(fmt.Errorf("%s: %w", what, err))
	}
	return body, header, nil
}

// failed notes that a client was not served as it was before.
func (w *world) failed(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tallies[w.now()].failed++
	w.failures = append(w.failures, fmt.Errorf("step %d: %w", w.now(), err))
	return errSeen
}
