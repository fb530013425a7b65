package e2e_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Requests that are given up at any moment of theirs mix up nobody's rows: two accounts
// that read themselves meanwhile read nobody else, nor half of themselves.
func TestThreat62_AbortedRequests(t *testing.T) {
	h := open(t)
	names := []string{"ada", "bob"}
	live := map[string]string{}
	for _, name := range names {
		h.account(t, hostOne, name)
		var k tokens
		h.mikrocloud(t, hostOne, name, &k)
		live[name] = "Bearer " + k.auth
	}
	var reading, aborting sync.WaitGroup
	var aborted, read atomic.Int64
	// Those who read have connections of their own: a transport may hand the error of a dial
	// that was given up to another request that waits for one.
	readers, aborters := &http.Transport{}, &http.Transport{}
	defer readers.CloseIdleConnections()
	defer aborters.CloseIdleConnections()
	ask := func(ctx context.Context, by *http.Transport, name, method, path string) (status int, text string, err error) {
		r, err := http.NewRequestWithContext(ctx, method, h.url+path, nil)
		if err != nil {
			return 0, "", err
		}
		r.Host = hostOne
		r.Header.Set("Authorization", live[name])
		res, err := by.RoundTrip(r)
		if err != nil {
			return 0, "", err
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		return res.StatusCode, string(b) + res.Header.Get("Ostiary-Username") + "@", err
	}
	paths := []string{"/ostiary/whoami", "/ostiary/verify", "/ostiary/sessions"}
	for _, name := range names {
		for range 4 {
			aborting.Go(func() {
				for range 250 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(1500))*time.Microsecond)
					if _, _, err := ask(ctx, aborters, name, "GET", paths[rand.IntN(3)]); err != nil {
						aborted.Add(1)
					}
					cancel()
				}
			})
		}
	}
	over := make(chan struct{})
	for i, name := range names {
		other := names[1-i]
		reading.Go(func() {
			for ok := true; ok; {
				select {
				case <-over:
					ok = false // and once more, when there is rest
				default:
				}
				for _, path := range paths {
					status, text, err := ask(t.Context(), readers, name, "GET", path)
					if err != nil || status != 200 || strings.Contains(text, other) || path != "/ostiary/sessions" && !strings.Contains(text, name) {
						t.Errorf("%s at %s: %d %s, %v", name, path, status, text, err)
					}
					read.Add(1)
				}
			}
		})
	}
	aborting.Wait()
	close(over)
	reading.Wait()
	if aborted.Load() < 100 {
		t.Errorf("only %d requests were given up", aborted.Load())
	}
	t.Logf("%d given up, %d read", aborted.Load(), read.Load())
}

// halfClosed is a connection whose client closes his side with the request that he sends.
type halfClosed struct{ *net.TCPConn }

func (c halfClosed) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b)
	return n, errors.Join(err, c.CloseWrite())
}

// Clients that close their side of the connection once they have asked are answered like all: devices in the field do so.
func TestHalfClosed(t *testing.T) {
	h := open(t)
	h.account(t, hostOne, "ada")
	h.by = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return halfClosed{c.(*net.TCPConn)}, nil
	}}
	for range 20 {
		k := h.all(t, hostOne, "ada")
		for of, headers := range k.bearers() {
			h.is(t, of, 200, "GET", "/ostiary/whoami", "", headers...)
			h.is(t, of, 200, "GET", "/ostiary/verify", "", headers...)
		}
		h.refreshOnce(t, hostOne, "ada", k)
		h.is(t, "a renewal", 200, "POST", "/api/auth/token", "", "Authorization: Bearer "+k.nomic)
		h.is(t, "a wrong password", 403, "POST", "/v1/auth", "", "Authorization: Token "+basic("bob", "wrong"))
	}
}
