package web

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

// In a brownout nothing is looked at, from its first moment until its end; the headers of the
// notice are on every answer, errors before the handler included.
func TestRoute_NoticeAndBrownout(t *testing.T) {
	begin := time.Date(2026, 12, 10, 10, 0, 0, 0, time.UTC)
	n := auth.Notice{Brownouts: []auth.Window{{From: begin, Until: begin.Add(15 * time.Minute)}, {From: begin.Add(15 * time.Minute), Until: begin.Add(time.Hour)}}}
	var now atomic.Pointer[time.Time]
	var handled atomic.Int64
	count := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handled.Add(1); greet(BodyJSON).ServeHTTP(w, r) })
	h := open(t, Options{Now: func() time.Time { return *now.Load() }},
		Route{Path: "/login", Handler: count, Notice: http.Header{"Sunset": {"soon"}}, Away: n.Away, CORS: []string{"https://app.example.com"}, Encode: func(p Problem) (int, any) {
			return 503, map[string]string{"sorry": p.Detail}
		}},
		Route{Path: "/other", Handler: greet(BodyJSON)})
	for _, c := range []struct {
		at    time.Duration
		away  bool
		retry string
	}{{-time.Nanosecond, false, ""}, {0, true, "900"}, {15*time.Minute - time.Second, true, "1"}, {15 * time.Minute, true, "2700"}, {time.Hour - time.Millisecond, true, "1"}, {time.Hour, false, ""}} {
		at := begin.Add(c.at)
		now.Store(&at)
		before := handled.Load()
		a := h.ask(t, "POST", "/login", strings.NewReader(`{`), "Origin: https://app.example.com")
		if a.Header.Get("Sunset") != "soon" || a.Header.Get("Access-Control-Expose-Headers") != "Retry-After, Deprecation, Sunset, Link" {
			t.Errorf("after %s: %v", c.at, a.Header)
		}
		if away := a.StatusCode == 503; away != c.away || a.Header.Get("Retry-After") != c.retry || c.away == (handled.Load() > before) || away && !strings.HasPrefix(a.body, `{"sorry":"away as planned until 2026-12-10T1`) {
			t.Errorf("after %s: %d, again after %q: %s", c.at, a.StatusCode, a.Header.Get("Retry-After"), a.body)
		}
		if a := h.ask(t, "GET", "/other", nil); a.StatusCode == 503 || a.Header.Get("Sunset") != "" {
			t.Errorf("another route after %s: %d", c.at, a.StatusCode)
		}
	}
}
