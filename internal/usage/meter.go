// Package usage counts who still uses which dialect: what came of a request, with which
// client, from which address, on which day. It keeps the counts in memory and adds them to
// the store every few seconds, so that a request pays for one addition; a process that is
// killed loses those of the last seconds.
package usage

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

const (
	// Every is how often the counts are stored.
	Every = 10 * time.Second
	// lastFlush is how long that may take at the end.
	lastFlush = 5 * time.Second
	// batch is how many counts are added in one transaction.
	batch = 100
	// held and badHeld are how many counts there are in memory, at the most, in all and of
	// what came to nothing.
	held, badHeld = 8192, 512
	// room and badRoom are how many different clients and addresses are told apart of a
	// day, a dialect and a word. Anybody can send what is refused.
	room, badRoom = 1000, 200
)

// Store is where the counts are kept.
type Store interface {
	InTx(ctx context.Context, fn func(tx auth.Tx) error) error
}

// Meter counts. It is safe for concurrent use.
type Meter struct {
	store Store
	log   *slog.Logger
	now   func() time.Time

	mu     sync.Mutex
	counts map[key]*count
	bad    int // of them: what came to nothing

	failing bool // the store did not take them, and the log says so already
}

// key is what counts are told apart by.
type key struct {
	realm   uuid.UUID
	dialect auth.Dialect
	day     int64
	what    auth.Used
	client  string
	source  netip.Addr // of IPv6 the /64
	other   bool       // of all clients and sources that there was no room for
}

type count struct {
	requests int64
	last     time.Time
}

// New makes a meter.
func New(store Store, log *slog.Logger, now func() time.Time) *Meter {
	return &Meter{store: store, log: log, now: now, counts: map[key]*count{}}
}

// Count counts a request.
func (m *Meter) Count(realm uuid.UUID, d auth.Dialect, what auth.Used, cl *auth.Client) {
	now := m.now()
	k := key{realm: realm, dialect: d, day: auth.DayOf(now), what: what, client: Client(cl.UserAgent), source: network(cl.Address)}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.add(k, count{1, now})
}

// network is an address as it is counted.
func network(a netip.Addr) netip.Addr {
	if a.Is6() && !a.Is4In6() {
		p, _ := a.WithZone("").Prefix(64)
		return p.Addr()
	}
	return a.Unmap()
}

func (m *Meter) add(k key, n count) {
	c := m.counts[k]
	if c == nil {
		good := k.what.Good()
		if len(m.counts) >= held || !good && m.bad >= badHeld {
			k.client, k.source, k.other = "", netip.Addr{}, true
		}
		if c = m.counts[k]; c == nil {
			if !good {
				m.bad++
			}
			c = new(count)
			k.client = strings.Clone(k.client) // not the whole User-Agent
			m.counts[k] = c
		}
	}
	c.requests += n.requests
	if n.last.After(c.last) {
		c.last = n.last
	}
}

// Run stores the counts now and then, and once more when ctx ends.
func (m *Meter) Run(ctx context.Context) {
	tick := time.NewTicker(Every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			m.flush(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlush)
			defer cancel()
			m.flush(last)
			return
		}
	}
}

// flush stores the counts. If that fails, it is tried again later: what was committed
// without an answer is then counted twice.
func (m *Meter) flush(ctx context.Context) {
	m.mu.Lock()
	counts := m.counts
	m.counts, m.bad = make(map[key]*count, len(counts)), 0
	m.mu.Unlock()
	keys := slices.SortedFunc(maps.Keys(counts), compare) // nodes that take rows in one order never wait in a circle
	for len(keys) > 0 {
		some := keys[:min(batch, len(keys))]
		if err := m.write(ctx, some, counts); err != nil {
			m.giveBack(keys, counts)
			if !m.failing && !errors.Is(ctx.Err(), context.Canceled) {
				m.log.Warn("who uses what was not stored, it is tried again", "err", err)
			}
			m.failing = true
			return
		}
		keys = keys[len(some):]
		m.failing = false
	}
}

func (m *Meter) write(ctx context.Context, keys []key, counts map[key]*count) error {
	return m.store.InTx(ctx, func(tx auth.Tx) error {
		for _, k := range keys {
			u := auth.Usage{
				Day: k.day, Dialect: k.dialect, What: k.what.String(), Client: k.client, Source: auth.SourceOf(k.source),
				Requests: counts[k].requests, Last: counts[k].last,
			}
			if k.other {
				u.Client, u.Source = auth.UsageOther, auth.UsageOther
			}
			most := badRoom
			if k.what.Good() {
				most = room
			}
			if err := tx.AddUsage(ctx, k.realm, u, most); err != nil {
				return err
			}
		}
		return nil
	})
}

func (m *Meter) giveBack(keys []key, counts map[key]*count) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range keys {
		m.add(k, *counts[k])
	}
}

func compare(a, b key) int {
	return cmp.Or(bytes.Compare(a.realm[:], b.realm[:]), cmp.Compare(a.day, b.day), cmp.Compare(a.dialect, b.dialect),
		cmp.Compare(a.what, b.what), cmp.Compare(a.client, b.client), a.source.Compare(b.source))
}
