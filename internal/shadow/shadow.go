// Package shadow lets the server that a mount takes over from answer its clients, while
// this one works out an answer of its own and counts where the two differ.
//
// A request is decoded by the mount's own endpoint, and decided by the core: budgets, blocks
// and the audit log hold as ever. Where the core asks the legacy server, it is sent what the
// client has sent, and its answer is what the client gets. What the endpoint answers is
// recorded and compared (package parity), and goes to the client only if nothing was asked.
package shadow

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/legacy"
	"github.com/ostiary/ostiary/internal/parity"
	"github.com/ostiary/ostiary/internal/recent"
	"github.com/ostiary/ostiary/internal/web"
)

// Route has the requests of a mount's route go through its legacy server, as the core says.
// The mount's mode is shadow or split.
func Route(t *Tally, m *auth.Mount, route web.Route) web.Route {
	route.Handler = &handler{tally: t, mount: m, path: route.Path[len(m.Prefix):], next: route.Handler}
	return route
}

type handler struct {
	tally *Tally
	mount *auth.Mount
	path  string
	next  http.Handler
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := &copied{ReadCloser: r.Body}
	defer body.wipe()
	x := &exchange{request: r, dialect: h.mount.Dialect, body: body, relay: &legacy.Relay{Path: h.path}}
	own := &recorder{header: w.Header().Clone()}
	again := r.WithContext(context.WithValue(r.Context(), auth.ShadowedKey{}, x))
	again.Body = body
	began := time.Now()
	h.next.ServeHTTP(own, again)
	took := time.Since(began)
	theirs := x.relay.Answer
	if theirs == nil || x.own || own.status == http.StatusServiceUnavailable { // nothing was decided, or nothing is to be told
		own.send(w)
		h.count(r, x, own.status)
		return
	}
	web.Passed(r.Context(), theirs.Status)
	pass(w, theirs)
	found := parity.Compare(parity.Answer{Status: theirs.Status, Header: theirs.Header, Body: theirs.Body}, own.answer(), x.words()...)
	found = append(found, x.found...)
	found = append(found, parity.Difference{Kind: parity.Time, Detail: parity.Pace(theirs.Took, took-theirs.Took)})
	h.tally.add(r, h.mount, h.path, found)
}

// count counts a request that the legacy server has not answered, if it was meant to.
func (h *handler) count(r *http.Request, x *exchange, status int) {
	var d parity.Difference
	switch code := web.CodeOf(r.Context()); {
	case x.relay.Asked && status == http.StatusServiceUnavailable:
		d.Kind = parity.Unavailable
	case code == auth.CodeInvalidInput, code == auth.CodeUnsupportedType, code == auth.CodeTooLarge:
		d = parity.Difference{Kind: parity.Unreadable, Detail: string(code)}
	case code == "", code == auth.CodeMethodNotAllowed, x.own:
		return
	default:
		d = parity.Difference{Kind: parity.Refused, Detail: string(code)}
	}
	h.tally.add(r, h.mount, h.path, []parity.Difference{d})
}

// exchange is one request on its way. It is an auth.Shadowed.
type exchange struct {
	request *http.Request
	dialect auth.Dialect
	body    *copied
	relay   *legacy.Relay
	sent    auth.Sent
	own     bool // it is ours to answer
	found   []parity.Difference
}

// Sending is of auth.Shadowed, as those that follow.
func (x *exchange) Sending(ctx context.Context, s auth.Sent) (context.Context, error) {
	out, body, err := onward(x.request, x.dialect, x.body.data, s)
	if err != nil {
		return nil, err
	}
	x.found, x.sent, x.relay.Request, x.relay.Body = nil, s, out, body
	return legacy.WithRelay(ctx, x.relay), nil
}

// Own is told that this server answers the request.
func (x *exchange) Own() { x.own = true }

// Judged is told who accepts the credential.
func (x *exchange) Judged(theirs, own string) {
	if (theirs == "") != (own == "") {
		x.found = append(x.found, parity.Difference{Kind: parity.Verdict, Detail: verdict(theirs) + " there, " + verdict(own) + " here"})
	}
}

// Learned is told why this server would have refused it, until now.
func (x *exchange) Learned(own string) {
	x.found = append(x.found, parity.Difference{Kind: parity.Learned, Detail: own})
}

func verdict(why string) string {
	if why == "" {
		return "accepted"
	}
	return why
}

// words are what no name of a difference may show.
func (x *exchange) words() []string {
	return []string{x.sent.Name, string(x.sent.Password), string(x.sent.Token), string(x.sent.Code)}
}

// Tally counts differences, and stores the counts now and then. It is safe for concurrent use.
type Tally struct {
	store  Store
	log    *slog.Logger
	now    func() time.Time
	count  parity.Counter
	metric func(dialect auth.Dialect, kind parity.Kind)

	said  recent.Map[parity.Key, time.Time]
	mu    sync.Mutex // of one who stores
	swept int64      // the day on which old counts were deleted
	fails bool       // the store did not take them, and the log says so already
}

// sayEvery is how often the log shows a request with one and the same difference.
const sayEvery = time.Minute

func (t *Tally) add(r *http.Request, m *auth.Mount, route string, found []parity.Difference) {
	now := t.now()
	if whole := t.count.Add(now, m.RealmID, string(m.Dialect), route, found); whole != "" {
		t.metric(m.Dialect, whole)
	}
	for _, d := range found {
		if d.Kind == parity.Time {
			continue
		}
		t.metric(m.Dialect, d.Kind)
		if !t.log.Enabled(r.Context(), slog.LevelDebug) {
			continue
		}
		k := parity.Key{Realm: m.RealmID, Dialect: string(m.Dialect), Route: route, Kind: d.Kind, Detail: d.Detail}
		if at, known := t.said.Get(k); known && now.Sub(at).Abs() < sayEvery {
			continue
		}
		t.said.Put(k, now, 1)
		t.log.LogAttrs(r.Context(), slog.LevelDebug, "the legacy server answers otherwise",
			slog.String("request_id", web.RequestID(r.Context())), slog.String("dialect", k.Dialect), slog.String("route", route),
			slog.String("kind", string(d.Kind)), slog.String("detail", d.Detail))
	}
}
