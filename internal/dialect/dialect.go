// Package dialect says what a login API is to the server: what it is called, what its
// clients expect unless the configuration says otherwise, which of its tokens are
// access credentials, and its routes.
package dialect

import (
	"github.com/ostiary/ostiary/internal/auth"
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

	// Rules tell the core which JWTs of the dialect are access credentials, and
	// what an account is called in it.
	Rules auth.Rules
	// Encode gives errors the dialect's shape. It answers every code.
	Encode web.Encoder
	// Routes are the dialect's endpoints, at the mount's host and prefix.
	Routes func(svc *auth.Service, m *auth.Mount) []web.Route
}

// Name is what the configuration calls the dialect.
func (d Dialect) Name() auth.Dialect { return d.Defaults.Dialect }
