package ostiaryauth

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// How long the keys of Ostiary are kept.
const (
	// KeysKept is how long keys that have run out are still used while Ostiary can't be asked for newer ones.
	// After that, no JWT can be verified, and the answer is 503.
	KeysKept = time.Hour
	// KeysInterval is the least time between two requests for the keys: whoever sends unknown kids, and a server that
	// can't be reached, cause no more of them.
	KeysInterval = 10 * time.Second

	minFresh     = KeysInterval // whatever Cache-Control says
	maxFresh     = time.Hour
	defaultFresh = 5 * time.Minute // without a max-age
)

// keyCache is the last good JWK Set. Its requests are made one at a time, and whoever needs the answer of one waits
// for it. It is safe for concurrent use.
type keyCache struct {
	url    string
	client *client

	mu     sync.Mutex
	keys   map[string]publicKey // by kid; nil before the first
	got    time.Time            // when the request for them was sent
	fresh  time.Duration        // how long they are good from then on
	tried  time.Time            // when the last request was sent
	failed error                // what became of it; nil if it went well
	flight chan struct{}        // closed when the one that is under way has ended; nil if none is
}

// key finds a key. A kid that is not there may be newer than the keys, so that they are asked for again.
func (c *keyCache) key(ctx context.Context, kid string) (publicKey, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, known := c.keys[kid]
	switch age := c.client.now().Sub(c.got); {
	case !known || age >= c.fresh:
		if err := c.renew(ctx); err != nil {
			return k, err
		}
	case age >= c.fresh*3/4:
		c.begin() // and nobody waits
	}
	if k, known = c.keys[kid]; known {
		return k, nil
	}
	if c.failed != nil {
		return k, fmt.Errorf("%w: the kid may be newer than the keys: %w", ErrUnavailable, c.failed)
	}
	return k, invalid("header: unknown kid")
}

// load sees to it that there are keys that can be used.
func (c *keyCache) load(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client.now().Sub(c.got) < c.fresh {
		return nil
	}
	return c.renew(ctx)
}

// renew asks for the keys, unless they have been asked for a moment ago, and waits. It fails if then there are none
// that can be used. c.mu is held, but not while waiting.
func (c *keyCache) renew(ctx context.Context) error {
	if flight := c.begin(); flight != nil {
		c.mu.Unlock()
		err := wait(ctx, flight)
		c.mu.Lock()
		if err != nil {
			return err
		}
	}
	if c.keys == nil || c.client.now().Sub(c.got) >= c.fresh+KeysKept {
		return fmt.Errorf("%w: no keys: %w", ErrUnavailable, c.failed)
	}
	return nil
}

// begin returns the request that is under way, and if there is none and it is time for one, starts it. It does not
// end with the request that needs it, since others may wait too. c.mu is held.
func (c *keyCache) begin() <-chan struct{} {
	now := c.client.now()
	if c.flight != nil || !c.tried.IsZero() && now.Sub(c.tried) < KeysInterval {
		return c.flight
	}
	done := make(chan struct{})
	c.flight, c.tried = done, now
	go func() {
		keys, fresh, err := c.fetch(context.Background())
		if err != nil {
			c.client.failed("the keys can't be renewed", err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if err == nil {
			c.keys, c.fresh, c.got = keys, fresh, now
		}
		c.failed, c.flight = err, nil
		close(done)
	}()
	return done
}

func (c *keyCache) fetch(ctx context.Context) (map[string]publicKey, time.Duration, error) {
	body, header, err := c.client.get(ctx, c.url)
	if err != nil {
		return nil, 0, err
	}
	keys, err := parseJWKS(body)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", c.url, err)
	}
	return keys, freshness(header), nil
}

// freshness is how long an answer may be kept (RFC 9111 sections 4.2.1 and 5.2.2), within our bounds.
func freshness(h http.Header) time.Duration {
	fresh := defaultFresh
	for _, directive := range strings.Split(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return minFresh
		case "max-age":
			if seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
				fresh = time.Duration(seconds) * time.Second
			}
		}
	}
	if age, err := strconv.ParseUint(h.Get("Age"), 10, 31); err == nil {
		fresh -= time.Duration(age) * time.Second
	}
	return min(max(fresh, minFresh), maxFresh)
}
