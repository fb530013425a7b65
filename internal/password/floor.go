package password

import (
	"cmp"
	"strings"
	"sync"
	"time"

	"github.com/ostiary/ostiary/internal/argon2"
)

const (
	floorRuns   = 3                // measurements of a scheme, of which the fastest counts
	floorBudget = time.Second      // no further one after this
	slowest     = 16               // of a pace: nobody waits longer for a machine that stood still
	mostFloor   = 10 * time.Second // nobody waits for more than that
	// probe is what a scheme is measured with: as long as a password can be that stretches nothing.
	probe = "an ordinary password of forty characters"
)

// floors remembers what a check of each scheme costs, as a multiple of a Default hash, of which the machine's rest is learnt
// anew: what slowed both down when they were measured is not waited for ever after.
type floors struct {
	mu      sync.Mutex
	rest    time.Duration // the fastest Default hash so far
	times   map[string]float64
	measure sync.Mutex // one measurement at a time: outside the pool, yet bounded
}

// Floor is how long a failed check of an ordinary password takes at most where these schemes are
// stored (see Scheme; what is unknown of one is skipped), with a margin of as much again, on a
// machine at rest.
//
// Each scheme is measured when it is first asked for, which takes up to three
// checks and a few Default hashes; call Floor at the start to have the answers ready.
func (h *Hasher) Floor(schemes []string) time.Duration { return h.FloorOf(schemes, "", 1) }

// FloorOf is Floor for this password, at a machine's pace (see Result), and at most ten seconds. A
// caller that answers no failure before it has passed, counted without the wait for a slot
// (Result.Took), answers all of them alike.
func (h *Hasher) FloorOf(schemes []string, password string, pace float64) time.Duration {
	long := time.Duration(stretch(password))
	worst := h.Cost("")
	for _, s := range schemes {
		d := h.Cost(s)
		if grows(s) {
			d *= long
		}
		worst = max(worst, d)
	}
	d := 2 * worst * time.Duration(len(forms(password)))
	return min(time.Duration(float64(d)*max(1, pace)), mostFloor)
}

// Cost is what a failed check of an ordinary password takes where hashes of a scheme are stored: never less than without
// one, "", with which every check begins.
func (h *Hasher) Cost(scheme string) time.Duration { return max(h.cost(""), h.cost(scheme)) }

// stretch tells how many times longer than the probe's the check of a password takes where each round
// goes through all of it.
func stretch(password string) int { return 1 + min(len(password), longestCrypt)/(len(probe)+1) }

// grows tells whether the check of a scheme takes longer for a longer password.
func grows(scheme string) bool {
	for one := range strings.SplitSeq(scheme, "+") {
		name, _, _ := strings.Cut(one, "$")
		if f := formats[name]; f != nil && f.grows {
			return true
		}
	}
	return false
}

// pace compares what a Default hash took with what it takes at rest. Every check begins with
// one, so that it tells of the machine and not of the account. A unit of 0 tells nothing.
func (h *Hasher) pace(unit time.Duration) float64 {
	if unit <= 0 {
		return 1
	}
	return min(float64(unit)/float64(h.floors.rested(unit)), slowest)
}

// rested learns what a Default hash took, and returns what it takes at rest.
func (f *floors) rested(unit time.Duration) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.rest == 0 || unit < f.rest {
		f.rest = unit
	}
	return f.rest
}

// cost measures a scheme, or remembers; "" is the check without a hash.
func (h *Hasher) cost(scheme string) time.Duration {
	f := &h.floors
	if d, ok := f.known(scheme); ok {
		return d
	}
	f.measure.Lock()
	defer f.measure.Unlock()
	if d, ok := f.known(scheme); ok {
		return d
	}
	times := h.measure(scheme)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.times == nil {
		f.times = make(map[string]float64)
	}
	f.times[scheme] = times
	return time.Duration(times * float64(f.rest))
}

func (f *floors) known(scheme string) (time.Duration, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	times, ok := f.times[scheme]
	return time.Duration(times * float64(f.rest)), ok
}

// measure tells how many times longer than a Default hash failed checks take. The fastest is what
// a check costs: whatever else the machine does only adds to it, and would be waited for ever after.
func (h *Hasher) measure(scheme string) (times float64) {
	var list []*stored
	if scheme != "" {
		for one := range strings.SplitSeq(scheme, "+") {
			if s, err := sampleOf(one); err == nil {
				list = append(list, s)
			}
		}
		if len(list) == 0 || len(list) == 1 && list[0].costsDefault() {
			return 0 // unknown, or no more than without a hash
		}
	}
	b := new(argon2.Buffer)
	defer b.Release()
	var fastest, unit time.Duration
	run := func(list []*stored) (took time.Duration) {
		began := time.Now()
		c, _ := h.check(b, list, [][]byte{[]byte(probe)}, false)
		took = time.Since(began)
		if c.unit > 0 {
			h.floors.rested(c.unit)
			unit = min(cmp.Or(unit, c.unit), c.unit)
		}
		return took
	}
	run(nil) // fetches the memory
	start := time.Now()
	for n := 0; n < floorRuns && time.Since(start) < floorBudget; n++ {
		run(nil)
		if took := run(list); n == 0 || took < fastest {
			fastest = took
		}
	}
	return float64(fastest) / float64(max(unit, 1))
}
