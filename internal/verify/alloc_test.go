package verify

import (
	"log/slog"
	"net/http"
	"testing"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/web"
)

// TestVerify_Allocations: what a verification allocates beside net/http's own, middleware
// and log line included, is a handful: garbage is what costs most here beside the sockets.
func TestVerify_Allocations(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	mux, err := web.NewMux(Routes(h.svc, "", "", "one", h.one.ID))
	if err != nil {
		t.Fatal(err)
	}
	handler := web.Middleware(slog.New(slog.DiscardHandler), mux, web.Options{})
	ask := func(authorization string) float64 {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "/ostiary/verify", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.RemoteAddr = "127.0.0.1:1"
		r.Header.Set("Authorization", authorization)
		w := &nobody{header: http.Header{}}
		made := testing.AllocsPerRun(1000, func() {
			clear(w.header)
			handler.ServeHTTP(w, r)
		})
		if w.header.Get("Ostiary-Username") != "ada" {
			t.Fatal(w.header)
		}
		return made
	}
	for _, algorithm := range []string{"RS256", "ES256", "EdDSA"} {
		if err := h.svc.EnsureKey(t.Context(), h.one.ID, algorithm, auth.Client{}); err != nil {
			t.Fatal(err)
		}
		g := h.login(t, "one/plain", "ada")
		g.Mount.Algorithm = algorithm
		if n := ask("Bearer " + h.token(t, g)); n > 12 {
			t.Errorf("%s: %v allocations", algorithm, n)
		}
	}
	if n := ask("Bearer " + h.token(t, h.login(t, "one/opaque", "ada"))); n > 11 { // one of them with -race alone
		t.Errorf("opaque: %v allocations", n)
	}
}
