package web

import (
	"bufio"
	"testing"
)

const heldBack = "POST /held HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"

// An answer that is only held back takes no place of others: not of a connection, and not
// among the requests of a source.
func TestThreat60_HeldBack(t *testing.T) {
	h := newHall(t, ListenerConfig{Limits: Limits{Connections: 100, PerSource: 4}}, nil, Options{SourceRequests: 2})
	answered := h.dial(t, here, whole)
	until(t, "one is being answered", func() bool { return h.inside.Load() == 1 })
	var held []*bufio.ReadWriter
	for i := range 3 {
		held = append(held, h.dial(t, here, heldBack))
		until(t, "one more inside", func() bool { return h.inside.Load() == int32(2+i) })
	}
	gets(t, "a canary", h.dial(t, here, quick), 200)
	closed(t, "the one that is held back longest", held[0])
	close(h.leave)
	for _, c := range append(held[1:], answered) {
		gets(t, "one that was held back", c, 200)
		_, _ = c.WriteString(quick)
		_ = c.Flush()
		gets(t, "the next on its connection", c, 200)
	}
	until(t, "none is being answered", func() bool {
		h.listener.mu.Lock()
		defer h.listener.mu.Unlock()
		for _, c := range h.listener.all {
			if c.answering.Load() != 0 {
				return false
			}
		}
		return true
	})
}

// A connection of which another request is being answered stays.
func TestListener_HeldBackBesideAnother(t *testing.T) {
	h, config := floodHall(t)
	h.listener.SetLimits(Limits{Connections: 100, PerSource: 1})
	f := newFrames(t, h, config.Clone())
	for i, path := range []string{"/wait", "/held"} {
		if err := f.send(frameHeaders, endStream|endHeaders, uint32(1+2*i), posts(path)); err != nil {
			t.Fatal(err)
		}
		until(t, "inside", func() bool { return h.inside.Load() == int32(1+i) })
	}
	closed(t, "another connection", h.dial(t, here, ""))
	close(h.leave)
	for answers := 0; answers < 2; {
		kind, _, _, err := f.next()
		if err != nil {
			t.Fatal(err)
		}
		if kind == frameHeaders {
			answers++
		}
	}
}
