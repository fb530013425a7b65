package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/dialect"
	"github.com/ostiary/ostiary/internal/legacy"
	"github.com/ostiary/ostiary/internal/openapi"
	"github.com/ostiary/ostiary/internal/password"
	"github.com/ostiary/ostiary/internal/verify"
	"github.com/ostiary/ostiary/internal/web"
	"github.com/ostiary/ostiary/internal/writeback"
)

// site is all that a configuration makes: a reload replaces it as a whole.
type site struct {
	svc     *auth.Service
	mounts  []*auth.Mount
	handler http.Handler
	legacy  map[legacyOf]*legacy.Client
	back    []*writeback.Outlet
	set     *config.Shared // that it was built with
	srv     config.Server
}

// build makes the site of a configuration.
func (s *server) build(ctx context.Context, set *config.Shared, srv config.Server) (*site, error) {
	all, err := spoken(set)
	if err != nil {
		return nil, misuse(err.Error())
	}
	mounts, err := set.Mounts(all)
	if err != nil {
		return nil, misuse(err.Error())
	}
	elders, err := s.elders(set, mounts)
	if err != nil {
		return nil, err
	}
	o := coreOptions(set, s.store, s.master, s.hasher, s.log)
	o.Mounts, o.Gate, o.Shared, o.Watch, o.Feed = mounts, s.gate, s.shared, s.watch, s.feed
	o.Dialects = dialect.Rules(all)
	o.AuditKeep = time.Duration(srv.AuditKeep)
	requests := s.requests(srv)
	s.observers(&o, &requests)
	svc := auth.New(o)
	if err := s.settle(ctx, svc, mounts); err != nil {
		return nil, err
	}
	s.warnSunset(mounts)
	if err := s.checkPasswords(ctx, svc, o.Passwords); err != nil {
		return nil, err
	}
	back, err := s.outlets(ctx, svc, set)
	if err != nil {
		return nil, err
	}
	places, err := verify.Places(mounts)
	if err != nil {
		return nil, misuse(err.Error())
	}
	routes := verify.HealthRoutes(s.ready(svc))
	for _, p := range places {
		own := append(verify.Routes(svc, p.Host, p.Prefix, p.Realm, p.RealmID), openapi.Route(p.Host, p.Prefix, mounts))
		for _, route := range own {
			if !forServers(route.Path[len(p.Prefix):]) {
				route.CORS = origins(mounts, p)
			}
			route.Name = route.Path[len(p.Prefix):]
			routes = append(routes, route)
		}
	}
	for _, d := range all {
		for _, m := range mounts {
			if m.Dialect == d.Name() {
				for _, route := range d.Routes(svc, m) {
					route = s.shadowed(m, route)
					s.once(m, &route)
					route.Count = s.counted(m, srv)
					d.Announce(&route, m)
					routes = append(routes, route)
				}
			}
		}
	}
	mux, err := web.NewMux(routes)
	if err != nil {
		return nil, misuse(err.Error())
	}
	return &site{svc, mounts, web.Middleware(s.log, mux, requests), elders, back, set, srv}, nil
}

// requests is how the main door takes what is asked.
func (s *server) requests(srv config.Server) web.Options {
	trusted := srv.TrustedProxies()
	return web.Options{
		TrustedProxies: trusted, OnlyProxies: len(trusted) > 0 && !s.settings.ProxyProtocol, HSTS: time.Duration(srv.HSTS),
		Introduced: s.settings.ProxyProtocol, SourceRequests: srv.SourceRequests,
	}
}

// forServers tells whether a path is for other servers alone, so that no page may call
// it. A proxy may pass a browser's preflight on to verify, and would take its answer for
// a verdict; and whoever introspects or revokes has a secret that no page may have.
func forServers(path string) bool {
	return strings.HasPrefix(path, "/ostiary/verify") || path == "/ostiary/introspect" || path == "/ostiary/revoke"
}

// origins are those of the mounts in a place: whose pages may sign in may sign out.
func origins(mounts []*auth.Mount, p verify.Place) (all []string) {
	for _, m := range mounts {
		if m.Host == p.Host && m.Prefix == p.Prefix {
			all = append(all, m.CORSOrigins...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// settle finds the realms of the mounts, and sees that each can sign as it is to.
func (s *server) settle(ctx context.Context, svc *auth.Service, mounts []*auth.Mount) error {
	for _, m := range mounts {
		realm, err := svc.Realm(ctx, m.Realm)
		if auth.CodeOf(err) == auth.CodeNotFound {
			return fmt.Errorf("the mount of %s is for realm %q, which is not there: make it with: ostiary realm create %s", m.Dialect, m.Realm, m.Realm)
		}
		if err != nil {
			return err
		}
		m.RealmID = realm.ID
	}
	for _, k := range signers(mounts) {
		if err := svc.EnsureKey(ctx, k.realmID, k.algorithm, s.by); err != nil {
			return err
		}
	}
	return nil
}

// checkPasswords sees that the rules for passwords are for realms that are there, and that
// they can be kept.
func (s *server) checkPasswords(ctx context.Context, svc *auth.Service, rules map[string]password.Rules) error {
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		_, err := svc.Realm(ctx, name)
		if auth.CodeOf(err) == auth.CodeNotFound {
			return fmt.Errorf("a [[policy]] is for realm %q, which is not there: make it with: ostiary realm create %s", name, name)
		}
		if err != nil {
			return err
		}
		r := rules[name]
		if r.Breached != nil {
			if err := r.Breached.Verify(); err != nil {
				return fmt.Errorf("realm %s: password_breached: %w", name, err)
			}
		}
		if r.Min != 0 && r.Min < password.MinAlone {
			s.log.Warn("password_min is less than NIST SP 800-63B-4 asks where the password is the only factor: 15", "realm", name, "password_min", r.Min)
		}
	}
	return nil
}

// newLog makes the server's log. From here on nothing that it says waits for whoever
// reads standard error.
func (s *server) newLog() *slog.Logger {
	s.level.Set(levelOf(s.set))
	s.err = newLogWriter(s.err, func(out io.Writer, lines int) error {
		r := slog.NewRecord(time.Now(), slog.LevelWarn, "lines of the log were dropped: what reads standard error was too slow, or failed", 0)
		r.Add("lines", lines)
		return s.logHandler(out, slog.LevelWarn).Handle(s, r)
	})
	return slog.New(s.logHandler(s.err, &s.level))
}

func (s *server) logHandler(out io.Writer, level slog.Leveler) slog.Handler {
	o := &slog.HandlerOptions{Level: level}
	if s.set.LogFormat == "json" {
		return slog.NewJSONHandler(out, o)
	}
	return slog.NewTextHandler(out, o)
}

// levelOf is the level of --log-level, which has been checked.
func levelOf(set *config.Shared) (l slog.Level) {
	_ = l.UnmarshalText([]byte(set.LogLevel))
	return l
}
