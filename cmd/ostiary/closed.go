package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/dialect"
	"github.com/ostiary/ostiary/internal/store"
	"github.com/ostiary/ostiary/internal/verify"
	"github.com/ostiary/ostiary/internal/web"
)

// knowEvery is how often a server sees whether the database is the one that it has read.
const knowEvery = time.Second

var errClosed = &auth.Error{Code: auth.CodeUnavailable, RetryAfter: time.Second, Cause: errors.New("this server has not read the database that it is to serve: the log says why")}

// refuse has refuser answer whenever there is no site of the database, and plain whoever comes
// without TLS.
func (s *server) refuse(set *config.Shared, srv config.Server) error {
	handler, err := s.closed(set, srv)
	if err != nil {
		return err
	}
	s.refuser.Store(&handler)
	requests := web.Options{Introduced: s.settings.ProxyProtocol, SourceRequests: srv.SourceRequests, TrustedProxies: srv.TrustedProxies()}
	s.observers(&auth.Options{}, &requests)
	plain := web.Plain(s.log, s.challenge, requests)
	s.plain.Store(&plain)
	return nil
}

// reach opens or creates the database. One in PostgreSQL that is away is waited for, as it
// would be if it went away later: a process that ends would be started again, and no sooner
// be of use. Whoever looks after it is told meanwhile that it lives.
func (s *server) reach() (err error) {
	for said := false; ; said = true {
		if s.store, err = createStore(s, s.set); err == nil || !s.set.Postgres() {
			return err
		}
		if fault := store.FaultOf(err); fault != store.FaultAway && fault != store.FaultBusy {
			return err
		}
		if !said {
			if err := s.openEarly(); err != nil {
				return err
			}
			s.log.Warn("the database does not answer: it is asked again each second, until this process is stopped", "store", s.set.DatabaseName(), "err", explain(err))
		}
		select {
		case failed := <-s.failed:
			return failed
		case <-time.After(knowEvery):
		}
	}
}

// openEarly answers healthz, and refuses all else. Certificates of ACME are in the database:
// with them, only the address of the metrics is answered yet.
func (s *server) openEarly() error {
	if err := s.openAdmin(); err != nil || len(s.settings.ACMEDomain) > 0 {
		return err
	}
	if err := errors.Join(s.refuse(s.set, s.settings), s.openDoors()); err != nil {
		return err
	}
	s.answers = true
	s.doors.serve(s.failed)
	s.log.Info("answering that this server is not ready", "address", s.doors.address(), "tls", s.settings.TLS())
	return nil
}

// openDoors takes the addresses of the doors, if it has not yet.
func (s *server) openDoors() error {
	if s.doors != nil {
		return nil
	}
	secure, err := s.tlsConfig()
	if err == nil {
		s.doors, err = s.listen(secure)
	}
	return err
}

// closed answers while there is no site of the database: that the process lives, and that it
// can't serve, each client in the shape that it knows.
func (s *server) closed(set *config.Shared, srv config.Server) (http.Handler, error) {
	all, err := spoken(set)
	if err != nil {
		return nil, misuse(err.Error())
	}
	mounts, err := set.Mounts(all)
	if err != nil {
		return nil, misuse(err.Error())
	}
	routes := dialect.Routes(nil, mounts, all) // nobody gets as far as to need the service
	for i := range routes {
		routes[i].Handler = web.Failing(routes[i].Encode, errClosed)
	}
	rest := web.Route{Path: "/", Handler: web.Failing(nil, errClosed)}
	for _, m := range mounts {
		rest.CORS = append(rest.CORS, m.CORSOrigins...)
	}
	routes = append(routes, verify.HealthRoutes(func(context.Context) error { return errClosed })...)
	mux, err := web.NewMux(append(routes, rest))
	if err != nil {
		return nil, misuse(err.Error())
	}
	requests := s.requests(srv)
	s.observers(&auth.Options{}, &requests)
	return web.Middleware(s.log, mux, requests), nil
}

// followStore sees that the database stays the one that the site was built from: whoever
// restores one, or copies one into its place, may have done so while this process stood
// still, or could not reach it. Then its realms are others, and nobody in it is known.
func (s *server) followStore(ctx context.Context) {
	tick := time.NewTicker(knowEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		once, cancel := context.WithTimeout(ctx, knowEvery)
		known, err := s.store.Known(once)
		cancel()
		if err == nil && !known {
			s.readAnew(ctx)
		}
	}
}

// readAnew makes a site of the database that is there now. Until it has, all are refused.
func (s *server) readAnew(ctx context.Context) {
	s.log.Warn("the database is another one than before: it was restored, copied or made anew; nobody is served until this server has read it")
	s.serving.Lock() // waits for those who are being answered
	defer s.serving.Unlock()
	said := ""
	for {
		err := s.rebuild(ctx)
		if err == nil {
			s.log.Info("the database was read anew, and is served", "store", s.store.Info().Path, "mounts", len(s.site.Load().mounts))
			return
		}
		if text := explain(err); text != said {
			said = text
			s.log.Error("the database that is there now can't be served: it is tried again each second", "err", text)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(knowEvery):
		}
	}
}

// rebuild builds the site again with the settings that it has.
func (s *server) rebuild(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, buildWithin)
	defer cancel()
	s.building.Lock()
	defer s.building.Unlock()
	if err := servable(ctx, s.store); err != nil {
		return err
	}
	key, err := unlock(ctx, s.store, s.set)
	if err != nil {
		return err
	}
	if s.acme != nil && key.Fingerprint() != s.master.Fingerprint() {
		return remedied{"the master key is another one", "start this server again"}
	}
	if err := s.store.Know(ctx); err != nil {
		return err
	}
	s.master = key
	old := s.site.Load()
	next, err := s.build(ctx, old.set, old.srv)
	if err != nil {
		return err
	}
	if err := next.svc.WatchAudit(ctx); err != nil {
		return err
	}
	s.site.Store(next)
	select {
	case s.retend <- struct{}{}:
	default: // it has yet to see the last one
	}
	return nil
}
