package legacy

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/internal/auth"
)

func TestForward_PassesOn(t *testing.T) {
	var got http.Header
	var line string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got, line = r.Header, fmt.Sprintf("%s %s %s %s %d", r.Method, r.URL, r.Host, body, r.ContentLength)
		w.Header().Set("X-Old", "a")
		w.Header().Set("Alt-Svc", "h3=x")
		w.Header().Set("Connection", "X-Hop")
		w.Header().Set("X-Hop", "b")
		w.Header().Set("Content-Type", "text/plain")
		w.Header()["Date"] = nil
		w.WriteHeader(207)
		_, _ = io.WriteString(w, "odd")
	})
	c := open(t, Options{URL: s.URL + "/base"})
	r := httptest.NewRequest("PUT", "http://login.example.com/eu/v1/auth?a=b%20c", strings.NewReader("already read"))
	r.Header = http.Header{
		"Authorization": {"Token eA=="}, "Content-Type": {"application/json"}, "X-Csrf-Token": {"c"}, "Accept": {"a", "b"}, "User-Agent": {"u"}, "Cookie": {"k=v"}, "X_forwarded_for": {"203.0.113.9"}, "X-Cluster-Client-Ip": {"203.0.113.9"},
		"Connection": {"close, X-Mine, Authorization, X-Forwarded-For"}, "X-Mine": {"x"}, "Te": {"trailers"}, "Keep-Alive": {"x"}, "Upgrade": {"websocket"}, "Proxy-Authorization": {"x"}, "Expect": {"100-continue"},
		"X-Forwarded-For": {"203.0.113.9"}, "X-Forwarded-Host": {"evil"}, "Forwarded": {"for=203.0.113.9"}, "X-Real-Ip": {"203.0.113.9"}, "Accept-Encoding": {"br"}, "Content-Length": {"999"},
	}
	a, err := c.Forward(t.Context(), r, "/v1/auth", []byte(`{"x":1}`), someone)
	if err != nil {
		t.Fatal(err)
	}
	if want := "PUT /base/v1/auth " + strings.TrimPrefix(s.URL, "http://") + ` {"x":1} 7`; line != want {
		t.Errorf("got  %s\nwant %s", line, want)
	}
	want := http.Header{
		"Authorization": {"Token eA=="}, "Content-Type": {"application/json"}, "X-Csrf-Token": {"c"}, "Accept": {"a", "b"}, "User-Agent": {"u"},
		"X-Forwarded-For": {"192.0.2.7"}, "Content-Length": {"7"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(http.Header{"X-Old": {"a"}, "Content-Type": {"text/plain"}}, a.Header); diff != "" || a.Status != 207 || string(a.Body) != "odd" || a.Took <= 0 {
		t.Errorf("%d %s %v %s", a.Status, a.Body, a.Took, diff)
	}
	if r.Header.Get("X-Forwarded-For") != "203.0.113.9" {
		t.Error("the client's request was changed")
	}
}

// What is wrong for the client alone is passed on as it is, and is no failure of the server.
func TestForward_AnswersAsTheyAre(t *testing.T) {
	var status atomic.Int32
	var followed atomic.Bool
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			followed.Store(true)
		}
		w.Header().Set("Location", "/elsewhere")
		w.Header().Set("Retry-After", "3")
		w.WriteHeader(int(status.Load()))
	})
	c := open(t, Options{URL: s.URL})
	forward := func() (*Answer, error) {
		return c.Forward(t.Context(), httptest.NewRequest("POST", "/x", nil), "/x", nil, someone)
	}
	for _, code := range []int{200, 302, 308, 400, 401, 403, 404, 429, 500, 501} {
		status.Store(int32(code))
		for range maxFailures + 1 {
			a, err := forward()
			if err != nil || a.Status != code || a.Header.Get("Location") != "/elsewhere" || a.Header.Get("Retry-After") != "3" {
				t.Fatalf("%d: %+v, %v", code, a, err)
			}
		}
	}
	status.Store(503)
	for range maxFailures {
		if a, err := forward(); err != nil || a.Status != 503 {
			t.Fatalf("%+v, %v", a, err)
		}
	}
	_, err := forward()
	is(t, "open", err, auth.CodeUnavailable, "left alone")
	if followed.Load() {
		t.Error("a redirect was followed")
	}
}

func TestForward_LargeAnswers(t *testing.T) {
	for size, fits := range map[int]bool{maxForward: true, maxForward + 1: false, 10 << 20: false} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, size)) })
		a, err := open(t, Options{URL: s.URL}).Forward(t.Context(), httptest.NewRequest("POST", "/x", nil), "/x", nil, someone)
		if fits && (err != nil || len(a.Body) != size) {
			t.Errorf("%d: %v", size, err)
		}
		if !fits {
			is(t, fmt.Sprint(size), err, auth.CodeUnavailable, "the answer is too long")
		}
	}
}
