package web

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// hall is a server behind a Listener. Requests to /wait come into it and wait for leave, and
// so do those to /held, whose answer is clear.
type hall struct {
	*house
	listener *Listener
	inside   atomic.Int32
	leave    chan struct{}
}

func newHall(t *testing.T, c ListenerConfig, config *tls.Config, o Options) *hall {
	t.Helper()
	h := &hall{house: &house{log: new(journal)}, leave: make(chan struct{})}
	wait := greet(BodyEmpty)
	wait.Run = func(_ context.Context, _ *Request, in login) (greeting, error) {
		h.inside.Add(1)
		defer h.inside.Add(-1)
		<-h.leave
		return greeting{Message: in.Username}, nil
	}
	held := wait
	held.Run = func(ctx context.Context, r *Request, in login) (greeting, error) {
		r.Client.Decided()
		return wait.Run(ctx, r, in)
	}
	mux, err := NewMux([]Route{
		{Path: "/wait", Handler: wait}, {Path: "/held", Handler: held}, {Path: "/servers", Handler: wait, Servers: true}, {Path: "/login", Handler: greet(BodyEmpty)},
		{Path: "/address", Handler: shows(func(r *Request) string { return r.Client.Address.String() })},
		{Path: "/much", Handler: shows(func(*Request) string { return strings.Repeat("much ", 10<<20) })},
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Log = slog.New(slog.NewJSONHandler(h.log, nil))
	c.Plain = config == nil
	below, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.listener, h.addr = Listen(below, c), below.Addr().String()
	server := Server(ServerConfig{Handler: Middleware(c.Log, mux, o), Log: c.Log, TLS: config})
	go func() {
		if config != nil {
			_ = server.ServeTLS(h.listener, "", "")
		} else {
			_ = server.Serve(h.listener)
		}
	}()
	t.Cleanup(func() { _ = server.Close() })
	return h
}

// dial connects from an address of the loopback network, and says something.
func (h *hall) dial(t *testing.T, from, text string) *bufio.ReadWriter {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := dialer.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return bufio.NewReadWriter(bufio.NewReader(conn), bufio.NewWriter(conn))
}

// closed waits until the server has closed a connection without an answer.
func closed(t *testing.T, what string, c *bufio.ReadWriter) {
	t.Helper()
	if b, err := c.ReadByte(); err == nil || isTimeout(err) {
		t.Errorf("%s is not closed: %q %v", what, b, err)
	}
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// gets waits for an answer on a connection.
func gets(t *testing.T, what string, c *bufio.ReadWriter, status int) string {
	t.Helper()
	response, err := http.ReadResponse(c.Reader, nil)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	if response.StatusCode != status {
		t.Errorf("%s: %d %s", what, response.StatusCode, body)
	}
	return string(body)
}

// until waits for what comes true soon.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 5000 {
		if is() {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

func (h *hall) open() int {
	h.listener.mu.Lock()
	defer h.listener.mu.Unlock()
	return len(h.listener.all)
}

const (
	here     = "127.0.0.1"
	halfHead = "POST /wait HTTP/1.1\r\nHost: x\r\n"
	halfBody = halfHead + "Content-Length: 20\r\n\r\n{\"username\""
	whole    = halfHead + "Content-Length: 2\r\n\r\n{}"
	quick    = "GET /address HTTP/1.1\r\nHost: x\r\n\r\n"
)

// The one that has waited longest for its client makes room, be it for a head or a body,
// and never one whose request is being answered.
func TestThreat60_SlowClientsMakeRoom(t *testing.T) {
	h := newHall(t, ListenerConfig{Limits: Limits{Connections: 100, PerSource: 4}}, nil, Options{})
	answered := h.dial(t, here, whole)
	until(t, "a request inside", func() bool { return h.inside.Load() == 1 })
	var slow []*bufio.ReadWriter
	for i, text := range []string{halfHead, halfBody, ""} {
		slow = append(slow, h.dial(t, here, text))
		until(t, "a connection more", func() bool { return h.open() == 2+i })
	}
	for i, what := range []string{"half a head", "half a body", "silence"} {
		canary := h.dial(t, here, quick)
		if got := gets(t, "a canary", canary, 200); got != here {
			t.Errorf("a canary from %s", got)
		}
		closed(t, what, slow[i])
	}
	other := h.dial(t, "127.0.0.2", whole)
	until(t, "two requests inside", func() bool { return h.inside.Load() == 2 })
	close(h.leave)
	gets(t, "the first one", answered, 200)
	gets(t, "another source", other, 200)
	h.log.has(t, "closed to make room", 1)
}

func TestListener_AllAnswered(t *testing.T) {
	h := newHall(t, ListenerConfig{Limits: Limits{Connections: 3, PerSource: 2}}, nil, Options{})
	var all []*bufio.ReadWriter
	for _, from := range []string{here, here, "127.0.0.2"} {
		all = append(all, h.dial(t, from, whole))
	}
	until(t, "three requests inside", func() bool { return h.inside.Load() == 3 })
	closed(t, "one more of a source", h.dial(t, here, ""))
	closed(t, "one more in all", h.dial(t, "127.0.0.3", ""))
	h.listener.SetLimits(Limits{Connections: 4, PerSource: 3})
	gets(t, "one more", h.dial(t, here, quick), 200)
	close(h.leave)
	for _, c := range all {
		gets(t, "one of three", c, 200)
	}
	h.log.has(t, "all with a request", 2)
}

func TestListener_InAll(t *testing.T) {
	h := newHall(t, ListenerConfig{Limits: Limits{Connections: 2, PerSource: 2}}, nil, Options{})
	first := h.dial(t, here, "")
	until(t, "one", func() bool { return h.open() == 1 })
	second := h.dial(t, "127.0.0.2", "")
	until(t, "two", func() bool { return h.open() == 2 })
	gets(t, "a third", h.dial(t, "127.0.0.3", quick), 200)
	closed(t, "the first", first)
	gets(t, "a fourth", h.dial(t, "127.0.0.4", quick), 200)
	closed(t, "the second", second)
}

// Behind a proxy are many clients.
func TestListener_TrustedProxy(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	h := newHall(t, ListenerConfig{Limits: Limits{Connections: 10, PerSource: 1, TrustedProxies: trusted}}, nil, Options{})
	for i := range 10 {
		h.dial(t, here, "")
		until(t, "a connection more", func() bool { return h.open() == 1+i })
	}
	stranger := h.dial(t, "127.0.0.2", "")
	gets(t, "another one", h.dial(t, "127.0.0.2", quick), 200)
	closed(t, "a stranger", stranger)
}

// A client that does not read its answer is waited for.
func TestThreat60_SlowReader(t *testing.T) {
	h := newHall(t, ListenerConfig{Limits: Limits{Connections: 10, PerSource: 2}}, nil, Options{})
	for range 2 {
		slow := h.dial(t, here, "GET /much HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, err := slow.Peek(1); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "room for a canary", func() bool {
		canary := h.dial(t, here, quick)
		_, err := canary.Peek(1)
		return err == nil
	})
}

// An answer that has just begun is left alone.
func TestListener_Grace(t *testing.T) {
	h := newHall(t, ListenerConfig{Limits: Limits{Connections: 10, PerSource: 2}}, nil, Options{})
	c, another := &conn{listener: h.listener, Conn: &fed{}}, &conn{listener: h.listener, Conn: &fed{}}
	c.since.Store(tick() - 2*grace)
	another.since.Store(tick() - grace)
	h.listener.all = []*conn{another, c}
	if got := h.listener.longest(netip.Addr{}); got != c {
		t.Error("not the one that waited longest")
	}
	c.begin()
	c.begin()
	c.end(grace)
	if got := h.listener.longest(netip.Addr{}); got != another {
		t.Error("one of two requests is answered, and the connection is closed")
	}
	c.end(grace)
	another.begin()
	if got := h.listener.longest(netip.Addr{}); got != nil {
		t.Error("closed in the moment of its answer")
	}
	until(t, "the end of the grace", func() bool { return h.listener.longest(netip.Addr{}) == c })
	h.listener.all = nil
}

func TestListener_ForgetsWhatIsClosed(t *testing.T) {
	h := newHall(t, ListenerConfig{Limits: Limits{Connections: 100, PerSource: 5}}, nil, Options{})
	for i := range 50 {
		gets(t, "one of many", h.dial(t, []string{here, "127.0.0.2", "127.0.0.3"}[i%3], "GET /address HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), 200)
	}
	until(t, "no connection", func() bool { return h.open() == 0 })
	h.listener.mu.Lock()
	defer h.listener.mu.Unlock()
	if len(h.listener.of) != 0 || len(h.listener.notes) != 0 {
		t.Errorf("%v are still counted, and %v was to be said", h.listener.of, h.listener.notes)
	}
}

// has waits for n lines of the log that contain a text.
func (j *journal) has(t *testing.T, text string, n int) {
	t.Helper()
	until(t, text, func() bool { return strings.Count(j.String(), text) >= n })
	if got := strings.Count(j.String(), text); got != n {
		t.Errorf("%q %d times in the log, want %d:\n%s", text, got, n, j.String())
	}
}

// Over TLS the same holds, for handshakes that do not end too, and HTTP/2 works.
func TestThreat60_SlowClientsTLS(t *testing.T) {
	pair, pool := certificate(t, ecKey(t))
	h := newHall(t, ListenerConfig{Limits: Limits{Connections: 100, PerSource: 2}}, TLSConfig(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair, nil }), Options{})
	client := func() *http.Client {
		return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
	}
	answer := make(chan error, 1)
	go func() {
		response, err := client().Post("https://"+h.addr+"/wait", "application/json", strings.NewReader("{}"))
		if err == nil {
			response.Body.Close()
			if response.ProtoMajor != 2 {
				err = errors.New(response.Proto)
			}
		}
		answer <- err
	}()
	until(t, "a request inside", func() bool { return h.inside.Load() == 1 })
	for _, text := range []string{"", "\x16\x03\x01\x02\x00\x01"} {
		slow := h.dial(t, here, text)
		until(t, "two connections", func() bool { return h.open() == 2 })
		response, err := client().Get("https://" + h.addr + "/address")
		if err != nil || response.ProtoMajor != 2 {
			t.Fatalf("a canary: %v %v", response, err)
		}
		response.Body.Close()
		closed(t, "a handshake", slow)
		until(t, "the end of grace", func() bool {
			h.listener.mu.Lock()
			defer h.listener.mu.Unlock()
			return h.listener.longest(netip.Addr{}) != nil
		})
	}
	close(h.leave)
	if err := <-answer; err != nil {
		t.Errorf("the request that was inside: %v", err)
	}
}

func BenchmarkListener_Full(b *testing.B) {
	l := Listen(nil, ListenerConfig{Log: slog.New(slog.DiscardHandler), Limits: Limits{Connections: 4096, PerSource: 1024}})
	source := netip.MustParseAddr(here)
	for b.Loop() {
		c := &conn{listener: l, source: source, Conn: &silentConn{}}
		c.since.Store(tick())
		l.enter(c)
	}
}

type silentConn struct{ net.Conn }

func (silentConn) Close() error { return nil }
