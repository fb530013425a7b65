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
	"strings"
	"sync"
	"testing"

	"github.com/ostiary/ostiary/internal/processtest"
)

var (
	long = os.Getenv("TEST_FAULT") != ""
	seed = flag.Uint64("seed", 0, "of what is chosen at random; 0: another one each time")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	os.Exit(processtest.Main(m))
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
	program := processtest.Binary(t)
	dir := t.TempDir()
	s := &site{t: t, data: filepath.Join(dir, "data"), config: filepath.Join(dir, "ostiary.toml"), database: e.url, program: program}
	s.configure(settings)
	t.Cleanup(func() {
		for _, n := range s.nodes {
			n.Kill()
		}
		if t.Failed() && len(s.nodes) > 0 {
			t.Logf("the end of the last server's log:\n%s", s.nodes[len(s.nodes)-1].Log.Tail())
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
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = processtest.Environment(), strings.NewReader(stdin), &stdout, &stderr
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

// node is a server of a site.
type node struct {
	*processtest.Process
	url string
}

// launch starts a server, and does not wait for it.
func (s *site) launch(flags ...string) *node {
	s.t.Helper()
	cmd := exec.Command(s.program, append([]string{"serve", "--config", s.config, "--listen", "127.0.0.1:0"}, flags...)...)
	cmd.Env = processtest.Environment()
	p, err := processtest.Start(cmd)
	if err != nil {
		s.t.Fatal(err)
	}
	n := &node{Process: p}
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

// await waits until a server serves.
func (n *node) await() (err error) {
	if _, n.url, err = n.Address(0); err != nil {
		return err
	}
	return n.ready()
}

// ready waits until a server says that it can serve.
func (n *node) ready() error {
	return n.Try(func() error {
		res, err := http.Get(n.url + "/ostiary/readyz")
		if err != nil {
			return err
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return errors.New(res.Status)
		}
		return nil
	})
}
