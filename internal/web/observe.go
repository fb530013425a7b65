package web

import (
	"net/http"
	"slices"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/trace"
)

// Outcome is what became of a request, without anything that its client has chosen.
type Outcome struct {
	Route   string // the Name of its route; empty if none has its path
	Dialect auth.Dialect
	Status  int
	Code    auth.Code // empty for a success
	Refused Refusal   // empty unless it was refused before it was looked at
	Took    time.Duration
}

// Refusal is why a request was refused before it was looked at.
type Refusal string

const (
	RefusedPeer   Refusal = "undeclared_peer" // it came past the declared proxies
	RefusedPlain  Refusal = "plain_http"
	RefusedSource Refusal = "source_requests" // too many of one source are being answered
	RefusedBody   Refusal = "bodies"          // no place for its body
)

// Refusals are all of them.
var Refusals = []Refusal{RefusedPeer, RefusedPlain, RefusedSource, RefusedBody}

// refuse notes why the request was refused.
func (x *exchange) refuse(why Refusal) {
	if x != nil && x.refused == "" {
		x.refused = why
	}
}

// cameTo is what the request came to, for who counts that.
func (x *exchange) cameTo() auth.Used {
	said := x.used.Word()
	switch x.code {
	case "":
		if said != auth.UsedUnknown {
			return said
		}
	case auth.CodeBadCredentials, auth.CodeFactorRequired, auth.CodeFactorInvalid, auth.CodeTokenMissing, auth.CodeTokenInvalid,
		auth.CodeTokenReused, auth.CodeSessionEnded, auth.CodeForbidden, auth.CodeThrottled:
		return auth.UsedRefused
	}
	if said == auth.UsedBrownout {
		return said
	}
	return auth.UsedFailed
}

// observed tells those who want to know what became of the request.
func (m *middleware) observed(x *exchange, r *http.Request, took time.Duration) {
	if m.options.Observe != nil {
		m.options.Observe(Outcome{Route: x.route, Dialect: x.dialect, Status: x.status, Code: x.code, Refused: x.refused, Took: took})
	}
	if s := x.span; s != nil {
		method := r.Method
		if !slices.Contains(methods, method) {
			method = "_OTHER"
		}
		s.Name = method
		if x.route != "" {
			s.Name += " " + x.route
		}
		s.Say("http.request.method", method)
		s.Say("http.route", x.route)
		s.SayNumber("http.response.status_code", int64(x.status))
		s.Say("ostiary.dialect", string(x.dialect))
		s.Say("ostiary.code", string(x.code))
		s.Failed = x.status >= http.StatusInternalServerError
		s.End()
	}
}

// methods are those that a span names as they are.
var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

// span begins the span of a request. A client that may choose its parent could have each of
// its requests traced, in the place of another's: only a trusted proxy is believed.
func (m *middleware) span(r *http.Request) *trace.Span {
	if m.options.Tracer == nil {
		return nil
	}
	parent := r.Header["Traceparent"]
	if len(parent) != 1 || m.options.Introduced || !contains(m.options.TrustedProxies, peerOf(r)) {
		return m.options.Tracer.Request("")
	}
	return m.options.Tracer.Request(parent[0])
}

// Why a connection was closed that its client had not ended.
const (
	closedForRoom = iota // it waited longest when there was no place for another one
	closedFull           // there was no place for it, or for its request
	closedFraming        // two servers could see the end of its request in two places
	closedPeer           // it is no declared proxy's, and proxy_protocol is set
	closedUnnamed        // the proxy did not say whose it is
	closings
)

// Closings are what a Listener's Closed counts, in its order.
var Closings = [closings]string{"room", "full", "framing", "undeclared_peer", "proxy_header"}

// Open is how many connections are open.
func (l *Listener) Open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

// Closed counts the connections that were closed before their clients wanted it, by why.
func (l *Listener) Closed() (n [closings]uint64) {
	for i := range n {
		n[i] = l.closed[i].Load()
	}
	return n
}
