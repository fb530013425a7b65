package legacy

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

// serve starts a server that answers by fn.
func serve(t *testing.T, fn http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(fn)
	t.Cleanup(s.Close)
	return s
}

func open(t *testing.T, o Options) *Client {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Calls == 0 {
		o.Calls = 8
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

var someone = auth.Client{Address: netip.MustParseAddr("192.0.2.7")}

// ok takes {"ok":true} for yes, 403 for no.
func ok(a *Answer) error {
	var in struct {
		OK bool `json:"ok"`
	}
	switch {
	case a.Status == http.StatusForbidden:
		return Refused(auth.CodeBadCredentials)
	case a.Status != http.StatusOK:
		return Unexpected(a)
	}
	if err := a.Decode(&in); err != nil {
		return err
	}
	if !in.OK {
		return errors.New("it is not ok")
	}
	return nil
}

func ask(c *Client) error {
	return c.Ask(context.Background(), Question{Path: "/login", Body: struct{}{}, Authorization: "Basic c2VjcmV0", Client: someone}, ok)
}

// is checks the code of an error.
func is(t *testing.T, what string, err error, code auth.Code, cause string) {
	t.Helper()
	_ = fault(t, what, err, code, cause)
}

// fault checks the code of an error, and that its cause names what is wrong and no secret.
func fault(t *testing.T, what string, err error, code auth.Code, cause string) *auth.Error {
	t.Helper()
	if auth.CodeOf(err) != code || err != nil && !strings.Contains(err.Error(), cause) {
		t.Fatalf("%s: %v, want %s: %s", what, err, code, cause)
	}
	if err == nil {
		return nil
	}
	if text := err.Error(); strings.Contains(text, "c2VjcmV0") || strings.ContainsAny(text, "\r\n") {
		t.Errorf("%s says %q", what, text)
	}
	return auth.AsError(err)
}

func TestParseURL_Refused(t *testing.T) {
	for _, text := range []string{
		"", "old", "//old", "ftp://old", "https://", "https://:443", "https://old:", "http://old.example.com", "http://192.0.2.1", "http://localhost.example.com",
		"http://127.0.0.1.example.com", "http://[2001:db8::1]", "http://0.0.0.0", "https://u@old", "https://u:p@old", "https://old?", "https://old?x", "https://old#", "https://old#x", "https://old\n",
	} {
		if u, err := ParseURL(text); err == nil {
			t.Errorf("%q: %v", text, u)
		}
	}
	for text, want := range map[string]string{
		"https://old.example.com": "https://old.example.com", "https://192.0.2.1:8443/a/b//": "https://192.0.2.1:8443/a/b", "http://127.9.9.9:1/": "http://127.9.9.9:1",
		"http://[::1]:2": "http://[::1]:2", "http://Localhost:3": "http://Localhost:3", "HTTPS://old": "https://old",
	} {
		if u, err := ParseURL(text); err != nil || u.String() != want {
			t.Errorf("%q: %v, %v", text, u, err)
		}
	}
}

// A name that is this machine's by its spelling alone is not connected to.
func TestClient_PlainHTTPStaysHere(t *testing.T) {
	for address, want := range map[string]bool{"127.0.0.1:80": true, "[::1]:80": true, "[::ffff:127.0.0.1]:80": true, "192.0.2.1:80": false, "0.0.0.0:80": false, "x": false} {
		if err := stayHere("tcp", address, nil); (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestClient_Asks(t *testing.T) {
	var status atomic.Int32
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		for name, want := range map[string]string{
			"Authorization": "Basic c2VjcmV0", "Content-Type": "application/json", "Accept": "application/json", "X-Forwarded-For": "192.0.2.7", "User-Agent": "Ostiary", "Accept-Encoding": "",
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: %q", name, got)
			}
		}
		if r.Method != http.MethodPost || r.URL.Path != "/base/login" || string(body) != "{}" {
			t.Errorf("%s %s %s", r.Method, r.URL, body)
		}
		w.WriteHeader(int(status.Load()))
		_, _ = io.WriteString(w, `{"ok":true,"more":[1]}`)
	})
	c := open(t, Options{URL: s.URL + "/base/"})
	status.Store(200)
	is(t, "yes", ask(c), "", "")
	status.Store(403)
	is(t, "no", ask(c), auth.CodeBadCredentials, "")
	if f := c.Floor(); f <= 0 || f > 30*time.Second || f == floorUnseen {
		t.Errorf("the floor is %v", f)
	}
	if c.transport.Proxy != nil {
		t.Error("a proxy of the environment would see what is sent")
	}
}

func TestClient_BadAnswers(t *testing.T) {
	var followed atomic.Bool
	for what, tt := range map[string]struct {
		answer func(w http.ResponseWriter)
		cause  string
		retry  time.Duration
	}{
		"redirect": {func(w http.ResponseWriter) {
			w.Header().Set("Location", "/followed")
			w.WriteHeader(307)
		}, "it redirects (307), which is not followed: set legacy to where it is", time.Second},
		"a page":         {func(w http.ResponseWriter) { _, _ = io.WriteString(w, "\n <!doctype html>") }, "its answer (200) is a page", time.Second},
		"a page refuses": {func(w http.ResponseWriter) { w.Header().Set("Content-Type", "text/html"); w.WriteHeader(403) }, "its answer (403) is a page", time.Second},
		"garbage":        {func(w http.ResponseWriter) { _, _ = io.WriteString(w, "\x00\x01") }, "its answer (200) is not one of the dialect: the body must be a JSON object", time.Second},
		"nothing":        {func(http.ResponseWriter) {}, "the body is empty", time.Second},
		"two objects":    {func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"ok":true}{"ok":true}`) }, "the body has data after the JSON object", time.Second},
		"a wrong type":   {func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"ok":"c2VjcmV0"}`) }, `the field "ok" must be true or false`, time.Second},
		"twice":          {func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"ok":true,"ok":true}`) }, `the field "ok" is there twice`, time.Second},
		"not ok":         {func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{}`) }, "it is not ok", time.Second},
		"other status":   {func(w http.ResponseWriter) { w.WriteHeader(404) }, "the status 404", time.Second},
		"204":            {func(w http.ResponseWriter) { w.WriteHeader(204) }, "the status 204", time.Second},
		"too long": {func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, `{"ok":true,"x":"`+strings.Repeat("x", maxAnswer)+`"}`)
		}, "the answer is too long", time.Second},
		"500":              {func(w http.ResponseWriter) { w.WriteHeader(500) }, "it can't answer (500 Internal Server Error): see its log", time.Second},
		"503 in a while":   {func(w http.ResponseWriter) { w.Header().Set("Retry-After", "17"); w.WriteHeader(503) }, "it can't answer (503", 17 * time.Second},
		"503 for a day":    {func(w http.ResponseWriter) { w.Header().Set("Retry-After", "86400"); w.WriteHeader(503) }, "it can't answer (503", maxHold},
		"429 in a while":   {func(w http.ResponseWriter) { w.Header().Set("Retry-After", "18"); w.WriteHeader(429) }, "X-Forwarded-For", 18 * time.Second},
		"429 by nonsense":  {func(w http.ResponseWriter) { w.Header().Set("Retry-After", "-18"); w.WriteHeader(429) }, "X-Forwarded-For", time.Second},
		"a cut connection": {func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, "see that it runs", time.Second},
		"half of it": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"ok":true}`)
		}, "unexpected EOF", time.Second},
		"gzip that nobody asked for": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, "\x1f\x8b")
		}, "JSON", time.Second},
	} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/followed" {
				followed.Store(true)
			}
			tt.answer(w)
		})
		c := open(t, Options{URL: s.URL})
		if e := fault(t, what, ask(c), auth.CodeUnavailable, tt.cause); e.RetryAfter != tt.retry {
			t.Errorf("%s: again in %v", what, e.RetryAfter)
		}
		if c.Floor() != floorUnseen {
			t.Errorf("%s: it counts as a refusal", what)
		}
	}
	if followed.Load() {
		t.Error("a redirect was followed")
	}
}

func TestClient_Date(t *testing.T) {
	at := time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat)
	if got := retryAfter(http.Header{"Retry-After": {at}}); got < 85*time.Second || got > 90*time.Second {
		t.Errorf("%v", got)
	}
	if got := retryAfter(http.Header{"Retry-After": {"Mon, 02 Jan 2006 15:04:05 GMT"}}); got != 0 {
		t.Errorf("in the past: %v", got)
	}
}

// An answer that never ends, a header that never comes, and no connection: each ends with
// the timeout.
func TestClient_Timeout(t *testing.T) {
	leave := make(chan struct{})
	slow := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/drip/login" {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, " ")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(5 * time.Millisecond)
			}
		}
		<-leave
	})
	defer close(leave)
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for what, url := range map[string]string{"no answer": slow.URL, "a drip": slow.URL + "/drip", "mute": "https://" + l.Addr().String()} {
		began := time.Now()
		is(t, what, ask(open(t, Options{URL: url, Timeout: 100 * time.Millisecond})), auth.CodeUnavailable, "it has not answered within 100ms: see whether it is overloaded or away, or raise legacy_timeout")
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s: %v", what, took)
		}
	}
}

func TestClient_Breaker(t *testing.T) {
	var asked atomic.Int32
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(503)
	})
	c := open(t, Options{URL: s.URL})
	for range maxFailures {
		is(t, "fails", ask(c), auth.CodeUnavailable, "it can't answer (503")
	}
	for range 10 {
		e := fault(t, "open", ask(c), auth.CodeUnavailable, "it is left alone, since it failed several times in a row: it can't answer (503")
		if e.RetryAfter < 50*time.Second || e.RetryAfter > time.Minute {
			t.Errorf("again in %v", e.RetryAfter)
		}
	}
	if asked.Load() != maxFailures {
		t.Errorf("it was asked %d times", asked.Load())
	}
	// A client that leaves says nothing of the server, and refusals are answers.
	refuses := open(t, Options{URL: serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/leave" {
			<-r.Context().Done()
		}
		w.WriteHeader(403)
	}).URL})
	for range 2 * maxFailures {
		left, leave := context.WithCancel(t.Context())
		time.AfterFunc(5*time.Millisecond, leave)
		is(t, "left", refuses.Ask(left, Question{Path: "/leave", Client: someone}, ok), auth.CodeUnavailable, "context canceled")
		is(t, "refused", ask(refuses), auth.CodeBadCredentials, "")
	}
}

func TestClient_CallsAtOnce(t *testing.T) {
	var under, most atomic.Int32
	hold := make(chan struct{})
	release := sync.OnceFunc(func() { close(hold) })
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for n, m := under.Add(1), most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-hold
		under.Add(-1)
		_, _ = io.WriteString(w, `{"ok":true}`)
	})
	defer release()
	c := open(t, Options{URL: s.URL, Calls: 2, Timeout: 8 * time.Second})
	errs := make(chan error, 3)
	for range 3 {
		go func() { errs <- ask(c) }()
	}
	is(t, "the third", <-errs, auth.CodeUnavailable, "as many calls as legacy_calls allows (2) are under way")
	release()
	for range 2 {
		is(t, "the others", <-errs, "", "")
	}
	if most.Load() != 2 {
		t.Errorf("%d at once", most.Load())
	}
	is(t, "after that", ask(c), "", "")
}

func TestClient_TLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"ok":true}`) }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	known, unknown := open(t, Options{URL: s.URL, CA: ca}), open(t, Options{URL: s.URL})
	is(t, "its CA", ask(known), "", "")
	if err := known.Reach(t.Context()); err != nil {
		t.Error(err)
	}
	const advice = "name the CA that made it in legacy_ca"
	is(t, "no CA", ask(unknown), auth.CodeUnavailable, advice)
	if err := unknown.Reach(t.Context()); err == nil || !strings.Contains(err.Error(), advice) {
		t.Error(err)
	}
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	other := open(t, Options{URL: "https://localhost:" + port, CA: ca})
	is(t, "another name", ask(other), auth.CodeUnavailable, "localhost")
	plain := serve(t, func(http.ResponseWriter, *http.Request) {})
	is(t, "no TLS", ask(open(t, Options{URL: strings.Replace(plain.URL, "http", "https", 1)})), auth.CodeUnavailable, "give legacy the port where it speaks TLS")
	if err := open(t, Options{URL: plain.URL}).Reach(t.Context()); err != nil {
		t.Error(err)
	}
	plain.Close()
	if err := open(t, Options{URL: plain.URL}).Reach(t.Context()); err == nil || !strings.Contains(err.Error(), "refused: see that it runs, and that this machine may reach it") {
		t.Error(err)
	}
	for _, o := range []Options{{URL: s.URL, CA: []byte("x"), Timeout: 1, Calls: 1}, {URL: "http://old", Timeout: 1, Calls: 1}, {URL: s.URL, Calls: 1}, {URL: s.URL, Timeout: 1}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v", o)
		}
	}
}

// A server that could speak HTTP/2 is asked by HTTP/1.1: of a stream that was reset, Go would send a login again.
func TestClient_NeverTwice(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 {
			t.Errorf("asked by %s", r.Proto)
		}
		_, _ = io.WriteString(w, `{"ok":true}`)
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := ask(open(t, Options{URL: s.URL, CA: ca})); err != nil {
		t.Error(err)
	}
}
