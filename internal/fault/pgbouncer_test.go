package fault_test

import (
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/pgtest"
)

// TestPgBouncer_TransactionMode has two nodes share four connections to PostgreSQL, of which each transaction gets
// another one.
func TestPgBouncer_TransactionMode(t *testing.T) {
	pgbouncer, url, at := peer(t, "pgbouncer"), durable(t).url, pgtest.FreeAddress(t)
	_, rest, _ := strings.Cut(url, "@")
	server, _, _ := strings.Cut(rest, "/")
	host, port, _ := net.SplitHostPort(server)
	ownHost, ownPort, _ := net.SplitHostPort(at)
	place := pgtest.NewPlace(t)
	users := place.Write(t, "users", "\"ostiary\" \"\"\n")
	config := deployed(t, "pgbouncer/pgbouncer.ini", "ostiary = host=10.0.0.1 port=5432 dbname=ostiary", "* = host="+host+" port="+port,
		"listen_addr = 127.0.0.1", "listen_addr = "+ownHost+"\nunix_socket_dir =", "listen_port = 6432", "listen_port = "+ownPort,
		"scram-sha-256", "trust", "/etc/pgbouncer/userlist.txt", users)
	config = regexp.MustCompile(`default_pool_size = \d+`).ReplaceAllString(config, "default_pool_size = 4")
	p := place.Launch(t, "pgbouncer", pgbouncer, place.Write(t, "pgbouncer.ini", config))
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", at)
		if err == nil {
			_ = conn.Close()
			break
		}
		if text, ended := p.Log(); ended || time.Now().After(end) {
			t.Fatalf("%v\n%s", err, text)
		}
	}
	// Before PgBouncer 1.21, statements that are prepared in one connection are not there in the next.
	s := newSite(t, engine{name: "PgBouncer", url: strings.Replace(url, server, at, 1) + "&default_query_exec_mode=exec"}, settings)
	nodes := []*node{s.serve(), s.serve()}
	var all sync.WaitGroup
	for i := range 8 {
		l := &load{t: t, client: newClient(), name: fmt.Sprintf("service%d", i)}
		l.url = nodes[i%2].url
		_, l.secret = s.service(l.name)
		all.Go(func() {
			for range count(3, 30) {
				if _, ok := l.round(); !ok {
					return
				}
			}
		})
	}
	all.Wait()
	s.must("", "audit", "verify")
	if out, _, err := s.command(t.Context(), "", "doctor", "--listen", "127.0.0.1:0"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if text, _ := p.Log(); !strings.Contains(text, "pooler error") && !strings.Contains(text, "login attempt") {
		t.Errorf("nobody came to PgBouncer:\n%s", text)
	}
}
