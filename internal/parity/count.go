package parity

import (
	"sync"
	"time"

	"github.com/google/uuid"
)

// Key is what is counted together.
type Key struct {
	Realm          uuid.UUID
	Day            int64 // since 1970, UTC
	Dialect, Route string
	Kind           Kind
	Detail         string
}

// Count is how many requests there were of a key.
type Count struct {
	Key
	Requests int64
	LastAt   time.Time
}

// mostNames is how many kinds and details a route has, beyond which details are Others:
// the other server could make up as many as it likes.
const mostNames = 200

// Others is the detail of what is beyond that.
const Others = "(others)"

// Counter counts in memory, until somebody takes what was counted. It is safe for
// concurrent use; the zero Counter is ready.
type Counter struct {
	mu     sync.Mutex
	counts map[Key]*Count
	names  map[Key]map[Difference]bool // by realm, dialect and route
}

// Add counts a request of a route that differs so, or not at all: under each difference,
// and under Same or Different, which it returns, unless there is nothing to compare it with.
func (c *Counter) Add(now time.Time, realm uuid.UUID, dialect, route string, found []Difference) Kind {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := Key{Realm: realm, Dialect: dialect, Route: route}
	whole, compared := Difference{Kind: Same}, true
	for _, d := range found {
		if d.Kind.Breaks() {
			whole.Kind = Different
		}
		compared = compared && d.Kind != Refused && d.Kind != Unavailable
		c.add(now, k, c.known(k, d))
	}
	if !compared {
		return ""
	}
	c.add(now, k, whole)
	return whole.Kind
}

// known is the difference, or what stands for all beyond the bound.
func (c *Counter) known(k Key, d Difference) Difference {
	names := c.names[k]
	if names == nil {
		names = map[Difference]bool{}
		if c.names == nil {
			c.names = map[Key]map[Difference]bool{}
		}
		c.names[k] = names
	}
	if !names[d] && len(names) >= mostNames {
		d.Detail = Others
		return d
	}
	names[d] = true
	return d
}

func (c *Counter) add(now time.Time, k Key, d Difference) {
	k.Day, k.Kind, k.Detail = Day(now), d.Kind, d.Detail
	n := c.counts[k]
	if n == nil {
		n = &Count{Key: k}
		if c.counts == nil {
			c.counts = map[Key]*Count{}
		}
		c.counts[k] = n
	}
	n.Requests++
	n.LastAt = now
}

// Day is the day of a time, since 1970, UTC.
func Day(t time.Time) int64 { return t.Unix() / (24 * 60 * 60) }

// Take returns what was counted since it was called last.
func (c *Counter) Take() []Count {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]Count, 0, len(c.counts))
	for _, n := range c.counts {
		all = append(all, *n)
	}
	c.counts = nil
	return all
}

// Return gives back what was taken and could not be stored.
func (c *Counter) Return(all []Count) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range all {
		if known := c.counts[n.Key]; known != nil {
			known.Requests += n.Requests
			continue
		}
		if c.counts == nil {
			c.counts = map[Key]*Count{}
		}
		c.counts[n.Key] = &n
	}
}
