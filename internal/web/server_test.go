package web

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestServer_Limits(t *testing.T) {
	s := Server(ServerConfig{Addr: "127.0.0.1:1", Log: slog.New(slog.DiscardHandler)})
	if s.Addr != "127.0.0.1:1" || s.ReadHeaderTimeout != 10*time.Second || s.ReadTimeout != 20*time.Second || s.WriteTimeout != 60*time.Second || s.IdleTimeout != 120*time.Second || s.MaxHeaderBytes != 32<<10 || s.TLSConfig != nil {
		t.Errorf("%+v", s)
	}
}

type silent struct{ h http.Header }

func (s silent) Header() http.Header       { return s.h }
func (silent) Write(b []byte) (int, error) { return len(b), nil }
func (silent) WriteHeader(int)             {}

// BenchmarkEndpoint is everything of ours on the path of a request, without net/http.
func BenchmarkEndpoint(b *testing.B) {
	mux, err := NewMux([]Route{{Path: "/login", Handler: greet(BodyJSON)}})
	if err != nil {
		b.Fatal(err)
	}
	handler := Middleware(slog.New(slog.NewTextHandler(io.Discard, nil)), mux, Options{})
	r := httptest.NewRequest("POST", "/login", nil)
	r.Header.Set("Content-Type", "application/json")
	const text = `{"username":"somebody@example.com","password":"correct horse battery staple"}`
	reader := strings.NewReader(text)
	r.Body, r.ContentLength = io.NopCloser(reader), int64(len(text))
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(text)
		handler.ServeHTTP(silent{http.Header{}}, r)
	}
}
