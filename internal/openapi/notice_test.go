package openapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

// A dialect that is to end is described so, with the headers of each of its answers, also of
// those in a brownout; what it shares with one that goes on is not said to be deprecated.
func TestDescription_Deprecated(t *testing.T) {
	h := open(t)
	c := newCast(t, h)
	now := time.Now()
	end := auth.Notice{Deprecation: now.Add(-time.Hour), Sunset: now.Add(time.Hour), Link: "https://example.com/login-api"}
	ending := func(n auth.Notice) *house {
		return h.beside(t, func(o *auth.Options) {
			var mounts []*auth.Mount
			for _, m := range o.Mounts {
				m := *m
				if m.Dialect == "senmo" || m.Dialect == "nomic" {
					m.Notice = n
				}
				mounts = append(mounts, &m)
			}
			o.Mounts = mounts
		})
	}
	two := ending(end)
	tour := &tour{two.description(t, ""), map[string]bool{}}
	tour.visit(t, two, c.good(t)...)
	tour.visit(t, two, c.bad(t, tour.description)...)
	for operation, want := range map[string]any{"POST /v1/auth": false, "POST /v1/auth/refreshtoken": true, "POST /api/auth/token": true, "POST /user/login": false, "GET /ostiary/whoami": nil} {
		if got := tour.object(t, pointer(operation))["deprecated"]; got != want {
			t.Errorf("%s: deprecated is %v, not %v", operation, got, want)
		}
	}
	if got := two.description(t, prefix).object(t, pointer("POST /v1/auth"))["deprecated"]; got != true {
		t.Errorf("alone: deprecated is %v", got)
	}
	a := two.ask(t, post("/api/auth/token", ""))
	if a.StatusCode != 403 || !strings.HasPrefix(a.Header.Get("Deprecation"), "@1") || a.Header.Get("Sunset") != end.Sunset.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT") ||
		a.Header.Get("Link") != `<https://example.com/login-api>; rel="deprecation", <https://example.com/login-api>; rel="sunset"` {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
	end.Brownouts = []auth.Window{{From: now.Add(-time.Minute), Until: now.Add(time.Hour)}}
	away := ending(end)
	for _, r := range []request{post("/v1/auth", `{"username":"x","password":"y"}`), post("/v1/auth/refreshtoken", `{}`), post("/api/auth/token", "")} {
		a := away.ask(t, r)
		if a.StatusCode != 503 || len(a.Header.Get("Retry-After")) != 4 || a.Header.Get("Sunset") == "" {
			t.Errorf("%s: %d %v", r.path, a.StatusCode, a.Header)
		}
		for _, problem := range tour.answers(t, pointer("POST "+r.path), a) {
			t.Errorf("%s: %v", r.path, problem)
		}
	}
}
