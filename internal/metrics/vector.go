package metrics

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
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
	counters  = *children[string, prometheus.Counter]
	counters2 = *children[[2]string, prometheus.Counter]
)

// counters makes counters of one label, those of the given values at once: they are 0 until
// something happens, and not absent.
func (m *Metrics) counters(name, help, label string, values ...string) counters {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	m.registry.MustRegister(v)
	c := &children[string, prometheus.Counter]{make: func(value string) prometheus.Counter { return v.WithLabelValues(value) }}
	for _, value := range values {
		c.of(value)
	}
	return c
}

func (m *Metrics) counters2(name, help string, labels ...string) counters2 {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return &children[[2]string, prometheus.Counter]{make: func(values [2]string) prometheus.Counter { return v.WithLabelValues(values[:]...) }}
}

func (m *Metrics) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	m.registry.MustRegister(g)
	return g
}

func (m *Metrics) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	m.registry.MustRegister(h)
	return h
}
