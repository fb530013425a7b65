package web

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

// crowd counts the requests that are being answered for each source. Only those that have
// come as a whole count, so that slow ones take nobody's place.
type crowd struct {
	limit int
	mu    sync.Mutex
	of    map[netip.Addr]int
}

// comeBack is when a source with too many requests may try again.
const comeBack = time.Second

// enter counts a request, if there is room for it.
func (c *crowd) enter(source netip.Addr) error {
	source = sourceKey(source)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of[source] >= c.limit {
		return &auth.Error{
			Code: auth.CodeUnavailable, RetryAfter: comeBack, Detail: "too many requests at once",
			Cause: fmt.Errorf("%d requests of this source are being answered: if many clients share it, name their proxy in trusted_proxy, have it say X-Forwarded-For, or raise source_requests", c.limit),
		}
	}
	c.of[source]++
	return nil
}

func (c *crowd) leave(source netip.Addr) {
	source = sourceKey(source)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of[source]--; c.of[source] == 0 {
		delete(c.of, source)
	}
}
