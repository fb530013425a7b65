package fault_test

import (
	"context"
	"encoding/base64"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// reader is an account that reads nothing but itself.
type reader struct {
	name, word string
	access     []string
	token      string // for refresh
}

// client is one whose agent has the name of its account.
func (r *reader) client(n *node) *client {
	c := newClient()
	c.url, c.agent = n.url, r.name
	return c
}

// Clients give up at any moment of their requests; two accounts that read themselves
// meanwhile, in every way there is, read nothing of each other.
func TestThreat62_ClientAborts(t *testing.T) {
	onEngines(t, func(t *testing.T, e engine) {
		s := newSite(t, e, settings)
		n := s.serve()
		readers := []*reader{{name: "wilhelmina"}, {name: "bartholomew"}} // no part of either is in a token by chance
		for _, r := range readers {
			r.word = s.employ(r.name)
			c := r.client(n)
			got := c.login(t.Context(), senmo, r.name, r.word)
			r.access, r.token = bearer(senmo, got), got.text("tokens", "refreshToken")
		}
		var aborting, reading sync.WaitGroup
		var aborted, read atomic.Int64
		enough := int64(count(1000, 10_000))
		over := make(chan struct{})
		for i, r := range readers {
			other := readers[1-i]
			for k := range 2 {
				aborting.Go(func() {
					c, rng := r.client(n), dice(uint64(6200+10*i+k))
					for !t.Failed() && (aborted.Load() < enough || read.Load() < enough/5) {
						ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(4000))*time.Microsecond)
						if ways[rng.IntN(len(ways))](ctx, c, r).status == 0 {
							aborted.Add(1)
						}
						cancel()
					}
				})
			}
			for k := range 2 {
				reading.Go(func() {
					c, rng := r.client(n), dice(uint64(6250+10*i+k))
					for !t.Failed() {
						select {
						case <-over:
							return
						default:
						}
						got := ways[rng.IntN(len(ways))](t.Context(), c, r)
						text := got.readable()
						if !got.ok() || !strings.Contains(text, r.name) || strings.Contains(text, other.name) {
							t.Errorf("%s reads %d %s", r.name, got.status, text)
						}
						read.Add(1)
					}
				})
			}
		}
		aborting.Wait()
		close(over)
		reading.Wait()
		t.Logf("%d requests given up, %d read", aborted.Load(), read.Load())
		s.must("", "audit", "verify")
	})
}

// ways are the requests whose answers are about the account that asks.
var ways = []func(ctx context.Context, c *client, r *reader) answer{
	func(ctx context.Context, c *client, r *reader) answer { return c.whoami(ctx, r.access) },
	func(ctx context.Context, c *client, r *reader) answer {
		return c.ask(ctx, "GET", "/ostiary/verify", "", r.access...)
	},
	func(ctx context.Context, c *client, r *reader) answer { return c.login(ctx, cloudio, r.name, r.word) },
	func(ctx context.Context, c *client, r *reader) answer { return c.login(ctx, senmo, r.name, r.word) },
	func(ctx context.Context, c *client, r *reader) answer { return c.refresh(ctx, r.token) }, // a retry, always
	func(ctx context.Context, c *client, r *reader) answer { // with the agent of each login
		return c.ask(ctx, "GET", "/ostiary/sessions", "", r.access...)
	},
}

// readable is an answer with what its tokens and headers say.
func (a answer) readable() string {
	text := a.body
	for _, name := range []string{"Ostiary-Username", "Ostiary-Subject"} {
		text += " " + a.header.Get(name)
	}
	for _, token := range []string{a.text("jwt"), a.text("tokens", "idToken"), a.text("tokens", "accessToken")} {
		if parts := strings.Split(token, "."); len(parts) == 3 {
			claims, _ := base64.RawURLEncoding.DecodeString(parts[1]) // what is no text shows below
			text = strings.Replace(text, token, "", 1) + " " + string(claims)
		}
	}
	return text
}
