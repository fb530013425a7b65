package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/web"
)

// door is an address where clients are answered.
type door struct {
	server   *http.Server
	listener net.Listener
}

// doors are those of a server, the main one first.
type doors []door

// listen takes the addresses of the server: listen, and http_listen, where plain HTTP is refused.
func (s *server) listen(secure *tls.Config) (all doors, err error) {
	add := func(address string, handler http.Handler, config *tls.Config) error {
		listener, err := new(net.ListenConfig).Listen(s, "tcp", address)
		if err == nil {
			all = append(all, door{web.Server(web.ServerConfig{Addr: address, Handler: handler, Log: s.log, TLS: config}), s.bound(listener, config != nil)})
		}
		return err
	}
	err = add(s.settings.Listen, http.HandlerFunc(s.answer), secure)
	if err != nil || s.settings.HTTPListen == "" {
		return all, err
	}
	plain := func(w http.ResponseWriter, r *http.Request) { (*s.plain.Load()).ServeHTTP(w, r) }
	if err := add(s.settings.HTTPListen, http.HandlerFunc(plain), nil); err != nil {
		all.close()
		return nil, err
	}
	s.log.Info("refusing plain HTTP", "address", all[1].listener.Addr().String())
	return all, nil
}

// challenge answers a CA, if it is one that asks (RFC 8555, section 8.3).
func (s *server) challenge(w http.ResponseWriter, r *http.Request) bool {
	return s.acme != nil && s.acme.ServeChallenge(w, r)
}

// answer hands a request to the site. What is told to stop keeps no connection: a client, or a proxy, that sent the next
// request on one would get no answer.
func (s *server) answer(w http.ResponseWriter, r *http.Request) {
	if s.leaves.Load() {
		w.Header().Set("Connection", "close") // over HTTP/2, GOAWAY
	}
	if !s.serving.TryRLock() {
		(*s.refuser.Load()).ServeHTTP(w, r)
		return
	}
	defer s.serving.RUnlock()
	s.site.Load().handler.ServeHTTP(w, r)
}

// ready says whether a load balancer should send requests here.
func (s *server) ready(svc *auth.Service) func(context.Context) error {
	return func(ctx context.Context) error {
		if s.leaves.Load() {
			return &auth.Error{Code: auth.CodeUnavailable, Cause: errors.New("the server is stopping"), RetryAfter: time.Second}
		}
		if !s.serving.TryRLock() {
			return errClosed
		}
		s.serving.RUnlock()
		return svc.Ready(ctx)
	}
}

// address is that of the main door.
func (all doors) address() string { return all[0].listener.Addr().String() }

// serve answers at every door, and sends why one of them has ended.
func (all doors) serve(failed chan<- error) {
	for _, d := range all {
		go func() {
			if d.server.TLSConfig != nil {
				failed <- d.server.ServeTLS(d.listener, "", "")
			} else {
				failed <- d.server.Serve(d.listener)
			}
		}()
	}
}

// shutdown takes no more requests, and waits for those in flight.
func (all doors) shutdown(ctx context.Context) error {
	errs := make([]error, len(all))
	for i, d := range all {
		errs[i] = d.server.Shutdown(ctx)
	}
	return errors.Join(errs...)
}

func (s *server) closeDoors() {
	s.doors.close()
	s.admins.close()
}

func (all doors) close() {
	for _, d := range all {
		_ = d.server.Close()
		_ = d.listener.Close() // of one that does not serve yet
	}
}
