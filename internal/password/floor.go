package password

import (
	"strings"
	"sync"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/ostiary/ostiary/internal/argon2"
)

const (
	floorRuns   = 3           // measurements of a scheme, of which the fastest counts
	floorBudget = time.Second // no further one after this
	slowest     = 16          // of a pace: nobody waits longer for a machine that stood still
	// probe is what a scheme is measured with: as long as a password can be with Stretch 1.
	probe = "an ordinary password of forty characters"
)

// floors remembers what a check of each scheme costs.
type floors struct {
	mu      sync.Mutex
	cost    map[string]time.Duration
	measure sync.Mutex // one measurement at a time: outside the pool, yet bounded
}

// Floor is how long a failed check takes at most where these schemes are stored
// (see Scheme; what is unknown of one is skipped), with a margin of as much again, on a
// machine at rest. A caller that answers no failure before Floor × Stretch × Result.Pace
// has passed, counted without the wait for a slot (Result.Took), answers all of them alike.
//
// Each scheme is measured when it is first asked for, which takes up to three
// checks; call Floor at the start to have the answers ready.
func (h *Hasher) Floor(schemes []string) time.Duration {
	worst := h.cost("")
	for _, s := range schemes {
		worst = max(worst, h.cost(s))
	}
	return 2 * worst
}

// Stretch tells how many times longer than Floor the check of this password may
// take: each form that Verify tries counts, and the length, since SHA-crypt goes
// through it in every round. It depends on the password alone, and is 1 for an
// ordinary one.
func Stretch(password string) int {
	n := 1 + min(len(password), longestCrypt)/(len(probe)+1)
	if len(password) <= maxInput && !norm.NFC.IsNormalString(password) {
		n *= 2
	}
	return n
}

// pace compares what a Default hash took with what it takes at rest. Every check begins with
// one, so that it tells of the machine and not of the account.
func (h *Hasher) pace(unit time.Duration) float64 {
	rest := h.cost("")
	if unit <= rest || rest <= 0 {
		return 1
	}
	return min(float64(unit)/float64(rest), slowest)
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
	d := h.measure(scheme)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cost == nil {
		f.cost = make(map[string]time.Duration)
	}
	f.cost[scheme] = d
	return d
}

func (f *floors) known(scheme string) (time.Duration, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d, ok := f.cost[scheme]
	return d, ok
}

// measure takes the time of failed checks. The fastest is what a check costs: whatever
// else the machine does only adds to it, and would be waited for ever after.
func (h *Hasher) measure(scheme string) (fastest time.Duration) {
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
	start := time.Now()
	for run := 0; run < floorRuns && time.Since(start) < floorBudget; run++ {
		began := time.Now()
		_, _ = h.check(b, list, [][]byte{[]byte(probe)}, false)
		if took := time.Since(began); run == 0 || took < fastest {
			fastest = took
		}
	}
	return fastest
}
