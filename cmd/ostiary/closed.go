package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/verify"
	"github.com/ostiary/ostiary/internal/web"
)

// knowEvery is how often a server sees whether the database is the one that it has read.
const knowEvery = time.Second

var errClosed = &auth.Error{Code: auth.CodeUnavailable, RetryAfter: time.Second, Cause: errors.New("this server has not read the database that it is to serve: the log says why")}

// closed answers while there is no site of the database: that the process lives, and that it
// can't serve.
func (s *server) closed() (http.Handler, error) {
	requests := s.requests(s.settings)
	s.observers(&auth.Options{}, &requests)
	health, err := web.NewMux(verify.HealthRoutes(func(context.Context) error { return errClosed }))
	if err != nil {
		return nil, err
	}
	all := http.NewServeMux()
	all.Handle("/", web.Failing(errClosed))
	for _, path := range []string{"/ostiary/healthz", "/ostiary/readyz"} {
		all.Handle(path, health)
	}
	return web.Middleware(s.log, all, requests), nil
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
		err := s.rebuild()
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
func (s *server) rebuild() error {
	s.building.Lock()
	defer s.building.Unlock()
	if err := servable(s, s.store); err != nil {
		return err
	}
	key, err := unlock(s, s.store, s.set)
	if err != nil {
		return err
	}
	if s.acme != nil && key.Fingerprint() != s.master.Fingerprint() {
		return remedied{"the master key is another one", "start this server again"}
	}
	if err := s.store.Know(s); err != nil {
		return err
	}
	s.master = key
	old := s.site.Load()
	next, err := s.build(old.set, old.srv)
	if err != nil {
		return err
	}
	if err := next.svc.WatchAudit(s); err != nil {
		return err
	}
	s.site.Store(next)
	select {
	case s.retend <- struct{}{}:
	default: // it has yet to see the last one
	}
	return nil
}
