package legacy

import (
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	maxFailures  = 5 // in a row, after which a server is left alone
	firstBackoff = time.Second
	maxBackoff   = 30 * time.Second
	maxHold      = 5 * time.Minute // for which a server may ask by Retry-After
)

// breaker keeps calls from a server that fails. It is closed while calls succeed, opens
// after maxFailures in a row, and lets one call try after a while: if that succeeds it
// closes, and else it waits twice as long. If the failure of that one may be its client's own,
// any other may try at once, and that client a moment later.
type breaker struct {
	log *slog.Logger

	mu       sync.Mutex
	failures int
	sources  []netip.Prefix // of the failures that may be the client's own
	backoff  time.Duration  // 0: it is closed
	until    time.Time      // open before
	probing  bool
	held     map[netip.Prefix]time.Time // sources that have tried in vain, and until when others go first
	last     error
}

// pass is the leave to make one call. It ends with good, bad or drop.
type pass struct {
	b     *breaker
	probe bool
}

// enter gives leave for a call of a source, or says how long to wait and why.
func (b *breaker) enter(source netip.Addr) (*pass, time.Duration, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.backoff == 0 {
		return &pass{b: b}, 0, nil
	}
	if wait := time.Until(b.until); wait > 0 {
		return nil, wait, b.last
	}
	if b.probing || time.Now().Before(b.held[prefixOf(source)]) {
		return nil, firstBackoff, b.last
	}
	b.probing = true
	return &pass{b: b, probe: true}, 0, nil
}

// good ends a call that the server answered, with yes or no.
func (p *pass) good() {
	b := p.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.backoff > 0 {
		b.log.Info("the legacy server answers again")
	}
	b.failures, b.sources, b.backoff, b.probing, b.held, b.last = 0, nil, 0, false, nil, nil
}

// drop ends a call that tells nothing of the server: it was not made, or its client has left.
func (p *pass) drop() {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	if p.probe {
		p.b.probing = false
	}
}

// bad ends a call that failed. A failure that may be this client's own is given its source,
// and counts once for each: no client can keep the others from a server by its failures alone.
func (p *pass) bad(f *failure, source netip.Addr) {
	b := p.b
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case p.probe && f.perhaps:
		b.probing = false
		b.hold(prefixOf(source))
	case p.probe:
		b.probing = false
		b.open(min(2*b.backoff, maxBackoff), f)
	case b.backoff == 0:
		if from := prefixOf(source); f.perhaps {
			if slices.Contains(b.sources, from) {
				return
			}
			b.sources = append(b.sources, from)
		}
		if b.failures++; b.failures >= maxFailures {
			b.open(firstBackoff, f)
		}
	}
}

// hold has the others try before a source does so again.
func (b *breaker) hold(source netip.Prefix) {
	now := time.Now()
	maps.DeleteFunc(b.held, func(_ netip.Prefix, until time.Time) bool { return !now.Before(until) })
	if b.held == nil {
		b.held = map[netip.Prefix]time.Time{}
	}
	b.held[source] = now.Add(firstBackoff)
}

func (b *breaker) open(backoff time.Duration, f *failure) {
	b.backoff, b.last = backoff, f.cause
	wait := max(backoff*3/4+rand.N(backoff/2), min(f.retryAfter, maxHold))
	b.until = time.Now().Add(wait)
	b.log.Warn("the legacy server is left alone for a while: it failed several times in a row", "for", wait.Round(time.Millisecond), "err", f.cause)
}

// prefixOf is what counts as one source: an IPv4 address, or the /64 of an IPv6 address.
func prefixOf(a netip.Addr) netip.Prefix {
	bits := 64
	if a = a.Unmap(); a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits)
	return p
}
