package inflight

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
)

// program is a Redis that the test ends.
type program struct {
	cmd     *exec.Cmd
	address string
	args    []string
}

// free is a port whose cluster bus, 10000 above, is a port, too.
func free(t testing.TB) int {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		if port < 55000 {
			bus, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port+10000))
			if err == nil {
				bus.Close()
				return port
			}
		}
	}
	t.Fatal("no port is free")
	return 0
}

func startRedis(t testing.TB, more ...string) *program {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("TEST_PEERS") != "" {
			t.Fatal(err)
		}
		t.Skip("redis-server is not installed")
	}
	port := strconv.Itoa(free(t))
	p := &program{address: "127.0.0.1:" + port}
	p.args = append([]string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir()}, more...)
	p.run(t)
	t.Cleanup(p.kill)
	return p
}

// run starts it, and waits until it answers.
func (p *program) run(t testing.TB) {
	t.Helper()
	p.cmd = exec.Command("redis-server", p.args...)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if _, err := tell(p.address, "PING"); err == nil || strings.HasPrefix(err.Error(), "NOAUTH") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("redis-server does not answer")
}

func dial(address string) (rueidis.Client, error) {
	return rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{address}, ForceSingleClient: true, DisableCache: true, DisableRetry: true})
}

func open(t testing.TB, address string) rueidis.Client {
	t.Helper()
	c, err := dial(address)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// tell sends a command to one server, over a connection of its own.
func tell(address string, command ...string) (string, error) {
	c, err := dial(address)
	if c != nil {
		defer c.Close()
	}
	if err != nil {
		return "", err
	}
	reply := c.Do(context.Background(), c.B().Arbitrary(command...).Build())
	if n, err := reply.AsInt64(); err == nil {
		return strconv.FormatInt(n, 10), nil
	}
	return reply.ToString()
}

// do is a command that works.
func (p *program) do(t testing.TB, command ...string) string {
	t.Helper()
	reply, err := tell(p.address, command...)
	if err != nil {
		t.Fatalf("%v: %v", command, err)
	}
	return reply
}

// freeze stops the process until thaw is called.
func (p *program) freeze(t testing.TB) (thaw func()) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	return func() { _ = p.cmd.Process.Signal(syscall.SIGCONT) }
}

func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// startCluster starts three that share the keys.
func startCluster(t testing.TB) (all []*program) {
	t.Helper()
	args := []string{"--cluster", "create"}
	for range 3 {
		p := startRedis(t, "--cluster-enabled", "yes", "--cluster-config-file", filepath.Join(t.TempDir(), "nodes.conf"), "--cluster-node-timeout", "1000")
		all = append(all, p)
		args = append(args, p.address)
	}
	if out, err := exec.Command("redis-cli", append(args, "--cluster-replicas", "0", "--cluster-yes")...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return all
}

// client is one of a node of Ostiary's.
func client(t testing.TB, cluster bool, all ...*program) *Redis {
	t.Helper()
	o := Options{Cluster: cluster}
	for _, p := range all {
		o.Addresses = append(o.Addresses, p.address)
	}
	r := New(o)
	t.Cleanup(func() { _ = r.Close() })
	for range 600 { // a new cluster takes its time
		if r.Ping(t.Context()) == nil {
			return r
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal(r.Ping(t.Context()))
	return nil
}
