package web

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"sync"
	"testing"
)

// unfinished opens streams with bodies that lack their end, until the connection ends.
func (f *frames) unfinished(streams, size int) {
	window := 65535
	for stream := uint32(1); stream < uint32(2*streams); stream += 2 {
		if f.send(frameHeaders, endHeaders, stream, posts("/wait")) != nil {
			return
		}
		for left := size; left > 0; {
			for window < min(left, 16000) {
				kind, of, payload, err := f.next()
				if err != nil {
					return
				}
				if kind == frameWindow && of == 0 {
					window += int(binary.BigEndian.Uint32(payload))
				}
			}
			n := min(left, 16000)
			if f.send(frameData, 0, stream, make([]byte, n)) != nil {
				return
			}
			window, left = window-n, left-n
		}
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Bodies that do not come to their end take as much memory as the connections that there
// may be, over however few of them they come.
func TestThreat60_UnfinishedBodies(t *testing.T) {
	for name, limits := range map[string]Limits{
		"of one source": {Connections: 1000, PerSource: 50},
		"in all":        {Connections: 50, PerSource: 50, TrustedProxies: []netip.Prefix{netip.MustParsePrefix(here + "/32")}},
	} {
		t.Run(name, func(t *testing.T) {
			h, config := floodHall(t)
			h.listener.SetLimits(limits)
			before := heap()
			var all sync.WaitGroup
			for range 40 {
				f := newFrames(t, h, config.Clone())
				all.Go(func() { f.unfinished(32, 60_000) })
			}
			h.canary(t, config)
			all.Wait()
			if grown := heap() - before; grown > 32<<20 {
				t.Errorf("%d MiB more", grown>>20)
			}
			h.canary(t, config)
			h.weighs(t, 50)
			h.log.has(t, "closed to make room", 1)
		})
	}
}

// weighs holds the places that are counted against the connections.
func (h *hall) weighs(t *testing.T, most int) {
	t.Helper()
	l := h.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	taken, of := 0, map[netip.Addr]int{}
	for _, c := range l.all {
		taken += c.weight()
		of[c.source] += c.weight()
	}
	if l.taken != taken || taken > most {
		t.Errorf("%d places are counted, and %d taken", l.taken, taken)
	}
	for source, n := range l.of {
		if of[source] != n {
			t.Errorf("%s: %d places are counted, and %d taken", source, n, of[source])
		}
	}
}

// A body is refused where every other connection is being answered, and its own too.
func TestListener_BodiesAllAnswered(t *testing.T) {
	h, config := floodHall(t)
	h.listener.SetLimits(Limits{Connections: 3, PerSource: 3})
	f := newFrames(t, h, config.Clone())
	if err := f.send(frameHeaders, endStream|endHeaders, 1, posts("/wait")); err != nil {
		t.Fatal(err)
	}
	until(t, "a request inside", func() bool { return h.inside.Load() == 1 })
	for stream := uint32(3); stream <= 9; stream += 2 { // three, and one too many
		if err := f.send(frameHeaders, endHeaders, stream, posts("/wait")); err != nil {
			t.Fatal(err)
		}
	}
	h.log.has(t, errNoPlace.Cause.Error(), 1)
	h.weighs(t, 3)
	for stream := uint32(3); stream <= 9; stream += 2 {
		if err := f.send(frameReset, 0, stream, []byte{0, 0, 0, 8}); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "room again", func() bool {
		h.listener.mu.Lock()
		defer h.listener.mu.Unlock()
		return h.listener.taken == 1
	})
	h.canary(t, config)
	close(h.leave)
}
