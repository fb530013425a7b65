package fault_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/pgtest"
)

// cluster is two PostgreSQL, of which one follows the other, under Patroni and etcd.
type cluster struct {
	t       testing.TB
	etcd    *pgtest.Process
	launch  func() *pgtest.Process // of etcd
	members []*member
}

// member is a PostgreSQL and the Patroni that watches over it.
type member struct {
	name     string
	place    pgtest.Place
	config   string
	patroni  *pgtest.Process
	rest     string
	postgres string
}

// program finds one. It is called for tests that "make fault" runs, which installs them.
func program(t testing.TB, name string) string {
	t.Helper()
	for _, name := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("%s is not installed", name)
	return ""
}

// startCluster returns when one leads, and the other follows it in step.
func startCluster(t testing.TB) *cluster {
	c := &cluster{t: t}
	place, client, peer := pgtest.NewPlace(t), pgtest.FreeAddress(t), pgtest.FreeAddress(t)
	c.launch = func() *pgtest.Process {
		return place.Launch(t, "etcd", program(t, "etcd"), "--name", "one", "--data-dir", place.Dir+"/etcd", "--listen-client-urls", "http://"+client,
			"--advertise-client-urls", "http://"+client, "--listen-peer-urls", "http://"+peer, "--initial-advertise-peer-urls", "http://"+peer,
			"--initial-cluster", "one=http://"+peer, "--unsafe-no-fsync")
	}
	c.etcd = c.launch()
	c.await(time.Minute, "etcd answers", func() bool { return getStatus("http://"+client+"/health") == http.StatusOK })
	for _, name := range []string{"one", "two"} {
		m := &member{name: name, place: pgtest.NewPlace(t), rest: pgtest.FreeAddress(t), postgres: pgtest.FreeAddress(t)}
		m.config = m.place.Write(t, "patroni.yml", deployed(t, "patroni/patroni.yml", "name: one", "name: "+name, "10.0.0.1:8008", m.rest,
			"10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379", client, "10.0.0.1:5432", m.postgres, "/var/lib/postgresql/ostiary", m.place.Dir+"/data",
			"/usr/lib/postgresql/15/bin", m.place.Bin, "/var/lib/postgresql/pgpass", m.place.Dir+"/pgpass", "hostssl", "host",
			"10.0.0.0/24 scram-sha-256", "127.0.0.1/32 trust", "    - local all all peer\n", "", "/var/run/postgresql", "",
			", ssl: 'on', ssl_cert_file: '/etc/postgresql/tls.crt', ssl_key_file: '/etc/postgresql/tls.key'", ", shared_buffers: 64MB"))
		c.members = append(c.members, m)
		m.start(t)
		t.Cleanup(func() { m.kill() })
	}
	t.Cleanup(func() {
		if t.Failed() {
			processes, _ := exec.Command("ps", "axwwf", "-o", "pid,ppid,stat,wchan:20,etimes,args").Output()
			t.Logf("%s", processes)
			for _, m := range c.members {
				text, ended := m.patroni.Log()
				t.Logf("%s, ended=%t, the end of its log:\n%s", m.name, ended, text[max(0, len(text)-4000):])
			}
		}
	})
	c.inStep()
	return c
}

func (m *member) start(t testing.TB) {
	m.patroni = m.place.Launch(t, "patroni", program(t, "patroni"), m.config)
}

// kill ends a PostgreSQL and its Patroni at once, as a machine that loses its power.
func (m *member) kill() {
	pid := 0
	if text, err := os.ReadFile(m.place.Dir + "/data/postmaster.pid"); err == nil {
		_, _ = fmt.Sscan(string(text), &pid)
	}
	m.patroni.Stop(syscall.SIGKILL)
	if pid > 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	for range 500 { // until its port is free
		conn, err := net.Dial("tcp", m.postgres)
		if err != nil {
			return
		}
		_ = conn.Close()
		time.Sleep(10 * time.Millisecond)
	}
}

func getStatus(url string) int {
	client := http.Client{Timeout: 2 * time.Second}
	res, err := client.Get(url)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	return res.StatusCode
}

// await waits for something of the cluster.
func (c *cluster) await(patience time.Duration, what string, is func() bool) {
	c.t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// leader is the member that can write, or nil.
func (c *cluster) leader() *member {
	for _, m := range c.members {
		if getStatus("http://"+m.rest+"/primary") == http.StatusOK {
			return m
		}
	}
	return nil
}

// other is the one that m is not.
func (c *cluster) other(m *member) *member {
	if c.members[0] == m {
		return c.members[1]
	}
	return c.members[0]
}

// inStep waits until one leads, and the other has all that was acknowledged.
func (c *cluster) inStep() {
	c.t.Helper()
	c.await(3*time.Minute, "one leads, the other follows in step", func() bool {
		leader := c.leader()
		return leader != nil && getStatus("http://"+c.other(leader).rest+"/sync") == http.StatusOK
	})
}

// switchover has the other lead, as an operator does before he stops a machine.
func (c *cluster) switchover() {
	c.t.Helper()
	leader := c.leader()
	if leader == nil {
		c.t.Fatal("none leads")
	}
	out, err := leader.place.Run(program(c.t, "patronictl"), "-c", leader.config, "switchover", "ostiary", "--force",
		"--master", leader.name, "--candidate", c.other(leader).name)
	if err != nil {
		c.t.Fatalf("switchover: %v\n%s", err, out)
	}
}

// withoutEtcd has Patroni do without for longer than a leader may go on that nobody knows of (ttl).
func (c *cluster) withoutEtcd() {
	c.etcd.Stop(syscall.SIGKILL)
	time.Sleep(30 * time.Second)
	c.etcd = c.launch()
}

// makeDatabase makes an empty one, and returns its URL, with both hosts.
func (c *cluster) makeDatabase() string {
	c.t.Helper()
	if err := pgtest.Exec("postgres://postgres@"+c.leader().postgres+"/postgres?sslmode=disable", "CREATE ROLE ostiary LOGIN"); err != nil {
		c.t.Fatal(err)
	}
	if err := pgtest.Exec("postgres://postgres@"+c.leader().postgres+"/postgres?sslmode=disable", "CREATE DATABASE ostiary OWNER ostiary"); err != nil {
		c.t.Fatal(err)
	}
	// The other has it on its disk, and not at once to be seen: pgx asks no second host if the first says that there is none.
	other := c.other(c.leader())
	c.await(time.Minute, "the other has the database, too", func() bool {
		return pgtest.Exec("postgres://ostiary@"+other.postgres+"/ostiary?sslmode=disable", "SELECT 1") == nil
	})
	return "postgres://ostiary@" + c.members[0].postgres + "," + c.members[1].postgres + "/ostiary?sslmode=disable&target_session_attrs=read-write"
}

// history are the changes of the leader, as Patroni has them.
func (c *cluster) history() string {
	c.t.Helper()
	out, err := c.members[0].place.Run(program(c.t, "patronictl"), "-c", c.members[0].config, "history", "-f", "json")
	if err != nil {
		return err.Error()
	}
	var lines []map[string]any
	if err := json.Unmarshal([]byte(out), &lines); err != nil {
		return strings.TrimSpace(out)
	}
	return fmt.Sprint(lines)
}
