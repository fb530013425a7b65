package legacy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

// passed are the headers of a client's request that go on. Any other could name somebody else
// to the server, or have it read the request in another way, and what the client says of its
// connection concerns this one alone.
var passed = []string{
	"Authorization", "Authentication", "X-Csrf-Token", "Content-Type",
	"Accept", "Accept-Language", "User-Agent", "Origin", "Referer",
}

// callerHeader says who has made a call. Proxies on the way back drop headers that begin with Ostiary.
const callerHeader = "X-Ostiary-Caller"

// Returned is why a request is not answered that its own server has sent: it would send it
// again, for as long as anything is left to send with.
func Returned(h http.Header, caller string) *auth.Error {
	if h.Get(callerHeader) != caller {
		return nil
	}
	return &auth.Error{Code: auth.CodeUnavailable, RetryAfter: time.Second,
		Cause: errors.New("this server has sent this request to itself: legacy of a mount names it, or a proxy before it, in place of the old server")}
}

// Forward sends a client's request to the legacy server, with the body that was read of it
// and without a query, and returns the answer as it is, redirects and errors included. path
// is what follows the mount's prefix. The error is CodeUnavailable: there is no answer to pass on.
func (c *Client) Forward(ctx context.Context, r *http.Request, path string, body []byte, cl auth.Client) (*Answer, error) {
	out, err := c.newRequest(ctx, r.Method, path, body, cl)
	if err != nil {
		return nil, err
	}
	for _, name := range passed {
		if values := r.Header[name]; values != nil {
			out.Header[name] = values
		}
	}
	if out.Header["User-Agent"] == nil {
		out.Header["User-Agent"] = []string{""} // none, in place of Go's
	}
	a, p, err := c.send(ctx, out, maxForward, cl)
	if err != nil {
		return nil, err
	}
	if troubled(a.Status) {
		p.bad(&failure{cause: statusError(a.Status), retryAfter: retryAfter(a.Header)}, cl.Address)
	} else {
		p.good()
	}
	a.Header = endToEnd(a.Header)
	a.Header.Del("Content-Length")
	a.Header.Del("Alt-Svc") // RFC 7838: another door of that server
	return a, nil
}

// newRequest makes a request to the server. The client's address goes along, since the
// server may count the guesses of each.
func (c *Client) newRequest(ctx context.Context, method, path string, body []byte, cl auth.Client) (*http.Request, error) {
	u := *c.base
	u.Path += path
	content := io.Reader(http.NoBody)
	if len(body) > 0 {
		content = bytes.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), content)
	if err != nil {
		return nil, err
	}
	if c.caller != "" {
		r.Header.Set(callerHeader, c.caller)
	}
	if cl.Address.IsValid() {
		r.Header.Set("X-Forwarded-For", cl.Address.String())
	}
	return r, nil
}

// endToEnd is a header without what is for one connection alone (RFC 9110, section 7.6.1).
func endToEnd(h http.Header) http.Header {
	out := h.Clone()
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			out.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade"} {
		out.Del(name)
	}
	return out
}
