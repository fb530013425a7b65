package inflight

import (
	"context"
	"errors"
	"net"
	"runtime"
	"slices"
	"strings"

	"github.com/gomodule/redigo/redis"
)

// do runs a script at the node that has its keys. A node of a cluster that has not says who
// has, and one that does not answer is left for the next, which says who has taken its place.
// A script that is run twice counts once.
func (r *Redis) do(ctx context.Context, q request) (reply any, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*within)
	defer cancel()
	address, tries := r.home(q.tag)
	asking := false
	for range tries {
		pool := r.pool(address)
		reply, err = once(ctx, pool, asking, q)
		said, ok := errors.AsType[redis.Error](err)
		kind, to := redirected(string(said), address)
		switch {
		case err == nil || ok && kind == "" || ctx.Err() != nil:
			return reply, err
		case kind == "MOVED":
			r.move(q.tag, to)
			address, asking = to, false
		case kind == "ASK":
			address, asking = to, true
		default:
			address, asking = r.next(q.tag, address, pool), false
		}
	}
	return reply, err
}

// once runs a script at one node. One that is about to get the keys must be told that it is asked.
func once(ctx context.Context, pool *redis.Pool, asking bool, q request) (any, error) {
	c, err := pool.GetContext(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if !asking {
		return q.script.DoContext(ctx, c, q.args...)
	}
	if err := errors.Join(c.Send("ASKING"), q.script.Send(c, q.args...), c.Flush()); err != nil {
		return nil, err
	}
	if _, err := redis.ReceiveContext(c, ctx); err != nil {
		return nil, err
	}
	return redis.ReceiveContext(c, ctx)
}

// redirected reads what a node of a cluster says of keys that another one has: MOVED or ASK,
// the slot, and the address, whose host may be left out if it is the same.
func redirected(text, from string) (kind, to string) {
	words := strings.Fields(text)
	if len(words) != 3 || words[0] != "MOVED" && words[0] != "ASK" {
		return "", ""
	}
	at := strings.LastIndexByte(words[2], ':')
	if at < 0 {
		return "", ""
	}
	host, port := strings.Trim(words[2][:at], "[]"), words[2][at+1:]
	if host == "" || host == "?" {
		host, _, _ = net.SplitHostPort(from)
	}
	return words[0], net.JoinHostPort(host, port)
}

// home is where the keys of a hash tag are, or else any node; and how often to try.
func (r *Redis) home(tag string) (address string, tries int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.cluster {
		return r.nodes[0], 2
	}
	address, known := r.homes[tag]
	if !known {
		address = r.nodes[0]
	}
	return address, len(r.nodes) + redirects
}

func (r *Redis) move(tag, to string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.homes[tag] = to
	if !slices.Contains(r.nodes, to) {
		r.nodes = append(r.nodes, to)
	}
}

// next gives up a node that did not answer, with its connections, and returns another one.
func (r *Redis) next(tag, address string, pool *redis.Pool) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pools[address] == pool { // which nobody has made anew meanwhile
		_ = pool.Close()
		delete(r.pools, address)
	}
	delete(r.homes, tag)
	return r.nodes[(slices.Index(r.nodes, address)+1)%len(r.nodes)]
}

func (r *Redis) pool(address string) *redis.Pool {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pools[address]
	if p == nil {
		most := 10 * runtime.GOMAXPROCS(0)
		p = &redis.Pool{MaxIdle: most, MaxActive: most, Wait: true, IdleTimeout: idle,
			DialContext: func(ctx context.Context) (redis.Conn, error) {
				return redis.DialContext(ctx, "tcp", address, r.dial...)
			}}
		r.pools[address] = p
	}
	return p
}
