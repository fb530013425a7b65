package web

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

func TestThreat59_Smuggling(t *testing.T) {
	h := open(t, Options{}, Route{Path: "/login", Handler: greet(BodyJSON)}, Route{Path: "/ignored", Handler: greet(BodyIgnored)})
	for what, text := range map[string]string{
		"two lengths":        "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
		"a length list":      "Content-Length: 2, 3\r\n\r\n{} ",
		"a signed length":    "Content-Length: +2\r\n\r\n{}",
		"bare LF in a chunk": "Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n",
		"a bad chunk":        "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
		"a folded header":    "X: a\r\n b: c\r\nContent-Length : 2\r\n\r\n{}",
		"two hosts":          "Host: y\r\nContent-Length: 2\r\n\r\n{}",
		"NUL in a header":    "X: a\x00b\r\nContent-Length: 2\r\n\r\n{}",
		"CR in a header":     "X: a\rb\r\nContent-Length: 2\r\n\r\n{}",
	} {
		for _, path := range []string{"/login", "/ignored"} {
			if a := h.raw(t, "POST "+path+" HTTP/1.1\r\nHost: x\r\n"+text); a.StatusCode != 400 {
				t.Errorf("%s at %s: %d %q", what, path, a.StatusCode, a.body)
			}
		}
	}
	if a := h.raw(t, "POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n"); a.StatusCode != 501 {
		t.Errorf("an unknown encoding: %d", a.StatusCode)
	}
	h.raw(t, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n").is(t, "OPTIONS *", 404, `{"type":"about:blank","title":"Not Found","status":404,"code":"not_found"}`)
	h.raw(t, "POST http://other/login HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}").is(t, "absolute", 200, `{"message":"<>","token":null}`)
}

func TestThreat60_HeadersAndSlowClients(t *testing.T) {
	h := open(t, Options{}, Route{Path: "/login", Handler: greet(BodyJSON)})
	if a := h.raw(t, "GET /login HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 40<<10)+"\r\n\r\n"); a.StatusCode != 431 {
		t.Errorf("40 KiB of headers: %d", a.StatusCode)
	}
	for range 200 { // connections that send nothing more
		conn, err := net.Dial("tcp", h.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
	}
	start := time.Now()
	h.ask(t, "POST", "/login", strings.NewReader("{}")).is(t, "a canary", 200, `{"message":"<>","token":null}`)
	if took := time.Since(start); took > time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestThreat58_BoundedBeforeParsing(t *testing.T) {
	h := open(t, Options{}, Route{Path: "/login", Handler: greet(BodyJSON)})
	var names bytes.Buffer
	names.WriteString(`{"x":0`)
	for i := range 1_000_000 {
		fmt.Fprintf(&names, `,"%d":0`, i)
	}
	names.WriteString("}")
	h.ask(t, "POST", "/login", &names).is(t, "10^6 names", 413, `{"code":"too_large","error":"the body is larger than 64 KiB","path":"/login"}`)
	h.ask(t, "POST", "/login", strings.NewReader(`{"x":`+strings.Repeat("[", 100_000))).is(t, "10^5 deep", 413, `{"code":"too_large","error":"the body is larger than 64 KiB","path":"/login"}`)
	h.ask(t, "POST", "/login", strings.NewReader(`{"x":`+strings.Repeat("[", 60_000))).is(t, "60000 deep", 400, `{"code":"invalid_input","error":"the body is nested too deeply","path":"/login"}`)
}

func TestThreat61_LogInjection(t *testing.T) {
	for name, handler := range map[string]func(io.Writer) slog.Handler{
		"json": func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) },
		"text": func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) },
	} {
		var log journal
		var client auth.Client
		mux, err := NewMux([]Route{{Path: "/ostiary/verify/", Handler: shows(func(r *Request) string { client = r.Client; return "" })}})
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(Middleware(slog.New(handler(&log)), mux, Options{}))
		for _, path := range []string{
			"/ostiary/verify/%0d%0alevel=ERROR%20msg=forged", "/ostiary/verify/%1b%5b31mred%1b%5b0m", "/ostiary/verify/%c2%9b31m%e2%80%ae%e2%80%a8x", "/ostiary/verify/%ff%fe",
			"/missing%0a%22%7d%0a%7b%22msg%22:%22forged", "/missing/" + strings.Repeat("a", 10_000), "/missing?password=hunter2",
		} {
			before := strings.Count(log.String(), "\n")
			request, _ := http.NewRequest("GET", server.URL+path, nil)
			request.Header.Set("User-Agent", "evil\x1b[31m\xc2\x9b\xff\tagent"+strings.Repeat("x", 1000))
			request.Header.Set("Authorization", "Bearer hunter2")
			request.Header.Set("Cookie", "a=hunter2")
			response, err := http.DefaultTransport.RoundTrip(request)
			if err != nil {
				// The client refuses to send a control character; a socket does not.
				text := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: x\r\nUser-Agent: evil\xc2\x9b\xff\tagent%s\r\nAuthorization: Bearer hunter2\r\nConnection: close\r\n\r\n", path, strings.Repeat("x", 1000))
				conn, err := net.Dial("tcp", server.Listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.WriteString(conn, text)
				if response, err = http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
			}
			response.Body.Close()
			deadline := time.Now().Add(5 * time.Second)
			for strings.Count(log.String(), "\n") == before && time.Now().Before(deadline) {
				time.Sleep(time.Millisecond)
			}
			if lines := strings.Count(log.String(), "\n") - before; lines != 1 {
				t.Errorf("%s: %s made %d lines:\n%s", name, path, lines, log.String())
			}
		}
		server.Close()
		text := log.String()
		if strings.Contains(text, "hunter2") || strings.Contains(text, "agent") || len(text) > 7*800 {
			t.Errorf("%s: the log has what it must not:\n%s", name, text)
		}
		for _, r := range text {
			if r != '\n' && quoteRune(r) != string(r) {
				t.Errorf("%s: the log has %U:\n%s", name, r, text)
			}
		}
		if len(client.UserAgent) > 300 || strings.ContainsAny(client.UserAgent, "\x1b\u009b\t") || !strings.HasPrefix(client.UserAgent, "evil") {
			t.Errorf("%s: user agent %q", name, client.UserAgent)
		}
	}
}

func TestPrintablePath_ShortensSecrets(t *testing.T) {
	token := "q83vEjRWeJCrze8SNFZ4kKvN/xI0VniQq83vEjRWeJA="
	for _, c := range []struct {
		path   string
		exists bool
		want   string
	}{
		{"/user/login", true, "/user/login"},
		{"/ostiary/sessions/01920000-0000-7000-8000-000000000000", true, "/ostiary/sessions/01920000-0000-7000-8000-000000000000"},
		{"/ostiary/verify/files/" + strings.Repeat("x", 41), true, "/ostiary/verify/files/xxxxxxxx…"},
		{"/" + token, false, "/q83vEjRWeJCrze8SNFZ4kKvN/xI0Vni…"},
		{"/nowhere", false, "/nowhere"},
	} {
		if got := printablePath(c.path, c.exists); got != c.want {
			t.Errorf("%s: %s", c.path, got)
		}
	}
}

func TestPrintable_Escapes(t *testing.T) {
	for in, want := range map[string]string{
		"plain /path": "plain /path", "zoë 漢": "zoë 漢", "a\r\nb": `a\r\nb`, "\x1b[31m": `\x1b[31m`, "\u009b\u202e\u2028": `\u009b\u202e\u2028`,
		"\xff": "\ufffd", "0123456789abcdefghij": "0123456789abcdefghi…", "漢漢漢漢漢漢漢": "漢漢漢漢漢漢…", "": "",
	} {
		if got := Printable(in, 19); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
