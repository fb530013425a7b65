package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/keyring"
	"github.com/ostiary/ostiary/internal/metrics"
	"github.com/ostiary/ostiary/internal/store"
	"github.com/ostiary/ostiary/internal/trace"
	"github.com/ostiary/ostiary/internal/trace/otlp"
	"github.com/ostiary/ostiary/internal/verify"
	"github.com/ostiary/ostiary/internal/web"
)

// adminConnections is how many connections there may be to the address of the metrics.
const adminConnections = 64

// observe has the parts of the server tell what they do, if anybody wants to know.
func (s *server) observe() (err error) {
	if s.settings.TraceEndpoint != "" {
		s.tracer = trace.New(s.settings.TraceSample)
		if s.sender, err = otlp.New(s.tracer, s.settings.TraceEndpoint, version(), s.log); err != nil {
			return fmt.Errorf("trace_endpoint: %w", err)
		}
	}
	if s.settings.AdminListen == "" {
		return nil
	}
	sources := metrics.Sources{Hashing: s.hashing, Store: s.storeNow, Doors: s.doorsNow, Realms: s.realmsNow, LastBackup: s.lastBackup, Certificates: s.certificatesNow, Accounts: s.states.last}
	if s.sender != nil {
		sources.Spans = func() (sent, dropped uint64) { return s.sender.Sent(), s.tracer.Dropped() }
	}
	s.metrics = metrics.New(version(), sources)
	s.hasher.Observe(s.metrics)
	s.store.Observe(s.metrics)
	return nil
}

// observers tell the core and the web whom to tell.
func (s *server) observers(core *auth.Options, requests *web.Options) {
	if requests.Tracer = s.tracer; s.metrics != nil {
		core.Observer, requests.Observe = s.metrics, s.metrics.Answered
	}
}

// openAdmin answers at the address of the metrics, if it does not yet: at first only whether the
// process lives.
func (s *server) openAdmin() error {
	if s.settings.AdminListen == "" || s.admin != nil {
		return nil
	}
	routes := []web.Route{{Path: "/metrics", Handler: http.HandlerFunc(s.scrape)}}
	for _, route := range verify.HealthRoutes(s.readyNow) {
		route.Path = strings.TrimPrefix(route.Path, "/ostiary")
		routes = append(routes, route)
	}
	mux, err := web.NewMux(routes)
	if err != nil {
		return err
	}
	below, err := new(net.ListenConfig).Listen(s, "tcp", s.settings.AdminListen)
	if err != nil {
		return fmt.Errorf("admin_listen: %w", err)
	}
	s.admin = web.Listen(below, web.ListenerConfig{Log: s.log, Plain: true, Limits: web.Limits{Connections: adminConnections, PerSource: adminConnections}})
	handler := web.Middleware(s.log, mux, web.Options{})
	s.admins = doors{{web.Server(web.ServerConfig{Addr: s.settings.AdminListen, Handler: handler, Log: s.log}), s.admin}}
	s.admins.serve(s.failed)
	s.log.Info("serving metrics", "address", below.Addr().String())
	if !s.settings.AdminLoopback() {
		s.log.Warn("the metrics are not on a loopback address: whoever can reach it reads them, in the clear, and may tell from them which names there are; see that only your monitoring can", "admin_listen", s.settings.AdminListen)
	}
	return nil
}

// scrape answers with the metrics, once there is all that they are of.
func (s *server) scrape(w http.ResponseWriter, r *http.Request) {
	h := s.scraped.Load()
	if h == nil {
		web.Failing(nil, errClosed).ServeHTTP(w, r)
		return
	}
	(*h).ServeHTTP(w, r)
}

// readyNow says whether a load balancer should send requests here, at whatever site there is.
func (s *server) readyNow(ctx context.Context) error {
	site := s.site.Load()
	if site == nil {
		return errClosed
	}
	return s.ready(site.svc)(ctx)
}

func (s *server) hashing() (waiting, running, slots int) {
	st := s.hasher.Stats()
	return st.Waiting, st.Running, st.Slots
}

func (s *server) storeNow() metrics.Store {
	p := s.store.Pool()
	return metrics.Store{Engine: s.store.Info().Engine, Max: p.Max, InUse: p.InUse, Idle: p.Idle, Waits: p.Waits, Waited: p.Waited}
}

func (s *server) doorsNow() (all []metrics.Door) {
	names := []string{"listen", "http_listen"}
	for i, l := range append(slices.Clone(s.bounds), s.admin) {
		name := "admin_listen"
		if i < len(s.bounds) {
			name = names[i]
		}
		d := metrics.Door{Name: name, Open: l.Open(), Closed: map[string]uint64{}}
		for why, n := range l.Closed() {
			d.Closed[web.Closings[why]] = n
		}
		all = append(all, d)
	}
	return all
}

// lastBackup is when a backup of the store was made last.
func (s *server) lastBackup(ctx context.Context) (at time.Time, ok bool) {
	text, err := s.store.Value(ctx, store.BackupFact)
	if err == nil && text != "" {
		at, err = time.Parse(time.RFC3339, text)
	}
	return at, err == nil
}

// certificatesNow are those that clients are shown.
func (s *server) certificatesNow() (all []metrics.Certificate) {
	if s.acme != nil {
		for name, until := range s.acme.Ends() {
			all = append(all, metrics.Certificate{Name: name, Until: until})
		}
	}
	if c := s.cert.served.Load(); c != nil {
		name := c.Leaf.Subject.CommonName
		if len(c.Leaf.DNSNames) > 0 {
			name = c.Leaf.DNSNames[0]
		}
		all = append(all, metrics.Certificate{Name: name, Until: c.Leaf.NotAfter})
	}
	return all
}

// realmsNow looks at the keys and the audit logs of the realms that have mounts. What can't
// be read now is left out.
func (s *server) realmsNow(ctx context.Context) (all []metrics.Realm) {
	seen := map[string]bool{}
	for _, m := range s.site.Load().mounts {
		if ctx.Err() != nil {
			return all
		}
		if seen[m.Realm] {
			continue
		}
		seen[m.Realm] = true
		r := metrics.Realm{Name: m.Realm}
		if keys, err := s.store.Keys(ctx, m.RealmID); err == nil {
			r.Keys = signingKeys(keys, s.rotation.Load(), time.Now())
		}
		head, err := s.store.AuditHead(ctx, m.RealmID)
		last, lastErr := s.store.LastCheckpoint(ctx, m.RealmID)
		if err == nil && (lastErr == nil || errors.Is(lastErr, auth.ErrNotFound)) {
			r.Head, r.Signed, r.LastCheckpoint = head.Seq, last.Seq, last.At
		}
		if s.tellsBack(m.RealmID) {
			if n, oldest, err := s.store.WritebackBacklog(ctx, m.RealmID); err == nil {
				r.Writeback = &metrics.Writeback{Waiting: n, Oldest: oldest}
			}
		}
		all = append(all, r)
	}
	return all
}

// signingKeys are those that sign now, of each algorithm, and when others will: the keys
// that are there already, or those that are due after every so much time.
func signingKeys(keys []keyring.Record, every int64, now time.Time) (all []metrics.Key) {
	states := keyStates(keys, now)
	for i, k := range keys {
		if states[i] != "signing" {
			continue
		}
		key := metrics.Key{Algorithm: k.Algorithm, Since: k.SignsFrom}
		if every > 0 {
			key.Until = k.SignsFrom.Add(time.Duration(every))
		}
		for j, next := range keys {
			if states[j] == "next" && next.Algorithm == k.Algorithm {
				key.Until = next.SignsFrom
			}
		}
		all = append(all, key)
	}
	return all
}
