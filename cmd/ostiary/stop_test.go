package main

import (
	"io"
	"net/http"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A load balancer is told before the door closes: until then everybody is answered, and no connection is kept.
func TestThreat68_ReadinessGoesFirst(t *testing.T) {
	const delay = 4 * time.Second
	data := filepath.Join(t.TempDir(), "data")
	p := serve(t, data, "--stop-delay", delay.String())
	must(t, "a password of ada", "account", "create", "--data", data, "--username", "ada", "--password-stdin")
	get := func(path string) *http.Response {
		t.Helper()
		res, err := http.Get(p.url + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if _, err := io.ReadAll(res.Body); err != nil {
			t.Fatal(err)
		}
		return res
	}
	if res := get("/ostiary/readyz"); res.StatusCode != http.StatusOK || res.Close {
		t.Fatalf("before: %s, close %v", res.Status, res.Close)
	}
	start := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.waitFor(t, "msg=stopping")
	res := get("/ostiary/readyz")
	for range 200 {
		if res.StatusCode == http.StatusServiceUnavailable {
			break
		}
		time.Sleep(5 * time.Millisecond)
		res = get("/ostiary/readyz")
	}
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" || !res.Close {
		t.Errorf("readyz: %s, close %v", res.Status, res.Close)
	}
	if res := get("/ostiary/healthz"); res.StatusCode != http.StatusOK || !res.Close {
		t.Errorf("healthz: %s, close %v", res.Status, res.Close)
	}
	if status, answer := login(t, p.url, "ada", "a password of ada"); status != http.StatusOK {
		t.Errorf("a login: %d %s", status, answer)
	}
	<-p.done
	if took := time.Since(start); p.failed != nil || took < delay {
		t.Errorf("it ended after %s: %v", took, p.failed)
	}
}
