package ostiaryauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	callTimeout = 5 * time.Second // of one request to Ostiary
	maxAnswer   = 4 << 20
	logEvery    = 10 * time.Second
)

// client asks Ostiary. It is safe for concurrent use.
type client struct {
	http *http.Client
	now  func() time.Time
	log  *slog.Logger

	mu     sync.Mutex
	logged time.Time
}

// ownClient keeps as many connections as there may be questions: with net/http's two, a busy server opens one for nearly
// every question, and runs out of ports. Those of questions that were left count too, while they are being opened.
func ownClient() *http.Client {
	standard, ok := http.DefaultTransport.(*http.Transport)
	if !ok || http.DefaultClient.Transport != nil {
		return http.DefaultClient // the program has its reasons
	}
	t := standard.Clone()
	t.MaxIdleConns, t.MaxIdleConnsPerHost, t.MaxConnsPerHost = 0, maxQuestions, maxQuestions
	t.TLSHandshakeTimeout = callTimeout
	return &http.Client{Transport: t}
}

// newClient uses given, but follows no redirects: whoever is asked is who was configured.
func newClient(given *http.Client, now func() time.Time, log *slog.Logger) *client {
	c := *given
	c.Timeout = 0 // do has the one that is promised
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client{http: &c, now: now, log: log}
}

// do sends a request and reads the body of a 200. Anything else is an error.
func (c *client) do(r *http.Request) ([]byte, http.Header, error) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	r.Header.Set("Accept", "application/json")
	answer, err := c.http.Do(r.WithContext(ctx))
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%s %s: %s", r.Method, r.URL, answer.Status)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer)) // an object that is cut is none
	return body, answer.Header, err
}

func (c *client) get(ctx context.Context, url string) ([]byte, http.Header, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, nil, err
	}
	return c.do(r)
}

// post sends a form, whose request may be repeated where a kept connection has just been closed by the other side.
func (c *client) post(ctx context.Context, url, name, secret, form string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(form))
	if err != nil {
		return nil, err
	}
	r.SetBasicAuth(name, secret)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header["Idempotency-Key"] = nil // tells net/http, and is not sent
	body, _, err := c.do(r)
	return body, err
}

// failed logs that Ostiary could not be asked, once in a while.
func (c *client) failed(what string, err error) {
	now := c.now()
	c.mu.Lock()
	due := c.logged.IsZero() || now.Sub(c.logged) >= logEvery
	if due {
		c.logged = now
	}
	c.mu.Unlock()
	if due {
		c.log.Warn("ostiaryauth: "+what, "err", err)
	}
}

// wait waits until done is closed, and no longer than ctx.
func wait(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return errors.Join(ErrUnavailable, context.Cause(ctx))
	}
}
