package fault_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/pgtest"
)

// balancerConfig is that of docs/operations.md: nodes are asked whether they are ready, and a request is sent again if
// nothing of it was sent before.
const balancerConfig = `global
    maxconn 1000
defaults
    mode http
    timeout connect 2s
    timeout client 30s
    timeout server 30s
frontend clients
    bind %s
    http-request set-header X-Forwarded-For %%[src]
    http-request set-header X-Forwarded-Proto https
    default_backend ostiary
backend ostiary
    option httpchk GET /ostiary/readyz
    http-check expect status 200
    http-error status 503 hdr Retry-After 1
    retries 3
    retry-on conn-failure
    option redispatch 1
    default-server check inter 500ms fall 2 rise 1
`

// stopDelay is longer than the balancer takes to notice: two checks.
const stopDelay = "2s"

// peer finds a program that "make test" installs. Without TEST_PEERS=1 the test is skipped.
func peer(t testing.TB, name string) string {
	t.Helper()
	if os.Getenv("TEST_PEERS") != "1" && !long {
		t.Skipf("runs %s; set TEST_PEERS=1 to run this test", name)
	}
	return program(t, name)
}

// farm is two nodes behind HAProxy.
type farm struct {
	t     testing.TB
	site  *site
	at    []string
	nodes []*node
	url   string // of HAProxy
}

func openFarm(t testing.TB, s *site) *farm {
	t.Helper()
	haproxy, front := peer(t, "haproxy"), pgtest.FreeAddress(t)
	f := &farm{t: t, site: s, at: []string{pgtest.FreeAddress(t), pgtest.FreeAddress(t)}, url: "http://" + front}
	config := fmt.Sprintf(balancerConfig, front)
	for i, at := range f.at {
		config += fmt.Sprintf("    server node%d %s\n", i, at)
		f.nodes = append(f.nodes, f.start(i))
	}
	place := pgtest.NewPlace(t)
	place.Launch(t, "haproxy", haproxy, "-db", "-f", place.Write(t, "haproxy.cfg", config))
	f.ready()
	return f
}

// start starts a node where HAProxy looks for it.
func (f *farm) start(i int) *node {
	f.t.Helper()
	return f.site.serve("--listen", f.at[i], "--stop-delay", stopDelay, "--trusted-proxy", "127.0.0.1/32")
}

// ready waits until requests come through.
func (f *farm) ready() {
	f.t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		res, err := http.Get(f.url + "/ostiary/readyz")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(end) {
			f.t.Fatalf("nothing comes through HAProxy: %v %v", res, err)
		}
	}
}

// service makes an account whose logins cost the nodes little.
func (s *site) service(name string) (id, secret string) {
	s.t.Helper()
	var row struct{ ID, Secret string }
	out := s.must("", "account", "create", "--username", name, "--kind", "service")
	if err := json.Unmarshal([]byte(out), &row); err != nil || row.Secret == "" {
		s.t.Fatalf("%v: %s", err, out)
	}
	return row.ID, row.Secret
}
