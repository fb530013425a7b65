// Package legacy is the client of the servers that a mount takes over from: the one way on
// which Ostiary asks them anything. What a dialect asks, and how it reads the answer, is in
// the dialect's package.
//
// A legacy server may be slow, away, overloaded, or not what it should be. So a call ends in
// bounded time, only so many are made at once, an answer is read up to a limit, no redirect
// is followed, no proxy of the environment used, and a server that fails several times in a row is left
// alone for a while. Whatever is not clearly a yes or a no is [auth.CodeUnavailable].
package legacy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// What a mount has unless the configuration says otherwise.
const (
	DefaultTimeout = 5 * time.Second
	DefaultCalls   = 32
)

// Options of a client.
type Options struct {
	URL     string        // https://HOST[:PORT][/PATH], or http:// of this machine
	CA      []byte        // certificates in PEM that are trusted in place of the system's; nil: those
	Timeout time.Duration // of a call, from its beginning to the end of the answer
	Calls   int           // at once
	Caller  string        // by which who asks knows its own calls; "": it does not
	Log     *slog.Logger  // nil: none
}

// Client asks one legacy server. It is safe for concurrent use.
type Client struct {
	base      *url.URL
	caller    string
	timeout   time.Duration
	transport *http.Transport
	slots     chan struct{} // of the calls under way
	breaker   breaker
	floor     floor
}

// ParseURL reads where a legacy server is. What is sent there are passwords: so it is
// HTTPS, or stays on this machine.
func ParseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || strings.HasSuffix(u.Host, ":") || u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("must be a URL such as https://old.example.com")
	case u.User != nil:
		return nil, fmt.Errorf("must not hold a user or a password")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(text, "#"):
		return nil, fmt.Errorf("must end with its path: no query, no fragment")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return nil, fmt.Errorf("%q is not HTTPS: passwords would be readable on the way; http is for a loopback address alone", text)
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), ""
	return u, nil
}

func loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && address.Unmap().IsLoopback()
}

// New makes the client of a server. Nothing is sent.
func New(o Options) (*Client, error) {
	base, err := ParseURL(o.URL)
	if err != nil {
		return nil, err
	}
	if o.Timeout <= 0 || o.Calls <= 0 {
		return nil, errors.New("legacy: a client needs a timeout, and a number of calls")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CA != nil {
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(o.CA) {
			return nil, errors.New("has no certificate in PEM")
		}
	}
	dialer := &net.Dialer{Timeout: o.Timeout}
	if base.Scheme == "http" {
		dialer.Control = stayHere
	}
	return &Client{
		base: base, caller: o.Caller, timeout: o.Timeout, slots: make(chan struct{}, o.Calls),
		transport: &http.Transport{
			Proxy: nil, DialContext: dialer.DialContext, TLSClientConfig: trust, TLSHandshakeTimeout: o.Timeout,
			DisableCompression: true, MaxConnsPerHost: o.Calls, MaxIdleConnsPerHost: o.Calls, MaxResponseHeaderBytes: maxAnswer,
			// HTTP/1.1 alone: of HTTP/2, Go sends a request again whose stream was reset.
			// Shorter than servers keep a connection that is idle: a login must not be
			// sent into one that is just being closed, since it is not sent twice.
			IdleConnTimeout: time.Second,
		},
		breaker: breaker{log: o.Log.With("legacy", base.String())},
		floor:   floor{limit: o.Timeout},
	}, nil
}

// stayHere refuses to connect to anything but this machine, whatever a name resolves to.
func stayHere(_, address string, _ syscall.RawConn) error {
	if to, err := netip.ParseAddrPort(address); err != nil || !to.Addr().Unmap().IsLoopback() {
		return fmt.Errorf("%s is not this machine: http is for a loopback address alone", address)
	}
	return nil
}

// Timeout is how long a call may take.
func (c *Client) Timeout() time.Duration { return c.timeout }

// Floor is about how long refusals of the server take now.
func (c *Client) Floor() time.Duration { return c.floor.now() }

// Close closes the connections that are idle. Calls under way go on.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Reach connects to the server, with TLS if the URL says so, and sends nothing.
func (c *Client) Reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	port := c.base.Port()
	if port == "" {
		port = c.base.Scheme
	}
	conn, err := c.transport.DialContext(ctx, "tcp", net.JoinHostPort(c.base.Hostname(), port))
	if err != nil {
		return c.explain(err)
	}
	defer func() { _ = conn.Close() }()
	if c.base.Scheme != "https" {
		return nil
	}
	trust := c.transport.TLSClientConfig.Clone()
	trust.ServerName = c.base.Hostname()
	if err := tls.Client(conn, trust).HandshakeContext(ctx); err != nil {
		return c.explain(err)
	}
	return nil
}
