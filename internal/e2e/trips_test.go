package e2e_test

import (
	"math"
	"testing"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/pgtest"
	"github.com/ostiary/ostiary/internal/store"
)

// TestPostgres_RoundTrips counts how often a request waits for PostgreSQL, which may be a
// machine away: no more often than docs/performance.md says.
func TestPostgres_RoundTrips(t *testing.T) {
	proxy, url := pgtest.NewProxy(t, pgtest.URL(t))
	s, err := store.CreatePostgres(t.Context(), url, 0)
	if err != nil {
		t.Fatal(err)
	}
	h := openOn(t, s, func(o *auth.Options) { o.Store = s }) // in which a transaction runs once
	h.account(t, hostOne, "ada")
	h.hire(t)
	k := h.all(t, hostOne, "ada")
	check := func(headers ...string) func() {
		return func() { h.ask(t, hostOne, "GET", "/ostiary/whoami", "", headers...) }
	}
	for _, c := range []struct {
		name string
		do   func()
		most int
	}{
		{"login, nomic", func() { h.nomic(t, hostOne, "ada", k) }, 4},
		{"login, senmo", func() { h.senmo(t, hostOne, "ada", k) }, 4},
		{"login, cloudio", func() { h.cloudio(t, hostOne, "ada", k) }, 4},
		{"login, mikrocloud, password", func() { h.ticket(t, hostOne, "ada", k) }, 3},
		{"login, mikrocloud, both steps", func() { h.mikrocloud(t, hostOne, "ada", k) }, 10},
		{"login, senmo, and a refresh", func() { h.refreshOnce(t, hostOne, "ada", k) }, 4 + 2},
		{"check of a JWT", check("Authorization: Bearer " + k.access), 0},
		{"check of an opaque token", check("Authorization: Bearer " + k.auth), 0},
	} {
		least := math.MaxInt
		for range 5 { // what is read once in a while comes on top
			before := proxy.Trips()
			c.do()
			least = min(least, proxy.Trips()-before)
		}
		t.Logf("%s: %d", c.name, least)
		if least > c.most {
			t.Errorf("%s: %d round trips, more than %d", c.name, least, c.most)
		}
	}
}
