package config

import (
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

// Dialect is what the configuration must know of one login API to complete and
// check its mounts.
type Dialect struct {
	// Defaults are what a mount has unless the file says otherwise; Defaults.Dialect
	// is the name. A dialect without a default scope has no scopes, one without
	// RefreshRetry has no refresh.
	Defaults   auth.Mount
	Issuer     func(realm string) string // the default issuer; nil: its tokens name none
	Algorithms []string                  // what it may sign with; none: its tokens are opaque
	Audience   bool                      // its tokens can carry an audience
	OwnFactor  bool                      // it asks for the second factor in a step of its own
}

const day = 24 * time.Hour

// Standard are the four dialects, with the lifetimes and names that their clients expect.
func Standard() []Dialect {
	return []Dialect{
		{
			Defaults: auth.Mount{
				Dialect: "cloudio", Algorithm: "RS256",
				SessionIdle: 12 * time.Hour, SessionMax: day,
			},
			Issuer:     urnIssuer("cloudio"),
			Algorithms: algorithms,
		},
		{
			Defaults: auth.Mount{
				Dialect:     "mikrocloud",
				SessionIdle: 12 * time.Hour, SessionMax: day,
			},
			OwnFactor: true,
		},
		{
			Defaults: auth.Mount{
				Dialect: "nomic", Algorithm: "RS256",
				AccessTTL: 2 * time.Hour, SessionMax: day,
			},
			Issuer:     func(string) string { return "NomicGameManager.Api" },
			Algorithms: []string{"RS256"}, // its clients are promised RS256
			Audience:   true,
		},
		{
			Defaults: auth.Mount{
				Dialect: "senmo", Algorithm: "RS256", Audience: "ostiary", Scope: "openid",
				AccessTTL: time.Hour, SessionIdle: 30 * day, SessionMax: 90 * day,
				RefreshRetry: time.Minute,
			},
			Issuer:     urnIssuer("senmo"),
			Algorithms: algorithms,
			Audience:   true,
		},
	}
}

// algorithms are those of RFC 7518, section 3.1, and RFC 8037 that Ostiary signs with.
var algorithms = []string{"RS256", "ES256", "EdDSA"}

func urnIssuer(dialect string) func(realm string) string {
	return func(realm string) string { return "urn:ostiary:" + realm + ":" + dialect }
}
