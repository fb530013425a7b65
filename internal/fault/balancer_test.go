package fault_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/pgtest"
)

// deployed is a file of deploy, with what belongs to its machines replaced; pairs are what is there and what it becomes.
func deployed(t testing.TB, name string, pairs ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(string(text), pairs[i]) {
			t.Errorf("deploy/%s has no %q", name, pairs[i])
		}
	}
	return strings.NewReplacer(pairs...).Replace(string(text))
}

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
	config := deployed(t, "compose/haproxy.cfg", "bind :8443 ssl crt /run/secrets/tls.pem alpn h2,http/1.1", "bind "+front,
		"one:8080", f.at[0], "two:8080", f.at[1], "inter 2s fall 3", "inter 500ms fall 2",
		" resolvers docker init-addr last,libc,none", "", "resolvers docker\n    parse-resolv-conf\n    hold valid 2s\n", "")
	for i := range f.at {
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
