package web

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/auth"
)

// Whatever a stranger puts into any part of a request or a connection, the log has one
// line for it, with nothing in it that moves a cursor or looks like another line.
func TestThreat61_EveryField(t *testing.T) {
	evil := "\x1b[31m\u009b31m\u202e\u2028\x7f\tlevel=ERROR msg=forged \"}\xff"
	inURL := "%0d%0alevel=ERROR%20msg=forged%1b%5b31m%c2%9b%e2%80%ae%22%7d%ff"
	escaped, _ := json.Marshal("\r\nlevel=ERROR msg=forged" + evil)
	name := string(escaped)
	requests := []string{
		"GET /" + inURL + "?" + inURL + " HTTP/1.1\r\nHost: x\r\n",
		"GE'`|~T /fails HTTP/1.1\r\nHost: x\r\n",
		"GET http://" + inURL[:12] + "/ HTTP/1.1\r\nHost: x\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\n" + evil + ": x\r\n",
	}
	for _, header := range []string{
		"User-Agent", "Authorization", "Authentication", "Cookie", "X-Forwarded-For", "Forwarded", "X-Real-Ip", "X-Original-Uri", "X-Original-Method",
		"X-Request-Id", "Content-Type", "Origin", "Referer", "Expect", "Transfer-Encoding", "Content-Length", "X-Csrf-Token", "Connection", "Upgrade",
	} {
		for _, value := range []string{evil, "\u009b31m\u202e\u2028 level=ERROR msg=forged \"}\xff"} { // net/http takes the last
			requests = append(requests, "GET /fails HTTP/1.1\r\nHost: x\r\n"+header+": "+value+"\r\n")
		}
	}
	for _, body := range []string{"{" + name + ":1," + name + ":2}", `{"username":` + name + `}`, `{"username":[` + name + `]}`, evil} {
		requests = append(requests, fmt.Sprintf("POST /fails HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	}
	for format, handler := range map[string]func(io.Writer) slog.Handler{
		"json": func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) },
		"text": func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) },
	} {
		log := new(journal)
		address := logged(t, slog.New(handler(log)))
		for _, request := range requests {
			if !strings.Contains(request, "\r\n\r\n") {
				request += "\r\n"
			}
			before := log.String()
			conn := dialed(t, address, request+"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			_, _ = io.Copy(io.Discard, conn)
			h := house{addr: address}
			if a := h.raw(t, "GET /mark HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); a.StatusCode != http.StatusNotFound {
				t.Fatal(a.Status)
			}
			until(t, "the line of the mark", func() bool { return strings.Contains(log.String()[len(before):], "/mark") })
			for line := range strings.Lines(log.String()[len(before):]) {
				if !strings.HasPrefix(line, `{"time":"`) && !strings.HasPrefix(line, "time=") {
					t.Errorf("%s: %q makes a line %q", format, request, line)
				}
				for _, r := range strings.TrimSuffix(line, "\n") {
					if quoteRune(r) != string(r) {
						t.Errorf("%s: %q puts %U into the log: %q", format, request, r, line)
					}
				}
				if n := strings.Count(line, `level=ERROR msg=forged`); format == "text" && strings.HasPrefix(line, "level=") || n > 3 {
					t.Errorf("%s: %q is logged as %q", format, request, line)
				}
			}
		}
	}
}

// logged is a server whose causes say back what they were sent.
func logged(t *testing.T, log *slog.Logger) (address string) {
	t.Helper()
	handler := greet(BodyEmpty)
	handler.Methods = nil
	handler.Run = func(_ context.Context, r *Request, in login) (greeting, error) {
		r.Original(r.Header.Get("X-Original-Method"), r.Header.Get("X-Original-Uri"))
		return greeting{}, auth.Because(auth.CodeBadCredentials, "no account %s, %v", in.Username, r.Header)
	}
	mux, err := NewMux([]Route{{Path: "/fails", Handler: handler}})
	if err != nil {
		t.Fatal(err)
	}
	trusted := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	server := Server(ServerConfig{Handler: Middleware(log, mux, Options{TrustedProxies: trusted}), Log: log})
	below, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Listen(below, ListenerConfig{Log: log, Plain: true, Limits: Limits{Connections: 100, PerSource: 100}})
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return below.Addr().String()
}
