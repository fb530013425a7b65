package fault_test

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/pgtest"
)

const pgbouncerConfig = `[databases]
* = host=%s port=%s
[pgbouncer]
listen_addr = %s
listen_port = %s
unix_socket_dir =
auth_type = trust
auth_file = %s
pool_mode = transaction
default_pool_size = 4
max_client_conn = 200
`

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
	p := place.Launch(t, "pgbouncer", pgbouncer, place.Write(t, "pgbouncer.ini", fmt.Sprintf(pgbouncerConfig, host, port, ownHost, ownPort, users)))
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
	if out, _, err := s.command(t.Context(), "", "doctor"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if text, _ := p.Log(); !strings.Contains(text, "pooler error") && !strings.Contains(text, "login attempt") {
		t.Errorf("nobody came to PgBouncer:\n%s", text)
	}
}
