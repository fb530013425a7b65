package web

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// plainServer refuses what comes in the clear.
func plainServer(t *testing.T, challenge func(http.ResponseWriter, *http.Request) bool, o Options) (addr string, log *journal) {
	t.Helper()
	log = new(journal)
	logger := slog.New(slog.NewJSONHandler(log, nil))
	server := Server(ServerConfig{Handler: Plain(logger, challenge, o), Log: logger})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return listener.Addr().String(), log
}

func TestPlain_RefusesAll(t *testing.T) {
	addr, log := plainServer(t, nil, Options{HSTS: time.Hour})
	const want = `{"type":"about:blank","title":"Forbidden","status":403,"detail":"nothing is answered here: use https","code":"forbidden"}`
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /ostiary/healthz HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /.well-known/acme-challenge/abc HTTP/1.1\r\nHost: x\r\n\r\n",
		"OPTIONS /x HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /v1/auth HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
		"POST /api/auth/token HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YTpi\r\nContent-Length: 0\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprint(conn, request)
		in := bufio.NewReader(conn)
		response, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		h := response.Header
		if response.StatusCode != http.StatusForbidden || string(body) != want || h.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%.40q: %d %s", request, response.StatusCode, body)
		}
		if h.Get("Location") != "" || h.Get("Strict-Transport-Security") != "" || !response.Close {
			t.Errorf("%.40q: %v, close %v", request, h, response.Close)
		}
		if _, err := in.ReadByte(); err == nil {
			t.Errorf("%.40q: the connection stays open", request)
		}
	}
	if text := log.String(); !strings.Contains(text, "have this client use https") || strings.Contains(text, "YTpi") {
		t.Error(text)
	}
}

// Whoever sends a credential in the clear is worth a line a minute.
func TestPlain_WarnsOfCredentials(t *testing.T) {
	var clock atomic.Int64
	clock.Store(1_800_000_000)
	addr, log := plainServer(t, nil, Options{Now: func() time.Time { return time.Unix(clock.Load(), 0) }})
	send := func(header, body string) {
		t.Helper()
		r, err := http.NewRequest("POST", "http://"+addr+"/v1/auth", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if header != "" {
			r.Header.Set(header, "Basic c2VjcmV0OnNlY3JldA==")
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}
	warned := func(when string, want int) {
		t.Helper()
		text := log.String()
		if got := strings.Count(text, "in the clear"); got != want || strings.Contains(text, "c2VjcmV0") || strings.Contains(text, "hunter2") {
			t.Errorf("%s: warned %d times, want %d\n%s", when, got, want, text)
		}
	}
	send("", "")
	warned("nothing sent", 0)
	send("Authorization", "")
	warned("a header", 1)
	send("Authentication", "")
	send("", `{"password":"hunter2"}`)
	warned("within the minute", 1)
	clock.Add(60)
	send("", `{"password":"hunter2"}`)
	warned("a minute later", 2)
}

func TestPlain_Challenge(t *testing.T) {
	challenge := func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/.well-known/acme-challenge/") {
			return false
		}
		_, _ = io.WriteString(w, "token.thumbprint")
		return true
	}
	addr, log := plainServer(t, challenge, Options{})
	for path, want := range map[string]int{"/.well-known/acme-challenge/token": 200, "/v1/auth": 403} {
		response, err := http.Get("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != want || want == 200 && string(body) != "token.thumbprint" || !response.Close {
			t.Errorf("%s: %d %s", path, response.StatusCode, body)
		}
	}
	log.lines(t, 2)
}
