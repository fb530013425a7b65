package web

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/pires/go-proxyproto"
)

// conn is a connection of a Listener.
type conn struct {
	net.Conn
	listener *Listener
	source   netip.Addr // that it counts for, if any; guarded by listener.mu
	place    int        // in listener.all, or -1; guarded by listener.mu
	bodies   int        // of requests, that are to come; guarded by listener.mu

	// What the listener asks to choose one that waits.
	answering atomic.Int32 // requests that are there as a whole, for whose answer something is done
	since     atomic.Int64 // by tick, the last time that it began to wait

	named   atomic.Bool // the header of the PROXY protocol is there and good
	framing framing
	refused bool // malformed is all that is left to be read
	told    int  // bytes of it that were
}

var started = time.Now()

// tick is the time by a clock that nobody sets.
func tick() int64 { return int64(time.Since(started)) }

// grace is how long a connection is left alone once its answer has begun, so that the
// client gets all of it.
const grace = int64(100 * time.Millisecond)

// begin notes that a request has come as a whole, and end that nothing is left to be done
// for it. Then the connection begins to wait, or does so after the grace.
func (c *conn) begin() { c.answering.Add(1) }

func (c *conn) end(grace int64) {
	c.since.Store(tick() + grace)
	c.answering.Add(-1)
}

// weight is how many places the connection takes. listener.mu is held.
func (c *conn) weight() int { return max(1, c.bodies) }

type connKey struct{}

// connOf is the connection of a request's context, or nil.
func connOf(ctx context.Context) *conn {
	c, _ := ctx.Value(connKey{}).(*conn)
	return c
}

// connContext lets the requests of a connection find it. It is the ConnContext of a server.
func connContext(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if own, ok := c.(*conn); ok {
		return context.WithValue(ctx, connKey{}, own)
	}
	return ctx
}

// malformed is what is read in place of a request that is refused, so that net/http answers
// 400 in its turn, behind the answers that are still due, and closes the connection. It is
// well-formed nowhere: as a line, behind one that has begun, or in a chunk.
const malformed = "\x00\r\n\x00\r\n\r\n"

func (c *conn) Read(b []byte) (int, error) {
	if c.refused {
		n := copy(b, malformed[c.told:])
		if c.told += n; n == 0 && len(b) > 0 {
			return 0, io.EOF
		}
		return n, nil
	}
	n, err := c.Conn.Read(b)
	if err != nil && c.listener.config.ProxyProtocol && !c.named.Load() {
		c.unnamed(err)
	}
	if n > 0 && c.listener.config.Plain {
		return c.check(b, n, err)
	}
	return n, err
}

// check is Read for the n bytes that were read.
func (c *conn) check(b []byte, n int, err error) (int, error) {
	good, why := c.framing.scan(b[:n])
	switch {
	case why != "":
		c.refused = true
		c.listener.closed[closedFraming].Add(1)
		c.told = copy(b[good:], malformed)
		c.listener.config.Log.LogAttrs(context.Background(), slog.LevelInfo, "a request was refused with 400 before it was read, and its connection closed: if a client or proxy of yours sent it, mend that one",
			slog.String("cause", why), slog.String("source", addressOf(c.RemoteAddr()).String()))
		return good + c.told, nil
	case good < n:
		c.refused, c.told = true, len(malformed)
		return good, err
	}
	return n, err
}

// Close closes the connection, and gives its place to another.
func (c *conn) Close() error {
	c.listener.mu.Lock()
	c.listener.drop(c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}

// CloseWrite is for net/http, which lets a client read the answer to a request of which it
// reads no more.
func (c *conn) CloseWrite() error {
	below := c.Conn
	if p, ok := below.(*proxyproto.Conn); ok {
		below = p.Raw()
	}
	if half, ok := below.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// introductionWait is how long a proxy may take to say who its client is.
const introductionWait = 10 * time.Second

// LocalConnection is the header of a connection that a proxy makes for itself: version 2,
// LOCAL, no address.
const LocalConnection = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"

var (
	errVersion  = errors.New("the header is of version 1")
	errNoStream = errors.New("the header names no TCP connection")
	errNoRoom   = errors.New("too many connections of one source")
)

// introduced has the connection begin with a header of the PROXY protocol, version 2, which
// is read at the first Read, or when somebody asks for the address.
func (c *conn) introduced() {
	c.Conn = proxyproto.NewConn(c.Conn, proxyproto.WithPolicy(proxyproto.REQUIRE), proxyproto.SetReadHeaderTimeout(introductionWait),
		proxyproto.ValidateHeader(func(h *proxyproto.Header) error {
			if h.Version != 2 { // 1 has no length, and so no end that all find alike
				return errVersion
			}
			if h.Command.IsLocal() { // the proxy's own connection, such as a health check
				c.named.Store(true)
				return nil
			}
			if h.TransportProtocol != proxyproto.TCPv4 && h.TransportProtocol != proxyproto.TCPv6 {
				return errNoStream
			}
			c.named.Store(true)
			if !c.listener.name(c, addressOf(h.SourceAddr)) {
				return errNoRoom
			}
			return nil
		}))
}

// unnamed says that a proxy did not say who its client is.
func (c *conn) unnamed(err error) {
	c.listener.closed[closedUnnamed].Add(1)
	peer := c.RemoteAddr() // the proxy's, since there is no other
	c.listener.note("connections without a good header of the PROXY protocol were closed: have the proxy send one (send-proxy-v2), or unset proxy_protocol", addressOf(peer), err)
}
