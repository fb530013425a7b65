package ostiaryauth

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// until waits for what is about to happen.
func until(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for start := time.Now(); !happened(); time.Sleep(time.Millisecond) {
		if time.Since(start) > 20*time.Second {
			t.Fatal(what)
		}
	}
}

func (i *introspector) underWay() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.flying
}

// Whoever sends made-up tokens while Ostiary hangs has so many of them asked about, and
// who hangs up gives the place back.
func TestIntrospection_Bounded(t *testing.T) {
	p := newPeer(t)
	p.gate = make(chan struct{})
	open := sync.OnceFunc(func() { close(p.gate) })
	t.Cleanup(open)
	var log bytes.Buffer
	v := p.verifier(t, func(c *Config) { c.Client, c.Log = nil, slog.New(slog.NewTextHandler(&log, nil)) })
	ask := func(ctx context.Context, token string) error {
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		_, err := v.Verify(r)
		return err
	}
	ctx, hangUp := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	shared := p.opaque(mikrocloudAnswer())
	stayed := make(chan error, 1)
	go func() { stayed <- ask(t.Context(), shared) }()
	wg.Go(func() { _ = ask(ctx, shared) })
	for range maxQuestions - 1 {
		token := p.opaque(mikrocloudAnswer())
		wg.Go(func() {
			if err := ask(ctx, token); !unavailable(err) {
				t.Error(err)
			}
		})
	}
	until(t, "not all are asked about", func() bool { return p.questions() == maxQuestions })
	next := p.opaque(mikrocloudAnswer())
	start := time.Now()
	if err := ask(t.Context(), next); !unavailable(err) || p.questions() != maxQuestions || time.Since(start) > callTimeout/2 {
		t.Errorf("one more: %v after %v, %d questions", err, time.Since(start), p.questions())
	}
	hangUp()
	wg.Wait()
	// One is left, whose other asker stays.
	until(t, "questions go on that nobody waits for", func() bool { return v.introspector.underWay() == 1 })
	open()
	if err := <-stayed; err != nil {
		t.Errorf("who stayed: %v", err)
	}
	if err := ask(t.Context(), next); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if n := bytes.Count(log.Bytes(), []byte("\n")); n != 1 { // of the one more
		t.Errorf("the log: %s", log.String())
	}
}

// Connections to Ostiary are kept, as many as a busy server needs.
func TestNew_KeepsConnections(t *testing.T) {
	const atOnce, rounds = 50, 5
	p := newPeer(t)
	var mu sync.Mutex
	peers := map[string]bool{}
	var arrived *sync.WaitGroup // in this round
	counted := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		peers[r.RemoteAddr] = true
		mu.Unlock()
		arrived.Done()
		arrived.Wait()
		p.ServeHTTP(w, r)
	}))
	v := p.verifier(t, func(c *Config) { c.Client, c.URL = nil, counted })
	for range rounds {
		arrived = &sync.WaitGroup{}
		arrived.Add(atOnce)
		var wg sync.WaitGroup
		for range atOnce {
			token := p.opaque(mikrocloudAnswer())
			wg.Go(func() {
				if _, err := verify(v, "Authorization: Bearer "+token); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	if n := len(peers); n > atOnce*3/2 {
		t.Errorf("%d connections for %d at once", n, atOnce)
	}
}
