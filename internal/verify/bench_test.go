package verify

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/web"
)

// BenchmarkVerify asks a real server over connections that stay open, from clients that
// cost little themselves. "floor" is a handler of net/http that sets as many headers.
func BenchmarkVerify(b *testing.B) {
	h := build(b)
	h.account(b, "one", "ada")
	b.Run("floor", func(b *testing.B) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, name := range identityHeaders {
				w.Header().Set(name, "x")
			}
		})}
		go func() { _ = server.Serve(listener) }()
		defer server.Close()
		load(b, listener.Addr().String(), "Authorization: Bearer x")
	})
	for _, algorithm := range []string{"RS256", "ES256", "EdDSA"} {
		if err := h.svc.EnsureKey(b.Context(), h.one.ID, algorithm, auth.Client{}); err != nil {
			b.Fatal(err)
		}
		g := h.login(b, "one/plain", "ada")
		g.Mount.Algorithm = algorithm
		jwt := h.token(b, g)
		b.Run(algorithm, func(b *testing.B) { load(b, h.addr, "Authorization: Bearer "+jwt) })
	}
	secret := h.token(b, h.login(b, "one/opaque", "ada"))
	b.Run("opaque", func(b *testing.B) { load(b, h.addr, "Authorization: Bearer "+secret) })
	b.Run("none", func(b *testing.B) { load(b, h.addr, "X: y") })
}

// load sends requests from 16 connections, and reports how many a second were answered
// and how much processor time each took, the client's share included.
func load(b *testing.B, addr string, header string) {
	request := []byte("GET /ostiary/verify HTTP/1.1\r\nHost: " + addr + "\r\nUser-Agent: bench\r\n" + header + "\r\n\r\n")
	const clients = 16
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan error, clients)
	start, cpu := time.Now(), processorTime()
	b.ResetTimer()
	for range clients {
		go func() { done <- client(addr, request, &left) }()
	}
	for range clients {
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "req/s")
	b.ReportMetric(float64((processorTime()-cpu).Microseconds())/float64(b.N), "cpu-µs/req")
}

func client(addr string, request []byte, left *atomic.Int64) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 8<<10)
	for left.Add(-1) >= 0 {
		if _, err := conn.Write(request); err != nil {
			return err
		}
		if err := answer(r); err != nil {
			return err
		}
	}
	return nil
}

// answer reads an answer of a benchmark: 200 without a body, or 401 with one.
func answer(r *bufio.Reader) error {
	length := 0
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		switch {
		case err != nil:
			return err
		case first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) && !bytes.HasPrefix(line, []byte("HTTP/1.1 401 ")):
			return fmt.Errorf("%q", line)
		case len(line) == 2:
			_, err := io.CopyN(io.Discard, r, int64(length))
			return err
		}
		if rest, found := bytes.CutPrefix(line, []byte("Content-Length: ")); found {
			_, _ = fmt.Sscanf(string(rest), "%d", &length)
		}
	}
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// nobody is a client that does not listen.
type nobody struct{ header http.Header }

func (n *nobody) Header() http.Header         { return n.header }
func (n *nobody) WriteHeader(int)             {}
func (n *nobody) Write(b []byte) (int, error) { return len(b), nil }

// BenchmarkHandler is the handler alone, middleware included, without net/http.
func BenchmarkHandler(b *testing.B) {
	h := build(b)
	h.account(b, "one", "ada")
	mux, err := web.NewMux(Routes(h.svc, "", "", "one", h.one.ID))
	if err != nil {
		b.Fatal(err)
	}
	handler := web.Middleware(slog.New(slog.DiscardHandler), mux, web.Options{})
	for _, d := range []auth.Dialect{plain, opaque} {
		g := h.login(b, "one/"+string(d), "ada")
		r, err := http.NewRequest("GET", "/ostiary/verify", nil)
		if err != nil {
			b.Fatal(err)
		}
		r.RemoteAddr = "127.0.0.1:1"
		r.Header.Set("Authorization", "Bearer "+h.token(b, g))
		b.Run(string(d), func(b *testing.B) {
			b.ReportAllocs()
			w := &nobody{header: http.Header{}}
			for b.Loop() {
				clear(w.header)
				handler.ServeHTTP(w, r)
			}
			if w.header.Get("Ostiary-Username") != "ada" {
				b.Fatal(w.header)
			}
		})
	}
}
