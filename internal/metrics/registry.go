package metrics

import (
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// The kinds of metrics.
const (
	kindCounter   = "counter"
	kindGauge     = "gauge"
	kindHistogram = "histogram"
	kindSummary   = "summary"
)

// family is what has one name: its help, and the names of its labels.
type family struct {
	name, help, kind string
	labels           []string
}

// number is a counter, or a gauge.
type number struct{ n atomic.Int64 }

// Inc adds one.
func (c *number) Inc() { c.n.Add(1) }

// Add adds some.
func (c *number) Add(n int) { c.n.Add(int64(n)) }

// distribution is a histogram.
type distribution struct {
	bounds []float64
	counts []atomic.Uint64 // of each bucket alone; the last has what is above the bounds
	sum    atomic.Uint64   // the bits of a float64
}

func newDistribution(bounds []float64) *distribution {
	return &distribution{bounds: bounds, counts: make([]atomic.Uint64, len(bounds)+1)}
}

// Observe counts a value.
func (d *distribution) Observe(v float64) {
	i := 0
	for i < len(d.bounds) && v > d.bounds[i] {
		i++
	}
	d.counts[i].Add(1)
	for {
		old := d.sum.Load()
		if d.sum.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+v)) {
			return
		}
	}
}

// sample is one line of the text, or those of one histogram.
type sample struct {
	labels []string // values, in the order of the family's names
	suffix string   // _sum or _count, of a summary
	value  float64
	spread *distribution
}

// registry has all that is counted, and asks the collectors at each scrape for the rest.
type registry struct {
	mu         sync.Mutex
	counted    map[*family][]func() sample
	collectors []collector
}

// collector is asked at each scrape.
type collector func(emit func(f *family, s sample))

func newRegistry(c ...collector) *registry {
	return &registry{counted: map[*family][]func() sample{}, collectors: c}
}

// family has a family shown from now on, even while it has no members.
func (r *registry) family(f *family) *family {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counted[f] = nil
	return f
}

func (r *registry) add(f *family, read func() sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counted[f] = append(r.counted[f], read)
}

func (r *registry) number(f *family, labels ...string) *number {
	c := &number{}
	r.add(f, func() sample { return sample{labels: labels, value: float64(c.n.Load())} })
	return c
}

func (r *registry) distribution(f *family, bounds []float64, labels ...string) *distribution {
	d := newDistribution(bounds)
	r.add(f, func() sample { return sample{labels: labels, spread: d} })
	return d
}

// gathered is a family with all that there is of it.
type gathered struct {
	*family
	samples []sample
}

// gather looks at everything once; families without a sample are left out.
func (r *registry) gather() (all []*gathered) {
	found := map[string]*gathered{}
	emit := func(f *family, s sample) {
		g := found[f.name]
		if g == nil {
			g = &gathered{family: f}
			found[f.name] = g
			all = append(all, g)
		}
		g.samples = append(g.samples, s)
	}
	r.mu.Lock()
	for f, reads := range r.counted {
		for _, read := range reads {
			emit(f, read())
		}
	}
	r.mu.Unlock()
	for _, c := range r.collectors {
		c(emit)
	}
	slices.SortFunc(all, func(a, b *gathered) int { return strings.Compare(a.name, b.name) })
	return all
}
