package metrics

import (
	"maps"
	"sync"
	"sync/atomic"
)

// children are the metrics of a vector, found by a key that costs less than its labels: one
// lookup in a map that nobody changes.
type children[K comparable, M any] struct {
	make func(K) M
	mu   sync.Mutex
	all  atomic.Pointer[map[K]M]
}

func (c *children[K, M]) of(key K) M {
	if all := c.all.Load(); all != nil {
		if m, made := (*all)[key]; made {
			return m
		}
	}
	return c.add(key)
}

// add makes a metric. There are few, and so it is seldom.
func (c *children[K, M]) add(key K) M {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := map[K]M{}
	if all := c.all.Load(); all != nil {
		next = maps.Clone(*all)
	}
	m, made := next[key]
	if !made {
		m = c.make(key)
		next[key] = m
	}
	c.all.Store(&next)
	return m
}

// counters have one label, counters2 have two.
type (
	counters  = *children[string, *number]
	counters2 = *children[[2]string, *number]
)

// counters makes counters of one label, those of the given values at once: they are 0 until
// something happens, and not absent.
func (m *Metrics) counters(name, help, label string, values ...string) counters {
	f := m.registry.family(&family{name, help, kindCounter, []string{label}})
	c := &children[string, *number]{make: func(value string) *number { return m.registry.number(f, value) }}
	for _, value := range values {
		c.of(value)
	}
	return c
}

func (m *Metrics) counters2(name, help string, labels ...string) counters2 {
	f := m.registry.family(&family{name, help, kindCounter, labels})
	return &children[[2]string, *number]{make: func(values [2]string) *number { return m.registry.number(f, values[:]...) }}
}

func (m *Metrics) counter(name, help string) *number {
	return m.registry.number(m.registry.family(&family{name, help, kindCounter, nil}))
}

func (m *Metrics) gauge(name, help string) *number {
	return m.registry.number(m.registry.family(&family{name, help, kindGauge, nil}))
}

func (m *Metrics) histogram(name, help string, buckets []float64) *distribution {
	return m.registry.distribution(m.registry.family(&family{name, help, kindHistogram, nil}), buckets)
}
