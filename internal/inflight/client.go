package inflight

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/ostiary/ostiary/internal/auth"
)

const (
	// within is how long Redis may take to connect, and to answer. A request takes twice that at most.
	within = 2 * time.Second
	// probe is how often a silent connection is asked whether it is there, and a cluster
	// which of its nodes has what.
	probe = time.Second
	// pause is before the first new try; it doubles tries times, while a cluster finds who takes over.
	pause, tries = 50 * time.Millisecond, 5
	// again is how often it doubles where nothing answers at all, and moment how long a guess
	// waits for a server that is known to be away.
	again, moment = 2, 200 * time.Millisecond
	// buffer is what a connection reads and writes at once.
	buffer = 16 << 10
)

// Options say where Redis is.
type Options struct {
	Addresses      []string
	User, Password string
	Database       int
	TLS, Cluster   bool
}

// Redis is an auth.Reserver.
type Redis struct {
	option rueidis.ClientOption
	name   string // where it is, for messages
	away   atomic.Pointer[silence]

	mu     sync.Mutex
	now    *link // nil until it is needed
	closed bool
}

var _ auth.Reserver = (*Redis)(nil)

// link is one of the library's, once it has connected.
type link struct {
	rueidis.Client
	lines lines
	err   error
	since time.Time
	ready chan struct{} // closed when the rest can be read
}

// New makes a client. It connects when it is asked something.
func New(o Options) *Redis {
	r := &Redis{name: strings.Join(o.Addresses, ","), option: rueidis.ClientOption{
		InitAddress: o.Addresses, Username: o.User, Password: o.Password, SelectDB: o.Database, ForceSingleClient: !o.Cluster,
		ClientName: "ostiary", ClientSetInfo: rueidis.DisableClientSetInfo, DisableCache: true,
		Dialer: net.Dialer{Timeout: within, KeepAlive: probe}, ConnWriteTimeout: within,
		// One connection to each node, on which a request that is given up holds up no other.
		PipelineMultiplex: -1, AlwaysPipelining: true, ReadBufferEachConn: buffer, WriteBufferEachConn: buffer,
		ClusterOption: rueidis.ClusterOption{ShardsRefreshInterval: probe, MaxMovedRedirections: 2 * tries},
		RetryDelay: func(attempts int, _ rueidis.Completed, err error) time.Duration {
			if attempts > tries || !answered(err) && attempts > again {
				return -1
			}
			return pause << (attempts - 1)
		},
	}}
	if o.TLS {
		r.option.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return r
}

// Close ends the connections.
func (r *Redis) Close() error {
	r.mu.Lock()
	c := r.now
	r.now, r.closed = nil, true
	r.mu.Unlock()
	if c != nil {
		c.end()
	}
	return nil
}

// do runs a script, which counts once however often it is run. A server that is known to be
// away is waited for only for a moment.
func (r *Redis) do(ctx context.Context, script *rueidis.Lua, keys []string, args ...string) ([]int64, error) {
	if s := r.away.Load(); s != nil {
		select {
		case <-s.over:
		case <-time.After(moment):
			return nil, s.why
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	all, err := r.ask(ctx, script, keys, args...)
	if err != nil && !answered(err) && ctx.Err() == nil && r.option.ForceSingleClient {
		r.lost(err)
	}
	return all, err
}

// silence is a time in which a server does not answer.
type silence struct {
	why  error
	over chan struct{} // closed at its end
}

// lost has one goroutine ask, in place of every guess, until there is an answer. A cluster
// has other nodes, which may answer: there each guess asks.
func (r *Redis) lost(why error) {
	s := &silence{why, make(chan struct{})}
	if !r.away.CompareAndSwap(nil, s) {
		return
	}
	go func() {
		for !errors.Is(why, rueidis.ErrClosing) {
			if _, why = r.ask(context.Background(), leave, pinged, "ping"); why == nil || answered(why) {
				break
			}
			time.Sleep(pause)
		}
		r.away.Store(nil)
		close(s.over)
	}()
}

// answered says whether an error is a server's own.
func answered(err error) bool {
	_, ok := rueidis.IsRedisErr(err)
	return ok
}

// ask runs a script. The library tries it again where a connection breaks, a cluster changes,
// or a server loads its data. A server that has become a replica, behind a name or a proxy, is
// left for the one that is there by now.
func (r *Redis) ask(ctx context.Context, script *rueidis.Lua, keys []string, args ...string) ([]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*within)
	defer cancel()
	for n := 0; ; n++ {
		c, err := r.connect(ctx)
		if err != nil {
			return nil, err
		}
		reply := script.Exec(ctx, c, keys, args)
		err = reply.Error()
		switch {
		case err == nil:
			return reply.AsIntSlice()
		case rueidis.IsRedisNil(err): // of a script that returns nothing
			return nil, nil
		case n == tries || !isReplica(err) && !errors.Is(err, rueidis.ErrClosing):
			return nil, err
		case isReplica(err):
			r.leave(c)
		}
		select {
		case <-time.After(pause << n):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// isReplica says whether a server takes no writes since it follows another. Older ones say so
// somewhere in the error of a script.
func isReplica(err error) bool {
	said, ok := rueidis.IsRedisErr(err)
	return ok && (strings.Contains(said.Error(), "READONLY ") || strings.HasPrefix(said.Error(), "MASTERDOWN "))
}

// connect returns the client, which one caller makes for all.
func (r *Redis) connect(ctx context.Context) (*link, error) {
	r.mu.Lock()
	c := r.now
	switch {
	case r.closed:
		r.mu.Unlock()
		return nil, rueidis.ErrClosing
	case c == nil:
		c = &link{ready: make(chan struct{})}
		r.now = c
		go r.dial(c)
	}
	r.mu.Unlock()
	select {
	case <-c.ready:
		return c, c.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (r *Redis) dial(c *link) {
	defer close(c.ready)
	o := r.option
	o.DialCtxFn = c.lines.dial
	c.Client, c.err = rueidis.NewClient(o)
	c.since = time.Now()
	if c.err == nil {
		return
	}
	if c.Client != nil {
		c.Close()
	}
	c.lines.end()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now == c {
		r.now = nil
	}
}

// leave has the next request connect anew, unless one has just done so.
func (r *Redis) leave(c *link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now == c && time.Since(c.since) > 4*pause {
		r.now = nil
		go c.end()
	}
}

func (c *link) end() {
	<-c.ready
	if c.err == nil {
		c.Close()
		time.AfterFunc(within, c.lines.end) // what is under way on them ends by then
	}
}
