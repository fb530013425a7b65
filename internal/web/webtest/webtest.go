// Package webtest serves routes as the real server does, for the tests of other packages.
package webtest

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"testing"

	"github.com/ostiary/ostiary/internal/web"
)

// Serve answers on a free port of this machine until the test ends, and returns the address.
func Serve(t testing.TB, log *slog.Logger, routes []web.Route, o web.Options) (addr string) {
	t.Helper()
	mux, err := web.NewMux(routes)
	if err != nil {
		t.Fatal(err)
	}
	server := web.Server(web.ServerConfig{Handler: web.Middleware(log, mux, o), Log: log})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Shutdown(context.Background())
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}
