package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/dialect"
	"github.com/ostiary/ostiary/internal/legacy"
	"github.com/ostiary/ostiary/internal/shadow"
	"github.com/ostiary/ostiary/internal/web"
)

// legacyOf is what a client of a legacy server was made for. A reload that changes nothing
// of it keeps the client, and what that knows of the server.
type legacyOf struct {
	dialect             auth.Dialect
	host, prefix, realm string
	settings            config.Legacy
	ca                  string
}

// elders gives the mounts that take over from a legacy server their clients, of those that
// are there already where nothing has changed.
func (s *server) elders(set *config.Shared, mounts []*auth.Mount) (map[legacyOf]*legacy.Client, error) {
	var known map[legacyOf]*legacy.Client
	if running := s.site.Load(); running != nil {
		known = running.legacy
	}
	clients := map[legacyOf]*legacy.Client{}
	for i, settings := range set.Legacies(mounts) {
		if settings == (config.Legacy{}) {
			continue
		}
		m := mounts[i]
		o, err := settings.Options()
		if err != nil {
			return nil, misuse(fmt.Sprintf("mount %d (%s): %v", i+1, m.Dialect, err))
		}
		of := legacyOf{m.Dialect, m.Host, m.Prefix, m.Realm, settings, string(o.CA)}
		c := known[of]
		if c == nil {
			o.Log, o.Caller = s.log, s.caller()
			if c, err = legacy.New(o); err != nil {
				return nil, misuse(fmt.Sprintf("mount %d (%s): legacy_ca: %s %v", i+1, m.Dialect, settings.CA, err))
			}
		}
		clients[of] = c
		m.Elder = dialectOf(m).Elder(c)
	}
	return clients, nil
}

// caller is by which the nodes of this store know their calls, and nobody else's. It is one
// for all realms: two of them may name each other as their legacy server.
func (s *server) caller() string { return hex.EncodeToString(s.master.Derive("legacy calls")[:16]) }

// once has the route of a mount with a legacy server refuse what a mount has asked its own.
func (s *server) once(m *auth.Mount, route *web.Route) {
	if m.Elder != nil {
		caller := s.caller()
		route.Refuse = func(h http.Header) *auth.Error { return legacy.Returned(h, caller) }
	}
}

// newTally makes what counts where the legacy servers answer otherwise.
func (s *server) newTally() *shadow.Tally {
	if s.metrics == nil {
		return shadow.New(s.store, s.log, time.Now, nil)
	}
	return shadow.New(s.store, s.log, time.Now, s.metrics.Differed)
}

// shadowed has a route answered by the legacy server of its mount, if that is its mode.
func (s *server) shadowed(m *auth.Mount, route web.Route) web.Route {
	if m.Elder == nil || m.Mode != auth.ModeShadow && m.Mode != auth.ModeSplit {
		return route
	}
	return shadow.Route(s.tally, m, route)
}

// dialectOf is the dialect of a mount.
func dialectOf(m *auth.Mount) dialect.Dialect {
	all := dialects()
	return all[slices.IndexFunc(all, func(d dialect.Dialect) bool { return d.Name() == m.Dialect })]
}

// checkLegacies sees that the legacy servers of the mounts can be reached. No login is sent.
func (d *doctor) checkLegacies(mounts []*auth.Mount) {
	all := d.set.Legacies(mounts)
	errs := make([]error, len(all))
	var asked sync.WaitGroup
	for i, settings := range all {
		if settings != (config.Legacy{}) {
			asked.Go(func() { errs[i] = reachLegacy(d, settings) })
		}
	}
	asked.Wait()
	for i, settings := range all {
		if settings == (config.Legacy{}) {
			continue
		}
		subject := fmt.Sprintf("legacy server of mount %d (%s)", i+1, mounts[i].Dialect)
		if errs[i] != nil {
			text, do := errs[i].Error(), ""
			if at := strings.LastIndex(text, ": "); at >= 0 {
				text, do = text[:at], text[at+2:]
			}
			d.find(wrong, subject, do, "%s: %s", settings.URL, text)
			continue
		}
		if j := sameSource(mounts, all, i); j >= 0 {
			d.find(warn, subject, "give each a realm of its own, unless both have the same accounts", "%s: mount %d takes over from %s, and to one realm both are one server of %s", settings.URL, j+1, all[j].URL, mounts[i].Dialect)
			continue
		}
		d.find(fine, subject, "", "%s can be reached; no login was tried there", settings.URL)
	}
}

// checkPending sees that a mount asks for the passwords that a legacy server alone knows.
func (d *doctor) checkPending(desk *desk, mounts []*auth.Mount) {
	if len(mounts) == 0 {
		return // they are a finding
	}
	t, err := desk.TakeoverOf(d, desk.realm.ID, 0)
	if err != nil {
		d.fault("realm "+desk.realm.Name, err)
		return
	}
	for i, settings := range d.set.Legacies(mounts) {
		if settings.URL != "" && mounts[i].Realm == desk.realm.Name {
			delete(t.Pending, mounts[i].Dialect)
		}
	}
	for _, source := range slices.Sorted(maps.Keys(t.Pending)) {
		d.find(warn, "realm "+desk.realm.Name, fmt.Sprintf("give a mount of %s its legacy server (docs/takeover.md), or the accounts a password", source),
			"%s at the legacy server of %s alone, and no mount asks one: nobody can sign in with it", plural(int64(t.Pending[source]), "password is", "passwords are"), source)
	}
}

// sameSource finds a mount before one that takes over from another server of its dialect, in its realm; -1: none.
func sameSource(mounts []*auth.Mount, all []config.Legacy, i int) int {
	for j, m := range mounts[:i] {
		alike := m.Dialect == mounts[i].Dialect && m.Realm == mounts[i].Realm
		if alike && all[j].URL != "" && strings.TrimRight(all[j].URL, "/") != strings.TrimRight(all[i].URL, "/") {
			return j
		}
	}
	return -1
}

func reachLegacy(ctx context.Context, settings config.Legacy) error {
	const give = "give legacy_ca a file with its CA in PEM, which the user that serves can read"
	o, err := settings.Options()
	if err != nil {
		return fmt.Errorf("%w: %s", err, give)
	}
	c, err := legacy.New(o)
	if err != nil {
		return fmt.Errorf("legacy_ca: %s %w: %s", settings.CA, err, give)
	}
	return c.Reach(ctx)
}
