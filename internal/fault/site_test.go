// Package fault_test kills the real program at any moment, has its clients race and give
// up, and sees that what was acknowledged is there, and that nothing was used twice. The
// short versions run in "make test", the long ones in "make fault".
package fault_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
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

var (
	long = os.Getenv("TEST_FAULT") != ""
	seed = flag.Uint64("seed", 0, "of what is chosen at random; 0: another one each time")

	// built makes the program under test, once.
	built = sync.OnceValues(func() (string, error) {
		path := filepath.Join(scratch, "ostiary")
		build := exec.Command("go", "build", "-o", path, "github.com/ostiary/ostiary/cmd/ostiary")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build the server: %w\n%s", err, out)
		}
		return path, nil
	})
	scratch string // of this run
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	var err error
	if scratch, err = os.MkdirTemp("", "ostiary-fault-"); err != nil {
		panic(err)
	}
	status := m.Run()
	_ = os.RemoveAll(scratch)
	os.Exit(status)
}

// dice are the random choices of one part of a test, the same for the same seed. When a
// process is killed, and what it has done by then, differs all the same.
func dice(part uint64) *rand.Rand { return rand.New(rand.NewPCG(*seed, part)) }

// count is how often something is done: n times in "make fault".
func count(short, n int) int {
	if long {
		return n
	}
	return short
}

// site is where the program keeps its things: a directory, and a store in it or elsewhere.
type site struct {
	t        testing.TB
	data     string
	config   string
	database string // the URL; empty: SQLite in the directory
	program  string

	mu    sync.Mutex
	nodes []*node
}

// newSite has nothing in it yet. Settings are lines of the configuration.
func newSite(t testing.TB, e engine, settings string) *site {
	t.Helper()
	t.Logf("-seed %d", *seed)
	program, err := built()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := &site{t: t, data: filepath.Join(dir, "data"), config: filepath.Join(dir, "ostiary.toml"), database: e.url, program: program}
	s.configure(settings)
	t.Cleanup(func() {
		for _, n := range s.nodes {
			n.kill()
		}
		if t.Failed() && len(s.nodes) > 0 {
			t.Logf("the end of the last server's log:\n%s", s.nodes[len(s.nodes)-1].log.tail())
		}
	})
	return s
}

func (s *site) configure(settings string) {
	text := fmt.Sprintf("data = %q\n", s.data)
	if s.database != "" {
		text += fmt.Sprintf("database = %q\n", s.database)
	}
	if err := os.WriteFile(s.config, []byte(text+settings), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// command runs the command line until it ends, or is killed with ctx: then answered is false.
func (s *site) command(ctx context.Context, stdin string, args ...string) (out string, answered bool, err error) {
	cmd := exec.CommandContext(ctx, s.program, append(args, "--config", s.config)...)
	var stdout, stderr bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = environment(), strings.NewReader(stdin), &stdout, &stderr
	err = cmd.Run()
	switch {
	case cmd.ProcessState != nil && cmd.ProcessState.Success(): // though it was to be killed a moment later
		err = nil
	case err != nil:
		err = fmt.Errorf("ostiary %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	killed := cmd.ProcessState == nil || !cmd.ProcessState.Exited()
	return stdout.String(), !killed, err
}

// must is command for what has to work.
func (s *site) must(stdin string, args ...string) string {
	s.t.Helper()
	out, _, err := s.command(context.Background(), stdin, args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
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

// node is a server of a site.
type node struct {
	url  string
	log  journal
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// launch starts a server, and does not wait for it.
func (s *site) launch(flags ...string) *node {
	s.t.Helper()
	n := &node{done: make(chan struct{})}
	n.cmd = exec.Command(s.program, append([]string{"serve", "--config", s.config, "--listen", "127.0.0.1:0"}, flags...)...)
	n.cmd.Env, n.cmd.Stdout, n.cmd.Stderr = environment(), &n.log, &n.log
	if err := n.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		_ = n.cmd.Wait() // how it ended, its state says
		close(n.done)
	}()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes = append(s.nodes, n)
	return n
}

// serve starts a server, and waits until it serves.
func (s *site) serve(flags ...string) *node {
	s.t.Helper()
	n := s.launch(flags...)
	if err := n.await(); err != nil {
		s.t.Fatal(err)
	}
	return n
}

var serving = regexp.MustCompile(`\bmsg=serving address=([0-9.]+:[0-9]+)`)

// await waits until a server serves.
func (n *node) await() error {
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if m := serving.FindStringSubmatch(n.log.String()); m != nil {
			n.url = "http://" + m[1]
			break
		}
		select {
		case <-n.done:
			return fmt.Errorf("the server does not start: %s", n.log.tail())
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the server does not start: %s", n.log.tail())
		}
	}
	return n.ready()
}

// ready waits until a server says that it can serve.
func (n *node) ready() error {
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		res, err := http.Get(n.url + "/ostiary/readyz")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(res.Status)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the server is not ready: %w: %s", err, n.log.tail())
		}
	}
}

// kill ends the process without a warning.
func (n *node) kill() {
	_ = n.cmd.Process.Kill() // that it has ended already is well
	<-n.done
}

// stop ends it as an operator does.
func (n *node) stop() error {
	_ = n.cmd.Process.Signal(syscall.SIGTERM)
	<-n.done
	if !n.cmd.ProcessState.Success() {
		return fmt.Errorf("the server ends with %v: %s", n.cmd.ProcessState, n.log.tail())
	}
	return nil
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

func (j *journal) tail() string {
	text := j.String()
	return text[max(0, len(text)-4000):]
}
