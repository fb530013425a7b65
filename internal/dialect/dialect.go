package dialect

import (
	"net/http"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/legacy"
	"github.com/ostiary/ostiary/internal/web"
)

// Dialect is one login API.
type Dialect struct {
	// Defaults are what a mount has unless the configuration says otherwise;
	// Defaults.Dialect is the name. Without a default Scope the dialect has no scopes,
	// without RefreshRetry it has no refresh.
	Defaults   auth.Mount
	Issuer     func(realm string) string // the default issuer; nil: its tokens name none
	Algorithms []string                  // what it may sign with; none: its tokens are opaque
	Audience   bool                      // its tokens can carry an audience
	OwnFactor  bool                      // it asks for the second factor in a step of its own
	File       string                    // that declares it; "": it is written in Go

	// Rules tell the core which JWTs of the dialect are access credentials, and
	// what an account is called in it.
	Rules auth.Rules
	// Encode gives errors the dialect's shape. It answers every code.
	Encode web.Encoder
	// Routes are the dialect's endpoints, at the mount's host and prefix.
	Routes func(svc *auth.Service, m *auth.Mount) []web.Route
	// Elder asks a server of the dialect that a mount takes over from. nil: it can't be one.
	Elder func(c *legacy.Client) auth.Elder
}

// Name is what the configuration calls the dialect.
func (d Dialect) Name() auth.Dialect { return d.Defaults.Dialect }

// Algorithms are those of RFC 7518, section 3.1, and RFC 8037 that Ostiary signs with.
var Algorithms = []string{"RS256", "ES256", "EdDSA"}

// URN makes the default issuer of a dialect whose original has no fixed one.
func URN(name auth.Dialect) func(realm string) string {
	return func(realm string) string { return "urn:ostiary:" + realm + ":" + string(name) }
}

// Rules are what the core needs to know of the dialects that a server speaks.
func Rules(all []Dialect) map[auth.Dialect]auth.Rules {
	rules := make(map[auth.Dialect]auth.Rules, len(all))
	for _, d := range all {
		rules[d.Name()] = d.Rules
	}
	return rules
}

// Routes are the routes of all mounts, in their order.
func Routes(svc *auth.Service, mounts []*auth.Mount, all []Dialect) []web.Route {
	var routes []web.Route
	for _, m := range mounts {
		for _, d := range all {
			if d.Name() == m.Dialect {
				for _, route := range d.Routes(svc, m) {
					d.Announce(&route, m)
					routes = append(routes, route)
				}
			}
		}
	}
	return routes
}

// Route is an endpoint at a mount: path is the dialect's own.
func Route(m *auth.Mount, path string, h http.Handler) web.Route {
	return web.Route{Host: m.Host, Path: m.Prefix + path, Handler: h, Dialect: m.Dialect, Name: path, CORS: m.CORSOrigins}
}

// Names are what an account is called where a dialect has a place for a username and
// one for a name to show: an account may lack either.
func Names(a auth.Account) (username, display string) {
	username, display = a.Username, a.DisplayName
	if username == "" {
		username = a.Email
	}
	if display == "" {
		display = username
	}
	return username, display
}
