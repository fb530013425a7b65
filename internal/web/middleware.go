package web

import (
	"crypto/rand"
	"encoding/base32"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/trace"
)

// Options are what Middleware needs to know.
type Options struct {
	// TrustedProxies are the peers whose forwarded headers are believed.
	TrustedProxies []netip.Prefix
	// OnlyProxies refuses every other peer: a proxy was declared to end TLS here.
	OnlyProxies bool
	// Introduced is set where the PROXY protocol has named the client as the peer: then
	// forwarded headers mean nothing.
	Introduced bool
	// SourceRequests is how many requests of one source are answered at once; 0: any number.
	SourceRequests int
	// HSTS is how long browsers are told to come back by TLS alone; 0: they aren't told.
	HSTS    time.Duration
	Timeout time.Duration    // of a request; default 30 s
	Now     func() time.Time // default time.Now
	// Observe is told of each request once it is answered, and returns at once. May be nil.
	Observe func(Outcome)
	// Tracer makes their spans; nil: none. The parent that a traceparent header names is
	// believed of a trusted proxy alone.
	Tracer *trace.Tracer
}

type middleware struct {
	log     *slog.Logger
	next    http.Handler
	options Options
	hsts    []string
	crowd   *crowd // nil: unbounded
	warn    sync.Once
}

// Middleware wraps the handler of a whole server. Each request gets an id of our
// own (which its answer carries only if the fault is ours), its client's true address, a deadline, and one line in the log, which
// never has a query, a header or a body in it. A panic becomes a 500.
func Middleware(log *slog.Logger, next http.Handler, o Options) http.Handler {
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.TrustedProxies = unmapped(o.TrustedProxies)
	m := &middleware{log: log, next: next, options: o, hsts: hsts(o.HSTS)}
	if o.SourceRequests > 0 {
		m.crowd = &crowd{limit: o.SourceRequests, of: map[netip.Addr]int{}}
	}
	return m
}

var (
	nosniff = []string{"nosniff"}
	closing = []string{"close"}
)

func (m *middleware) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	id := newRequestID()
	from := source{client: peerOf(r), proxied: true}
	if !m.options.Introduced {
		from = sourceOf(r, m.options.TrustedProxies)
	}
	x := &exchange{span: m.span(r), timed: timed{Context: r.Context(), deadline: start.Add(m.options.Timeout)}, w: w, now: m.options.Now, crowd: m.crowd, client: auth.Client{
		Address: from.client, UserAgent: Printable(r.UserAgent(), 256), RequestID: id, Shared: from.undeclared || from.unclear,
	}}
	if from.undeclared {
		m.warn.Do(func() {
			m.log.LogAttrs(x, slog.LevelWarn, "a peer that is no declared proxy sends forwarded headers; they are not believed (see trusted_proxy)",
				slog.String("peer", from.client.String()))
		})
	}
	h := w.Header()
	h["X-Content-Type-Options"] = nosniff
	if r.TLS != nil && m.hsts != nil { // RFC 6797, section 7.2: never in the clear
		h["Strict-Transport-Security"] = m.hsts
	}
	if r.TLS != nil && (r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 || !r.ProtoAtLeast(1, 1)) {
		// What net/http hides is a Content-Length beside Transfer-Encoding, and that one in
		// HTTP/1.0. Behind either nothing is to be read (RFC 9112, section 6.1).
		h["Connection"] = closing
	}
	r = r.WithContext(x)
	defer x.end()
	defer m.finish(x, r, start)
	if m.options.OnlyProxies && !from.proxied {
		x.refuse(RefusedPeer)
		fail(x, r, nil, "", &auth.Error{Code: auth.CodeForbidden, Detail: "this server answers its declared proxies only"})
		return
	}
	m.next.ServeHTTP(x, r)
}

// finish runs at the end of a request, however it ends.
func (m *middleware) finish(x *exchange, r *http.Request, start time.Time) {
	v := recover()
	aborted := false
	if v != nil {
		func() {
			defer func() { aborted = recover() != nil }()
			x.caught(v)
			fail(x, r, nil, "", x.err)
		}()
	}
	if x.status == 0 && !aborted {
		x.status = http.StatusOK // net/http sends it
	}
	x.begun()
	took := time.Since(start)
	m.line(x, r, took)
	m.observed(x, r, took)
	if x.count != nil {
		x.count(x.cameTo(), &x.client)
	}
	if aborted {
		panic(http.ErrAbortHandler)
	}
}

func (m *middleware) line(x *exchange, r *http.Request, took time.Duration) {
	level := slog.LevelInfo
	switch x.code {
	case auth.CodeInternal:
		level = slog.LevelError
	case auth.CodeUnavailable:
		level = slog.LevelWarn
	}
	if !m.log.Enabled(x, level) {
		return
	}
	code := x.code
	if code == "" {
		code = "ok"
	}
	attrs := [...]slog.Attr{
		slog.String("request_id", x.client.RequestID),
		slog.String("method", Printable(r.Method, 16)),
		slog.String("path", printablePath(r.URL.Path, x.code != auth.CodeNotFound)),
		slog.Int("status", x.status),
		slog.String("code", string(code)),
		slog.Duration("duration", took),
		slog.String("dialect", string(x.dialect)),
		slog.String("source", x.client.Address.String()),
		{}, {}, {}, {},
	}
	n := len(attrs) - 4
	if x.originalMethod != "" {
		attrs[n] = slog.String("original_method", Printable(x.originalMethod, 16))
		n++
	}
	if x.originalPath != "" {
		attrs[n] = slog.String("original_path", printablePath(x.originalPath, true))
		n++
	}
	if x.cause != nil {
		attrs[n] = slog.String("cause", Printable(x.cause.Error(), 1024))
		n++
	}
	if x.stack != nil {
		attrs[n] = slog.String("stack", Printable(string(x.stack), 8192))
		n++
	}
	record := slog.NewRecord(time.Now(), level, "request", 0) // where it was logged tells nothing
	record.AddAttrs(attrs[:n]...)
	_ = m.log.Handler().Handle(x, record)
}

var requestIDs = base32.NewEncoding("0123456789abcdefghijkmnpqrstuvwx").WithPadding(base32.NoPadding)

func newRequestID() string {
	var random [10]byte
	_, _ = rand.Read(random[:]) // it never fails
	var id [16]byte
	requestIDs.Encode(id[:], random[:])
	return string(id[:])
}
