package web

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// journal is a log that can be read while it is written.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

// lines waits for n lines of requests, since a line is written after its answer.
func (j *journal) lines(t *testing.T, n int) []map[string]any {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		text := j.String()
		var out []map[string]any
		for line := range strings.Lines(text) {
			var entry map[string]any
			if err := json.Unmarshal([]byte(line), &entry); err != nil {
				t.Fatalf("a broken line %q: %v", line, err)
			}
			if entry["msg"] == "request" {
				out = append(out, entry)
			}
		}
		if len(out) >= n || time.Now().After(deadline) {
			if len(out) != n {
				t.Fatalf("%d lines, want %d:\n%s", len(out), n, text)
			}
			return out
		}
		time.Sleep(2 * time.Millisecond)
	}
}

type house struct {
	url, addr string
	log       *journal
}

func open(t *testing.T, o Options, routes ...Route) *house {
	t.Helper()
	handler, err := NewMux(routes)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{log: new(journal)}
	log := slog.New(slog.NewJSONHandler(h.log, nil))
	server := Server(ServerConfig{Handler: Middleware(log, handler, o), Log: log})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	bounded := Listen(listener, ListenerConfig{Log: log, Plain: true, Limits: Limits{Connections: 4096, PerSource: 1024}})
	go func() { done <- server.Serve(bounded) }()
	t.Cleanup(func() {
		_ = server.Shutdown(context.Background())
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	h.addr = listener.Addr().String()
	h.url = "http://" + h.addr
	return h
}

// answered is an answer that was read to its end.
type answered struct {
	*http.Response
	body string
}

// ask sends a request; headers are "Name: value" and may repeat.
func (h *house) ask(t *testing.T, method, path string, body io.Reader, headers ...string) answered {
	t.Helper()
	request, err := http.NewRequest(method, h.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		if name == "Host" {
			request.Host = value
		}
		request.Header.Add(name, value)
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answered{response, string(text)}
}

// raw sends bytes as they are and reads one answer.
func (h *house) raw(t *testing.T, text string) answered {
	t.Helper()
	conn, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Logf("while writing: %v", err) // the server may answer and close before
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return answered{response, string(body)}
}

type login struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

type greeting struct {
	Message string  `json:"message"`
	Token   *string `json:"token"`
}

// shape is a surface's own form of errors.
func shape(p Problem) (int, any) {
	return Status(p.Code), map[string]any{"code": p.Code, "error": p.Detail, "path": p.Path}
}

// greet is an endpoint that says the name back.
func greet(body Body) Endpoint[login, greeting] {
	return Endpoint[login, greeting]{
		Methods: []string{"POST"}, Body: body, Encode: shape,
		Run: func(_ context.Context, _ *Request, in login) (greeting, error) {
			return greeting{Message: "<" + in.Username + ">"}, nil
		},
	}
}

// fails is an endpoint whose function returns err.
func fails(err error) Endpoint[None, None] {
	return Endpoint[None, None]{
		Body: BodyUnread, Encode: shape, Challenge: `Bearer realm="x"`,
		Run: func(context.Context, *Request, None) (None, error) { return None{}, err },
	}
}

// shows is an endpoint that answers with what it is asked to show.
func shows(show func(*Request) string) Endpoint[None, Text] {
	return Endpoint[None, Text]{Body: BodyUnread, Run: func(_ context.Context, r *Request, _ None) (Text, error) {
		return Text(show(r)), nil
	}}
}

const wantNoStore = "no-store"

func (a answered) is(t *testing.T, what string, status int, body string) {
	t.Helper()
	if a.StatusCode != status || a.body != body {
		t.Errorf("%s: %d %q, want %d %q", what, a.StatusCode, a.body, status, body)
	}
	if id := a.Header.Get("X-Request-Id"); (len(id) == 16) != (status >= 500) || a.Header.Get("X-Content-Type-Options") != "nosniff" ||
		a.Header.Get("Cache-Control") != wantNoStore || a.Header.Get("Server") != "" {
		t.Errorf("%s: headers %v", what, a.Header)
	}
}
