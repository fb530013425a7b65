package legacytest

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// The four start, refuse what they do not know, and have counted it.
func TestServers_Start(t *testing.T) {
	for dialect, want := range map[string]struct {
		path   string
		status int
	}{
		"cloudio":    {"/v1/auth", 403},
		"nomic":      {"/api/auth/token", 403},
		"senmo":      {"/v1/auth", 400},
		"mikrocloud": {"/user/login", 401},
	} {
		s := Start(t, dialect, []Account{{Username: "steve", Password: "x"}})
		resp, err := client.Post(s.URL+want.path, "application/json", strings.NewReader(`{"username":"eve","email":"eve","password":"x"}`))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != want.status || s.Count(t) != 1 || s.State(t).Requests[want.path] != 1 {
			t.Errorf("%s: %d %s, %+v", dialect, resp.StatusCode, body, s.State(t))
		}
		s.Fault(t, "down")
		resp, err = client.Post(s.URL+want.path, "application/json", strings.NewReader(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "9" {
			t.Errorf("%s, down: %d", dialect, resp.StatusCode)
		}
		s.Restart(t)
		if s.Count(t) != 0 {
			t.Errorf("%s: it has requests after a restart", dialect)
		}
	}
}
