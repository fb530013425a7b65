package inflight

import (
	"context"
	"crypto/tls"
	"net"
	"sync"

	"github.com/redis/rueidis"
)

// lines are the connections of one link. The library forgets those of a cluster that come
// about while it is closed: so they are counted here, and closed.
type lines struct {
	mu    sync.Mutex
	open  map[*line]bool
	ended bool
}

type line struct {
	net.Conn
	of *lines
}

func (l *line) Close() error {
	l.of.mu.Lock()
	delete(l.of.open, l)
	l.of.mu.Unlock()
	return l.Conn.Close()
}

func (l *lines) dial(ctx context.Context, address string, dialer *net.Dialer, secure *tls.Config) (net.Conn, error) {
	l.mu.Lock()
	ended := l.ended
	l.mu.Unlock()
	if ended {
		return nil, rueidis.ErrClosing
	}
	way := dialer.DialContext
	if secure != nil {
		way = (&tls.Dialer{NetDialer: dialer, Config: secure}).DialContext
	}
	c, err := way(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		_ = c.Close()
		return nil, rueidis.ErrClosing
	}
	if l.open == nil {
		l.open = map[*line]bool{}
	}
	one := &line{c, l}
	l.open[one] = true
	return one, nil
}

// end lets no new ones come about, and closes those that are left.
func (l *lines) end() {
	l.mu.Lock()
	l.ended = true
	left := l.open
	l.open = nil
	l.mu.Unlock()
	for one := range left {
		_ = one.Conn.Close()
	}
}
