package legacy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

const (
	maxAnswer  = 64 << 10 // of what is read here
	maxForward = 1 << 20  // of what is passed on
)

// Answer is what a legacy server has answered.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	Took   time.Duration
}

// failure is a call that ended with neither yes nor no.
type failure struct {
	cause      error
	perhaps    bool // it may be about this client, or this request, and not the server
	retryAfter time.Duration
}

// unavailable is what whoever asked is told.
func (c *Client) unavailable(f *failure) error {
	return &auth.Error{
		Code: auth.CodeUnavailable, RetryAfter: min(max(f.retryAfter, time.Second), maxHold),
		Cause: fmt.Errorf("the legacy server %s: %w", c.base, f.cause),
	}
}

// send makes a call, if it may be made now, and reads the answer up to a limit. The pass
// of an answer is for the caller to end.
func (c *Client) send(ctx context.Context, r *http.Request, limit int64, cl auth.Client) (*Answer, *pass, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	p, wait, last := c.breaker.enter(cl.Address)
	if p == nil {
		return nil, nil, c.unavailable(&failure{cause: fmt.Errorf("it is left alone, since it failed several times in a row: %w", last), retryAfter: wait})
	}
	if err := c.takeSlot(ctx); err != nil {
		p.drop()
		return nil, nil, c.unavailable(&failure{cause: err})
	}
	defer func() { <-c.slots }()
	began := time.Now()
	a, err := c.exchange(r.WithContext(ctx), limit)
	switch {
	case err != nil && errors.Is(ctx.Err(), context.Canceled): // the client has left
		p.drop()
		return nil, nil, c.unavailable(&failure{cause: context.Canceled})
	case err != nil:
		f := &failure{cause: c.explain(err), perhaps: errors.Is(err, errTooLong)}
		p.bad(f, cl.Address)
		return nil, nil, c.unavailable(f)
	}
	a.Took = time.Since(began)
	return a, p, nil
}

// takeSlot waits for a moment until one more call may be made.
func (c *Client) takeSlot(ctx context.Context) error {
	wait := time.NewTimer(c.timeout / 4)
	defer wait.Stop()
	select {
	case c.slots <- struct{}{}:
		return nil
	case <-wait.C:
	case <-ctx.Done():
	}
	return fmt.Errorf("as many calls as legacy_calls allows (%d) are under way", cap(c.slots))
}

var (
	errTooLong = errors.New("the answer is too long")
	errUpgrade = errors.New("it wants to speak another protocol")
)

// exchange sends a request once: a redirect is an answer like any other.
func (c *Client) exchange(r *http.Request, limit int64) (*Answer, error) {
	resp, err := c.transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return nil, errUpgrade
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > limit {
		return nil, errTooLong
	}
	return &Answer{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

// troubled tells whether a status says that the server can't do its work, or whoever
// stands before it can't reach it.
func troubled(status int) bool {
	return status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
}

// retryAfter reads the header of RFC 9110, section 10.2.3.
func retryAfter(h http.Header) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at).Round(time.Second))
	}
	return 0
}
