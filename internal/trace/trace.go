// Package trace measures where the time of a request goes, for those requests that are
// chosen: a span of the request, and one of each stage below it. What becomes of the spans
// is for whoever reads Ended; package otlp sends them to a collector.
//
// A span has a name and attributes that are known when the program is built, or are as few
// as the settings: never anything that a client has sent.
package trace

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"math"
	"sync/atomic"
	"time"
)

// waiting is how many spans may wait to be sent; more are dropped.
const waiting = 4096

// Tracer makes the spans of requests. A nil Tracer makes none.
type Tracer struct {
	sample  atomic.Uint64 // of all numbers, those below are chosen
	ended   chan *Span
	dropped atomic.Uint64
}

// New makes a Tracer that chooses a share of the requests, from 0 to 1.
func New(share float64) *Tracer {
	t := &Tracer{ended: make(chan *Span, waiting)}
	t.SetShare(share)
	return t
}

// SetShare changes the share.
func (t *Tracer) SetShare(share float64) {
	if t == nil {
		return
	}
	n := uint64(math.MaxUint64)
	if share < 1 {
		n = uint64(max(0, share) * (1 << 63) * 2)
	}
	t.sample.Store(n)
}

// Ended are the spans that have ended.
func (t *Tracer) Ended() <-chan *Span { return t.ended }

// Dropped counts the spans that there was no room for.
func (t *Tracer) Dropped() uint64 {
	if t == nil {
		return 0
	}
	return t.dropped.Load()
}

// Drop counts spans that nobody took.
func (t *Tracer) Drop(n int) { t.dropped.Add(uint64(n)) }

// Span is a stretch of time, with a name. It is of one goroutine until it has ended, and
// does not change after that. All methods do nothing on a nil one.
type Span struct {
	Trace        [16]byte
	ID, Parent   [8]byte // Parent is zero if there is none
	Name         string
	Request      bool // the whole of a request; else a stage of one
	Began, Ended time.Time
	Attributes   []Attribute
	Failed       bool

	tracer *Tracer
}

// Attribute is something that a span says. A number has no Text.
type Attribute struct {
	Name, Text string
	Number     int64
}

// Request begins the span of a request: below the parent that a traceparent names, if it is
// one, and then only if that one is sampled; else in a trace of its own, if it is chosen.
func (t *Tracer) Request(traceparent string) *Span {
	if t == nil {
		return nil
	}
	parent, known := ParseParent(traceparent)
	var random [24]byte
	_, _ = rand.Read(random[:]) // never fails
	s := &Span{Request: true, Began: time.Now(), tracer: t, ID: [8]byte(random[:8])}
	if known {
		s.Trace, s.Parent = parent.Trace, parent.ID
	} else {
		s.Trace = [16]byte(random[8:])
	}
	if known && !parent.Sampled || !known && !t.chooses(binary.BigEndian.Uint64(s.Trace[8:])) {
		return nil
	}
	return s
}

func (t *Tracer) chooses(n uint64) bool {
	share := t.sample.Load()
	return n < share || share == math.MaxUint64
}

// Key is what a context has its request's span under.
type Key struct{}

// Start begins the span of a stage of the request that ctx belongs to; nil if that is not traced.
func Start(ctx context.Context, name string) *Span {
	of, _ := ctx.Value(Key{}).(*Span)
	if of == nil {
		return nil
	}
	s := &Span{Trace: of.Trace, Parent: of.ID, Name: name, Began: time.Now(), tracer: of.tracer}
	_, _ = rand.Read(s.ID[:])
	return s
}

// Say notes an attribute, unless it is empty.
func (s *Span) Say(name, text string) {
	if s != nil && text != "" {
		s.Attributes = append(s.Attributes, Attribute{Name: name, Text: text})
	}
}

// SayNumber notes an attribute that is a number.
func (s *Span) SayNumber(name string, n int64) {
	if s != nil {
		s.Attributes = append(s.Attributes, Attribute{Name: name, Number: n})
	}
}

// End ends the span, and never waits.
func (s *Span) End() {
	if s == nil {
		return
	}
	s.Ended = time.Now()
	select {
	case s.tracer.ended <- s:
	default:
		s.tracer.dropped.Add(1)
	}
}
