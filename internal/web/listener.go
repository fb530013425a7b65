package web

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// ListenerConfig is what a Listener needs to know.
type ListenerConfig struct {
	Log *slog.Logger
	// Plain is a listener of plain HTTP/1: the framing of its requests is checked. It can't
	// be on connections with TLS, which net/http must see as they are to speak HTTP/2;
	// there it is net/http's own.
	Plain bool
	// ProxyProtocol is a listener whose every connection is a trusted proxy's, and begins
	// with a header of the PROXY protocol that names the client.
	ProxyProtocol bool
	Limits        Limits
}

// Limits bound the connections of a Listener.
type Limits struct {
	Connections int // places in all
	PerSource   int // those of one source that is no trusted proxy: an IPv4 address, or the /64 of an IPv6 one
	// TrustedProxies are the peers that many clients come from.
	TrustedProxies []netip.Prefix
}

// Listener bounds the connections to a server. Each takes one place, or as many as bodies
// of requests are to come on it at once (over HTTP/2), since these are what takes memory.
// One more than there may be, in all or from one source, has the connection closed that has
// waited longest for its client: for the head or the body of a request, for a handshake, or
// idle. So slow clients, and those that only hold connections, make room for quick ones. A
// connection whose request is being answered is never closed for another; if all are, the
// new one is, or the new request refused.
//
// Its server is one of Server.
type Listener struct {
	net.Listener
	config ListenerConfig
	limits atomic.Pointer[Limits]

	mu    sync.Mutex
	all   []*conn
	taken int                // places, of all connections
	of    map[netip.Addr]int // places by source, of those that count
	notes map[string]*note

	closed [closings]atomic.Uint64
}

// Listen makes the Listener of a server.
func Listen(l net.Listener, c ListenerConfig) *Listener {
	out := &Listener{Listener: l, config: c, of: map[netip.Addr]int{}, notes: map[string]*note{}}
	out.SetLimits(c.Limits)
	return out
}

// SetLimits changes the limits. Connections that are open stay so.
func (l *Listener) SetLimits(limits Limits) {
	limits.TrustedProxies = unmapped(limits.TrustedProxies)
	l.limits.Store(&limits)
}

// Accept returns the next connection that there is room for.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		below, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := l.admit(below); c != nil {
			return c, nil
		}
		_ = below.Close()
	}
}

// sendBuffer is what the system keeps for a client that does not read: more than any
// answer has, and not the megabytes that it would keep of itself.
const sendBuffer = 64 << 10

// admit makes room for a connection, or returns nil.
func (l *Listener) admit(below net.Conn) *conn {
	peer := addressOf(below.RemoteAddr())
	proxied := contains(l.limits.Load().TrustedProxies, peer)
	c := &conn{Conn: below, listener: l}
	c.since.Store(tick())
	if tcp, ok := below.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(sendBuffer)
	}
	switch {
	case l.config.ProxyProtocol && !proxied:
		l.closed[closedPeer].Add(1)
		l.note("connections of peers that are no declared proxy were closed, since proxy_protocol is set: if these are yours, add them to trusted_proxy", peer, nil)
		return nil
	case l.config.ProxyProtocol:
		c.introduced()
	case !proxied:
		c.source = sourceKey(peer)
	}
	if !l.enter(c) {
		return nil
	}
	return c
}

// enter takes a connection in, and closes another one for it if need be.
func (l *Listener) enter(c *conn) bool {
	limits := l.limits.Load()
	l.mu.Lock()
	full, old, ok := l.makeRoom(c.source, limits)
	if ok {
		c.place = len(l.all)
		l.all = append(l.all, c)
		l.count(c.source, 1)
		l.taken++
	}
	l.mu.Unlock()
	l.room(full, c.source, old, ok)
	return ok
}

// expect counts a body that is to come on a connection, of which the first has the place of
// the connection, and closes another connection for it if need be, or that one. It tells
// whether there is room.
func (l *Listener) expect(c *conn) bool {
	limits := l.limits.Load()
	l.mu.Lock()
	full, old, ok := "", (*conn)(nil), true
	if c.bodies > 0 && c.place >= 0 {
		full, old, ok = l.makeRoom(c.source, limits)
	}
	if ok {
		before := c.weight()
		c.bodies++
		l.reweigh(c, before)
	}
	l.mu.Unlock()
	l.room(full, c.source, old, ok)
	return ok
}

// arrived is for when a body that was expected is there, or will not come.
func (l *Listener) arrived(c *conn) {
	l.mu.Lock()
	before := c.weight()
	c.bodies--
	l.reweigh(c, before)
	l.mu.Unlock()
}

// reweigh counts what a connection weighs now instead of what it did before. l.mu is held.
func (l *Listener) reweigh(c *conn, before int) {
	if c.place < 0 {
		return
	}
	l.count(c.source, c.weight()-before)
	l.taken += c.weight() - before
}

// makeRoom drops the connection that must go before a source may have one place more, if
// any must. It tells which limit that is of, and whether there is room then. l.mu is held.
func (l *Listener) makeRoom(source netip.Addr, limits *Limits) (full string, old *conn, ok bool) {
	old, ok = l.oldest(source, limits.PerSource)
	full = "of one source"
	if ok && old == nil && l.taken >= limits.Connections {
		old, full = l.longest(netip.Addr{}), "in all"
		ok = old != nil
	}
	if old != nil {
		l.drop(old)
	}
	return full, old, ok
}

// name counts a connection as one of the source that the header of the PROXY protocol
// tells.
func (l *Listener) name(c *conn, source netip.Addr) bool {
	limits := l.limits.Load()
	if contains(limits.TrustedProxies, source) {
		return true
	}
	source = sourceKey(source)
	l.mu.Lock()
	old, ok := l.oldest(source, limits.PerSource)
	if ok = ok && c.place >= 0; ok {
		if old != nil {
			l.drop(old)
		}
		c.source = source
		l.count(source, c.weight())
	} else {
		old = nil
	}
	l.mu.Unlock()
	l.room("of one source", source, old, ok)
	return ok
}

// oldest is the connection that must go before a source may have another place, if any
// must, and whether there is room then. l.mu is held.
func (l *Listener) oldest(source netip.Addr, limit int) (old *conn, ok bool) {
	if !source.IsValid() || l.of[source] < limit {
		return nil, true
	}
	old = l.longest(source)
	return old, old != nil
}

// longest is the connection that has waited longest for its client, of one source or of
// all. l.mu is held.
func (l *Listener) longest(source netip.Addr) (found *conn) {
	least := tick()
	for _, c := range l.all {
		if source.IsValid() && c.source != source || c.answering.Load() > 0 {
			continue
		}
		if since := c.since.Load(); since <= least {
			found, least = c, since
		}
	}
	return found
}

// drop forgets a connection. l.mu is held.
func (l *Listener) drop(c *conn) {
	if c.place < 0 {
		return
	}
	last := len(l.all) - 1
	l.all[c.place] = l.all[last]
	l.all[c.place].place = c.place
	l.all[last] = nil
	l.all = l.all[:last]
	c.place = -1
	l.count(c.source, -c.weight())
	l.taken -= c.weight()
}

func (l *Listener) count(source netip.Addr, n int) {
	if !source.IsValid() {
		return
	}
	if l.of[source] += n; l.of[source] == 0 {
		delete(l.of, source)
	}
}

// room closes the connection that was dropped for another, and says so.
func (l *Listener) room(full string, source netip.Addr, old *conn, ok bool) {
	if old != nil {
		_ = old.Conn.Close() // the server, which reads from it, closes the rest
	}
	switch {
	case !ok:
		l.closed[closedFull].Add(1)
		l.note("new connections were closed or their requests refused, since there are as many as there may be "+full+", all with a request: see source_connections and max_connections", source, nil)
	case old != nil:
		l.closed[closedForRoom].Add(1)
		l.note("connections that waited for their clients were closed to make room, since there were as many as there may be "+full+": see source_connections and max_connections", source, nil)
	}
}

// note is how often something was not said.
type note struct {
	count int
	next  time.Time
}

const noteEvery = time.Minute

// note says at most once a minute what anybody could have happen a thousand times a
// second: at once if it is new, else with how often it happened since.
func (l *Listener) note(what string, peer netip.Addr, cause error) {
	now := time.Now()
	l.mu.Lock()
	n := l.notes[what]
	if n == nil {
		n = new(note)
		l.notes[what] = n
	}
	n.count++
	count := n.count
	silent := now.Before(n.next)
	if !silent {
		*n = note{next: now.Add(noteEvery)}
	}
	l.mu.Unlock()
	if silent {
		return
	}
	attrs := []any{"times", count, "last_peer", peer.String()}
	if cause != nil {
		attrs = append(attrs, "cause", Printable(cause.Error(), 256))
	}
	l.config.Log.Warn(what, attrs...)
}

// sourceKey is the address that stands for a source: the first of the /64 of an IPv6 one.
func sourceKey(a netip.Addr) netip.Addr {
	if a.Is6() {
		return netip.PrefixFrom(a, 64).Masked().Addr()
	}
	return a
}

func addressOf(a net.Addr) netip.Addr {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a.AddrPort().Addr().Unmap().WithZone("")
	case nil:
		return netip.Addr{}
	}
	peer, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap().WithZone("")
}
