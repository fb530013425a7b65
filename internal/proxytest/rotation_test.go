package proxytest

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestThreat34_RotationUnderLoad verifies without a pause, through nginx, while keys are rotated by command: with tokens of
// the keys before, and with new ones.
func TestThreat34_RotationUnderLoad(t *testing.T) {
	h := open(t)
	p := h.proxies[0]
	var credentials []http.Header
	for _, credential := range p.signIn(t, "ada") {
		credentials = append(credentials, credential)
	}
	var asked atomic.Int64
	var wg sync.WaitGroup
	var stop atomic.Bool
	defer func() {
		stop.Store(true)
		wg.Wait()
		if t.Logf("%d requests", asked.Load()); asked.Load() < 100 {
			t.Error("that is no load")
		}
	}()
	for i := range 4 {
		wg.Go(func() {
			for !stop.Load() {
				resp, text := ask(t, p.http, http.MethodGet, "/", "", credentials[i])
				if asked.Add(1); resp.StatusCode != http.StatusOK {
					t.Errorf("%s %s", resp.Status, text)
					return
				}
			}
		})
	}
	kid := func(credential http.Header) string { return strings.Split(credential.Get("Authorization"), ".")[0] }
	last := kid(p.signIn(t, "ada")["nomic"])
	for range 2 {
		h.command(t, "", "key", "rotate", "--ahead", "0s")
		h.command(t, "", "key", "rotate", "--ahead", "0s", "--algorithm", "ES256") // of assertions
		fresh := p.signIn(t, "ada")
		for start := time.Now(); kid(fresh["nomic"]) == last; fresh = p.signIn(t, "ada") {
			if time.Sleep(100 * time.Millisecond); time.Since(start) > 5*time.Second {
				t.Fatal("the new key does not sign")
			}
		}
		last = kid(fresh["nomic"])
		for dialect, credential := range fresh {
			if resp, text := ask(t, p.http, http.MethodGet, "/", "", credential); resp.StatusCode != http.StatusOK {
				t.Errorf("a new token of %s: %s %s", dialect, resp.Status, text)
			}
		}
	}
}
