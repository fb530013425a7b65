package web

import (
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/trace"
)

// outcomes are what an observer was told.
type outcomes struct {
	mu  sync.Mutex
	all []Outcome
}

func (o *outcomes) observe(one Outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, one)
}

// last waits for the n-th outcome.
func (o *outcomes) last(t *testing.T, n int) (last Outcome) {
	t.Helper()
	until(t, "outcomes", func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		if len(o.all) == n {
			last = o.all[n-1]
		}
		return len(o.all) >= n
	})
	if last.Took <= 0 || last.Took > time.Minute {
		t.Errorf("took %s", last.Took)
	}
	last.Took = 0
	return last
}

func TestObserve_Outcomes(t *testing.T) {
	seen := &outcomes{}
	h := open(t, Options{Observe: seen.observe},
		Route{Path: "/eu/login", Name: "/login", Dialect: "senmo", Handler: greet(BodyJSON)},
		Route{Path: "/fault", Name: "/fault", Handler: fails(auth.Because(auth.CodeInternal, "broken"))})
	for i, try := range []struct {
		text string
		want Outcome
	}{
		{"POST /eu/login HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", Outcome{Route: "/login", Dialect: "senmo", Status: 200}},
		{"POST /eu/login HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n{", Outcome{Route: "/login", Dialect: "senmo", Status: 400, Code: auth.CodeInvalidInput}},
		{"GET /fault HTTP/1.1\r\nHost: x\r\n\r\n", Outcome{Route: "/fault", Status: 500, Code: auth.CodeInternal}},
		{"GET /a/secret/path HTTP/1.1\r\nHost: x\r\n\r\n", Outcome{Status: 404, Code: auth.CodeNotFound}},
	} {
		h.raw(t, try.text)
		if got := seen.last(t, i+1); got != try.want {
			t.Errorf("%.20q: %+v, not %+v", try.text, got, try.want)
		}
	}
}

func TestObserve_Refusals(t *testing.T) {
	seen := &outcomes{}
	h := open(t, Options{Observe: seen.observe, OnlyProxies: true, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}}, Route{Path: "/login", Handler: greet(BodyJSON)})
	h.raw(t, "GET /login HTTP/1.1\r\nHost: x\r\n\r\n")
	if got := seen.last(t, 1); got != (Outcome{Status: 403, Code: auth.CodeForbidden, Refused: RefusedPeer}) {
		t.Errorf("%+v", got)
	}
	seen = &outcomes{}
	addr, _ := plainServer(t, nil, Options{Observe: seen.observe})
	(&house{addr: addr}).raw(t, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if got := seen.last(t, 1); got != (Outcome{Status: 403, Code: auth.CodeForbidden, Refused: RefusedPlain}) {
		t.Errorf("%+v", got)
	}
	seen = &outcomes{}
	crowded := newHall(t, ListenerConfig{Limits: Limits{Connections: 10, PerSource: 10}}, nil, Options{Observe: seen.observe, SourceRequests: 1})
	crowded.dial(t, here, whole)
	until(t, "a request inside", func() bool { return crowded.inside.Load() == 1 })
	gets(t, "one too many", crowded.dial(t, here, quick), 503)
	if got := seen.last(t, 1); got != (Outcome{Status: 503, Code: auth.CodeUnavailable, Refused: RefusedSource}) {
		t.Errorf("%+v", got)
	}
	close(crowded.leave)
}

func TestListener_Counts(t *testing.T) {
	h := newHall(t, ListenerConfig{Limits: Limits{Connections: 2, PerSource: 2}}, nil, Options{})
	count := func(why string) uint64 { n := h.listener.Closed(); return n[slices.Index(Closings[:], why)] }
	gets(t, "two lengths", h.dial(t, here, "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}"), 400)
	until(t, "none open", func() bool { return h.listener.Open() == 0 })
	if count("framing") != 1 {
		t.Errorf("%v closed", h.listener.Closed())
	}
	h.dial(t, here, halfBody)
	h.dial(t, here, whole)
	until(t, "a request inside", func() bool { return h.inside.Load() == 1 && h.listener.Open() == 2 })
	if h.listener.Open() != 2 || count("room") != 0 {
		t.Errorf("%d open, %d closed", h.listener.Open(), count("room"))
	}
	h.dial(t, here, whole) // for which the one that waits goes
	until(t, "another inside", func() bool { return h.inside.Load() == 2 })
	h.dial(t, here, "")
	until(t, "one is turned away", func() bool { return count("full") == 1 })
	if h.listener.Open() != 2 || count("room") != 1 || count("framing") != 1 {
		t.Errorf("%d open, %v closed", h.listener.Open(), h.listener.Closed())
	}
	close(h.leave)
}

// traced is the span of a request with a parent.
func traced(t *testing.T, o Options, text string) *trace.Span {
	t.Helper()
	o.Tracer = trace.New(1)
	seen := &outcomes{}
	o.Observe = seen.observe
	h := open(t, o, Route{Path: "/login", Name: "/login", Handler: greet(BodyJSON), Dialect: "senmo"}, Route{Path: "/fault", Name: "/fault", Handler: fails(auth.Because(auth.CodeInternal, "broken"))})
	h.raw(t, text)
	seen.last(t, 1)
	return <-o.Tracer.Ended()
}

func TestObserve_SpanOfARequest(t *testing.T) {
	const parent = "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
	request := func(head string) string {
		return "POST /login HTTP/1.1\r\nHost: x\r\n" + head + "Content-Length: 2\r\n\r\n{}"
	}
	proxy := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	for what, try := range map[string]struct {
		o       Options
		head    string
		believe bool
	}{
		"of a proxy":                       {Options{TrustedProxies: proxy}, parent, true},
		"of anybody":                       {Options{}, parent, false},
		"behind the PROXY protocol":        {Options{TrustedProxies: proxy, Introduced: true}, parent, false},
		"twice":                            {Options{TrustedProxies: proxy}, parent + parent, false},
		"of a proxy that names no parent":  {Options{TrustedProxies: proxy}, "", false},
		"of a proxy that says none of one": {Options{TrustedProxies: proxy}, "Traceparent: 00-0-0-01\r\n", false},
	} {
		s := traced(t, try.o, request(try.head))
		if (s.Parent != [8]byte{}) != try.believe || (s.Trace[0] == 0x0a && s.Trace[1] == 0xf7) != try.believe || s.Name != "POST /login" || s.Failed || !s.Request {
			t.Errorf("a parent %s: %+v", what, s)
		}
	}
	want := []trace.Attribute{
		{Name: "http.request.method", Text: "POST"}, {Name: "http.route", Text: "/login"}, {Name: "http.response.status_code", Number: 200}, {Name: "ostiary.dialect", Text: "senmo"},
	}
	if s := traced(t, Options{}, request("X-Secret: s3cret\r\n")); !slices.Equal(s.Attributes, want) {
		t.Errorf("%+v", s.Attributes)
	}
	if s := traced(t, Options{}, "S3CRET /s3cret?s3cret HTTP/1.1\r\nHost: s3cret\r\n\r\n"); s.Name != "_OTHER" || s.Failed || len(s.Attributes) != 3 ||
		s.Attributes[0].Text != "_OTHER" || s.Attributes[1].Number != 404 || s.Attributes[2] != (trace.Attribute{Name: "ostiary.code", Text: "not_found"}) {
		t.Errorf("%+v", s)
	}
	if s := traced(t, Options{}, "GET /fault HTTP/1.1\r\nHost: x\r\n\r\n"); !s.Failed {
		t.Errorf("%+v", s)
	}
}
