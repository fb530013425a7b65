package declared

import (
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/dialect"
	"github.com/ostiary/ostiary/internal/pattern"
	"github.com/ostiary/ostiary/internal/token"
	"github.com/ostiary/ostiary/internal/web"
)

// scope says where a placeholder has a value: in the answers of which flows, in the claims
// of JWTs, in errors.
type scope int

const (
	onSignIn scope = 1 << iota
	onBegin
	onComplete
	onRefresh
	onRenew
	onLogout
	onClaims
	onError

	onGrant = onSignIn | onComplete | onRefresh | onRenew
)

// scopeNames are the flows, and the two other places, as messages call them.
var scopeNames = map[scope]string{
	onSignIn: "the answer of sign_in", onBegin: "the answer of begin", onComplete: "the answer of complete",
	onRefresh: "the answer of refresh", onRenew: "the answer of renew", onLogout: "the answer of logout",
	onClaims: "claims", onError: "an error",
}

// values are what placeholders stand for, in one answer.
type values struct {
	grant   *auth.Grant
	pending *auth.Pending
	problem *web.Problem
	status  int // of the problem
	jwts    map[string]string
	refresh auth.Secret
	uuids   map[string]string
	access  token.Claims // roles, datasources and omitted, as claims have them
}

// form is what a placeholder's value is.
type form int

const (
	isText   form = iota // any text
	isToken              // a text that is safe in a header
	isNumber             // a number
	isOther              // true or false, a list, or a text or null
)

// placeholder is what can stand in a template.
type placeholder struct {
	in   scope
	form form
	get  func(v *values) any
}

func account(form form, get func(g *auth.Grant) any) placeholder {
	return placeholder{onGrant | onClaims, form, func(v *values) any { return get(v.grant) }}
}

func problem(form form, get func(v *values) any) placeholder {
	return placeholder{onError, form, get}
}

func pending(form form, get func(p *auth.Pending) any) placeholder {
	return placeholder{onBegin, form, func(v *values) any { return get(v.pending) }}
}

// claimList is a list of names: of an answer all, of claims as many as fit into a header.
func claimList(in scope, name string, all func(g *auth.Grant) []string) placeholder {
	return placeholder{in, isOther, func(v *values) any {
		if v.access == nil {
			return append([]string{}, all(v.grant)...)
		}
		return v.access[name] // nil: left out
	}}
}

const milliseconds = "2006-01-02T15:04:05.000-07:00"

var placeholders = map[string]placeholder{
	"username": account(isText, func(g *auth.Grant) any { name, _ := dialect.Names(g.Account); return name }),
	"display_name": account(isText, func(g *auth.Grant) any {
		_, name := dialect.Names(g.Account)
		return name
	}),
	"email":          account(isText, func(g *auth.Grant) any { return g.Account.Email }),
	"email_verified": account(isOther, func(g *auth.Grant) any { return g.Account.EmailVerified }),
	"org":            account(isText, func(g *auth.Grant) any { return g.Account.Org }),
	"number":         account(isNumber, func(g *auth.Grant) any { return g.Account.Number }),
	"account":        account(isToken, func(g *auth.Grant) any { return g.Account.ID.String() }),
	"subject":        account(isText, func(g *auth.Grant) any { return g.Subject }),
	"session":        account(isToken, func(g *auth.Grant) any { return g.Session.ID.String() }),
	"issuer":         account(isText, func(g *auth.Grant) any { return g.Mount.Issuer }),
	"audience":       account(isText, func(g *auth.Grant) any { return g.Mount.Audience }),
	"scope":          account(isText, func(g *auth.Grant) any { return g.Mount.Scope }),
	"realm":          account(isText, func(g *auth.Grant) any { return g.Mount.Realm }),

	"issued_at":       account(isNumber, func(g *auth.Grant) any { return g.IssuedAt.Unix() }),
	"auth_time":       account(isNumber, func(g *auth.Grant) any { return g.Session.AuthTime.Unix() }),
	"expires_at":      account(isNumber, func(g *auth.Grant) any { return expiry(g).Unix() }),
	"expires_at.full": account(isNumber, func(g *auth.Grant) any { return fullExpiry(g).Unix() }),
	"expires_at.iso":  account(isText, func(g *auth.Grant) any { return expiry(g).UTC().Format(milliseconds) }),
	"expires_in":      account(isNumber, func(g *auth.Grant) any { return expiry(g).Unix() - g.IssuedAt.Unix() }),
	"session_expires_in": account(isNumber, func(g *auth.Grant) any {
		return g.Session.ExpiresAt.Unix() - g.IssuedAt.Unix()
	}),

	"roles":       claimList(onGrant|onClaims, "roles", func(g *auth.Grant) []string { return g.Roles }),
	"datasources": claimList(onGrant|onClaims, "datasources", func(g *auth.Grant) []string { return g.Datasources }),
	"omitted":     claimList(onClaims, "omitted", nil),

	"bearer":  {onSignIn | onComplete, isToken, func(v *values) any { return string(v.grant.Bearer) }},
	"refresh": {onSignIn | onComplete | onRefresh, isToken, func(v *values) any { return string(v.refresh) }},

	"ticket":           pending(isToken, func(p *auth.Pending) any { return string(p.Ticket) }),
	"factor":           pending(isToken, func(p *auth.Pending) any { return factorNames[p.Factor] }),
	"factor.enabled":   pending(isOther, func(p *auth.Pending) any { return p.Factor != auth.FactorNone }),
	"factor.confirmed": pending(isOther, func(p *auth.Pending) any { return p.Factor == auth.FactorConfirmed }),
	"qr": pending(isOther, func(p *auth.Pending) any {
		if p.QR == "" {
			return nil
		}
		return p.QR
	}),

	"detail": problem(isText, func(v *values) any {
		if v.problem.Detail == "" {
			return http.StatusText(v.status)
		}
		return v.problem.Detail
	}),
	"reason": problem(isText, func(v *values) any { return http.StatusText(v.status) }),
	"status": problem(isNumber, func(v *values) any { return v.status }),
	"path":   problem(isText, func(v *values) any { return v.problem.Path }),
	"time":   problem(isText, func(v *values) any { return v.problem.Time.UTC().Format(milliseconds) }),
}

var factorNames = [...]string{auth.FactorNone: "none", auth.FactorEnrolled: "enrolled", auth.FactorConfirmed: "confirmed"}

// expiry is when the access credential of a grant ends, as auth.Service.Sign has it.
func expiry(g *auth.Grant) time.Time {
	if full := fullExpiry(g); full.Before(g.Session.ExpiresAt) {
		return full
	}
	return g.Session.ExpiresAt
}

// fullExpiry is iat and access_ttl, even where the session ends before.
func fullExpiry(g *auth.Grant) time.Time {
	if g.Mount.AccessTTL == 0 {
		return g.Session.ExpiresAt
	}
	return g.IssuedAt.Add(g.Mount.AccessTTL)
}

var (
	jwtName  = pattern.New(`^[a-z][a-z0-9_]{0,31}$`)
	uuidName = pattern.New(`^uuid(\.[a-z][a-z0-9_]{0,31})?$`)
)

// lookup finds a placeholder. A uuid is made for each answer, the same in all of it.
func lookup(name string) (placeholder, bool) {
	if jwt, ok := strings.CutPrefix(name, "jwt."); ok && jwtName.MatchString(jwt) {
		return placeholder{onGrant, isToken, func(v *values) any { return v.jwts[jwt] }}, true
	}
	if uuidName.MatchString(name) {
		return placeholder{onGrant | onClaims, isToken, func(v *values) any {
			if v.uuids[name] == "" {
				v.uuids[name] = uuid.NewString()
			}
			return v.uuids[name]
		}}, true
	}
	p, ok := placeholders[name]
	return p, ok
}
