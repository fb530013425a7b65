package proxytest

import (
	"net/http"
	"testing"
)

func TestForward_OstiaryDown(t *testing.T) {
	h := open(t)
	for _, running := range h.proxies {
		t.Run(running.name, func(t *testing.T) {
			ostiary, address := h.serve(t)
			p := startProxy(t, running.name, address, h.upstream.address)
			defer p.stop()
			credential := p.signIn(t, "ada")["nomic"]
			if resp, text := ask(t, p.http, http.MethodGet, "/", "", credential); resp.StatusCode != http.StatusOK {
				t.Fatalf("%s %s", resp.Status, text)
			}
			ostiary.stop()
			h.upstream.take()
			for _, place := range []string{"/", "/admin/", "/ostiary/whoami"} {
				resp, text := ask(t, p.http, http.MethodGet, place, "", credential)
				if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
					t.Errorf("%s: %s %q %s", place, resp.Status, resp.Header, text)
				}
			}
			if all := h.upstream.take(); len(all) > 0 {
				t.Errorf("the upstream was asked: %v", all)
			}
			if resp, _ := ask(t, p.http, http.MethodGet, "/public/", "", nil); resp.StatusCode != http.StatusOK {
				t.Errorf("an open place: %s", resp.Status)
			}
		})
	}
}

// TestForward_OstiaryHangs sees that nobody waits for a server that does not answer for longer than the pages say, which
// is made shorter here.
func TestForward_OstiaryHangs(t *testing.T) {
	h := open(t)
	for _, running := range h.proxies {
		t.Run(running.name, func(t *testing.T) {
			ostiary, address := h.serve(t)
			defer ostiary.stop()
			p := startProxy(t, running.name, address, h.upstream.address, "_timeout 10s", "_timeout 1s", "server 8s", "server 1s", "35s", "1s")
			defer p.stop()
			credential := p.signIn(t, "ada")["nomic"]
			h.upstream.take()
			if err := ostiary.Freeze(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = ostiary.Thaw() }() // so that it can stop
			for _, place := range []string{"/", "/admin/", "/reports/", "/ostiary/whoami", "/api/auth/token"} {
				resp, text := ask(t, p.http, http.MethodPost, place, "", credential)
				if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
					t.Errorf("%s: %s %q %s", place, resp.Status, resp.Header, text)
				}
			}
			if all := h.upstream.take(); len(all) > 0 {
				t.Errorf("the upstream was asked: %v", all)
			}
			if err := ostiary.Thaw(); err != nil {
				t.Fatal(err)
			}
			if resp, text := ask(t, p.http, http.MethodGet, "/", "", credential); resp.StatusCode != http.StatusOK {
				t.Errorf("afterwards: %s %s", resp.Status, text)
			}
		})
	}
}
