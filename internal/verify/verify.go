// Package verify is what Ostiary answers in its own name, after a login: to resource
// servers whether a request's credential is good, and to its bearer who it speaks for.
//
//	any  /ostiary/verify           200 and the Ostiary- headers, 401, 403 or 503
//	GET  /ostiary/whoami           the same identity as JSON
//	POST /ostiary/logout           ends the session of the credential
//	GET  /ostiary/sessions         the live sessions of the bearer's account
//	DELETE /ostiary/sessions       ends them all; with /<id>, one of them
//	POST /ostiary/password         changes the bearer's own password
//	POST /ostiary/join             merges another account of the same person with the bearer's
//	POST /ostiary/factor           enrols a second factor in place of a legacy server's
//	POST /ostiary/introspect       what a token means, for a service account (RFC 7662)
//	POST /ostiary/revoke           ends the session of a token, for one, too (RFC 7009)
//	GET  /.well-known/jwks.json    the realm's public keys (RFC 7517)
//	GET  /ostiary/healthz          200 while the process lives
//	GET  /ostiary/readyz           200 while it can serve, else 503
//
// All but the last two speak for one realm: that of the host and prefix where they are
// asked, which Places works out from the mounts. Errors are problems of RFC 9457. The
// credential is a token in the headers, never a password, a cookie or a query.
package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/web"
)

// surface is the endpoints of one realm.
type surface struct {
	svc       *auth.Service
	realm     uuid.UUID
	challenge string
}

const verifyPath = "/ostiary/verify"

// Routes are the endpoints of a realm on a host, below a prefix.
func Routes(svc *auth.Service, host, prefix string, realm string, realmID uuid.UUID) []web.Route {
	challenge := `Bearer realm="` + realm + `"` // auth.RealmName has no quotes
	s := surface{svc: svc, realm: realmID, challenge: challenge}
	verify := func(run func(context.Context, *web.Request, web.None) (web.None, error)) http.Handler {
		return web.Endpoint[web.None, web.None]{
			Body: web.BodyUnread, Encode: encodeVerdict, Challenge: challenge,
			TwoCredentials: auth.CodeTokenInvalid, Run: run,
			Refused: func(r *web.Request) { original(r) },
		}
	}
	routes := []web.Route{
		{Path: verifyPath, Servers: true, Handler: verify(s.verify)},
		// A proxy may append the path that it was asked for, with its query.
		{Path: verifyPath + "/", Servers: true, Handler: verify(s.vouch)},
		{Path: "/ostiary/whoami", Handler: web.Endpoint[web.None, whoami]{
			Methods: []string{http.MethodGet}, Body: web.BodyUnread, Challenge: challenge, Run: s.whoami,
		}},
		{Path: "/ostiary/logout", Handler: web.Endpoint[web.None, web.None]{
			Methods: []string{http.MethodPost}, Body: web.BodyUnread, Challenge: challenge,
			Success: http.StatusNoContent, Run: s.logout,
		}},
		{Path: sessionsPath, Handler: s.sessions(challenge)},
		{Path: sessionsPath + "/", Handler: s.oneSession(challenge)},
		{Path: "/ostiary/password", Handler: web.Endpoint[passwordChange, web.None]{
			Methods: []string{http.MethodPost}, Challenge: challenge, Encode: encodePassword,
			Success: http.StatusNoContent, Run: s.password,
		}},
		{Path: "/ostiary/factor", Handler: web.Endpoint[factorCode, factor]{
			Methods: []string{http.MethodPost}, Body: web.BodyEmpty, Challenge: challenge, Encode: encodeFactor, Run: s.factor,
		}},
		{Path: "/ostiary/join", Handler: web.Endpoint[joinRequest, web.None]{
			Methods: []string{http.MethodPost}, Challenge: challenge, Encode: encodePassword,
			Success: http.StatusNoContent, Run: s.join,
		}},
		{Path: "/ostiary/introspect", Handler: forService(realm, s.introspect)},
		{Path: "/ostiary/revoke", Handler: forService(realm, s.revoke)},
		{Path: "/.well-known/jwks.json", Servers: true, Handler: web.Endpoint[web.None, json.RawMessage]{
			Methods: []string{http.MethodGet}, Body: web.BodyUnread, Run: s.jwks,
		}},
	}
	for i := range routes {
		routes[i].Host, routes[i].Path = host, prefix+routes[i].Path
	}
	return routes
}

// HealthRoutes are what a supervisor or a load balancer asks, on any host; ready says why
// requests would better go elsewhere.
func HealthRoutes(ready func(context.Context) error) []web.Route {
	health := func(run func(context.Context, *web.Request, web.None) (web.Text, error)) http.Handler {
		return web.Endpoint[web.None, web.Text]{
			Methods: []string{http.MethodGet}, Body: web.BodyUnread, Encode: encodeReadiness, Run: run,
		}
	}
	return []web.Route{
		{Path: "/ostiary/healthz", Name: "/ostiary/healthz", Servers: true, Handler: health(func(context.Context, *web.Request, web.None) (web.Text, error) {
			return "ok", nil
		})},
		{Path: "/ostiary/readyz", Name: "/ostiary/readyz", Servers: true, Handler: health(func(ctx context.Context, _ *web.Request, _ web.None) (web.Text, error) {
			if err := ready(ctx); err != nil {
				return "", err
			}
			return "ready", nil
		})},
	}
}

// vouch answers with who the credential speaks for: the query is the client's, as the path
// is that was appended. A proxy that names the original URI in a header appends none, so
// that with it the query is a rule of the proxy's, whose path was misspelt.
func (s surface) vouch(ctx context.Context, r *web.Request, in web.None) (none web.None, err error) {
	for _, name := range originalHeaders {
		if _, there := r.Header[name.uri]; there {
			return s.verify(ctx, r, in)
		}
	}
	return none, s.answer(ctx, r, "")
}

// verify does so too, if the identity has what the query asks for.
func (s surface) verify(ctx context.Context, r *web.Request, _ web.None) (none web.None, err error) {
	return none, s.answer(ctx, r, r.URL.RawQuery)
}

func (s surface) answer(ctx context.Context, r *web.Request, query string) error {
	clear := original(r)
	p, err := presented(r.Header)
	if err != nil {
		return err
	}
	who, assertion, err := s.svc.Vouch(ctx, s.realm, p)
	if err != nil {
		return err
	}
	r.Speaks(who.Dialect)
	switch {
	case !clear:
		return auth.Errorf(auth.CodeForbidden, "the original URI could be taken for two different ones")
	case query != "":
		if err := meets(who, query); err != nil {
			r.Answer.Set("WWW-Authenticate", s.challenge+`, error="insufficient_scope"`) // RFC 6750 section 3.1
			return err
		}
	}
	setIdentity(r.Answer, who, assertion)
	return nil
}

func (s surface) bearer(ctx context.Context, r *web.Request) (*auth.Identity, error) {
	p, err := presented(r.Header)
	if err != nil {
		return nil, err
	}
	who, err := s.svc.Identify(ctx, s.realm, p)
	if err == nil {
		r.Speaks(who.Dialect)
	}
	return who, err
}

// whoami is the identity as JSON.
type whoami struct {
	Subject     string       `json:"subject"`
	Account     uuid.UUID    `json:"account"`
	Username    string       `json:"username"`
	Email       string       `json:"email"`
	Org         string       `json:"org"`
	Roles       []string     `json:"roles"`
	Datasources []string     `json:"datasources"`
	Dialect     auth.Dialect `json:"dialect"`
	Session     uuid.UUID    `json:"session"`
	AuthTime    int64        `json:"auth_time"` // NumericDate (RFC 7519 section 2)
	AMR         []string     `json:"amr"`       // RFC 8176
}

func (s surface) whoami(ctx context.Context, r *web.Request, _ web.None) (whoami, error) {
	who, err := s.bearer(ctx, r)
	if err != nil {
		return whoami{}, err
	}
	return whoami{
		Subject: who.Subject, Account: who.Account, Username: who.Username, Email: who.Email, Org: who.Org,
		Roles: list(who.Roles), Datasources: list(who.Datasources), Dialect: who.Dialect,
		Session: who.Session, AuthTime: who.AuthTime.Unix(), AMR: list(who.AMR),
	}, nil
}

// list is never null in JSON.
func list(names []string) []string {
	if names == nil {
		return []string{}
	}
	return names
}

func (s surface) logout(ctx context.Context, r *web.Request, _ web.None) (none web.None, err error) {
	p, err := held(r)
	if err != nil {
		return none, err
	}
	return none, s.svc.Logout(ctx, s.realm, p, r.Client)
}

type passwordChange struct {
	Current string `json:"current"`
	New     string `json:"new"`
}

func (s surface) password(ctx context.Context, r *web.Request, in passwordChange) (none web.None, err error) {
	p, err := held(r)
	if err != nil {
		return none, err
	}
	return none, s.svc.ChangePassword(ctx, s.realm, p, auth.Secret(in.Current), auth.Secret(in.New), r.Client)
}

type joinRequest struct {
	Current  string `json:"current"`
	Username string `json:"username"`
	Password string `json:"password"`
	Dialect  string `json:"dialect"`
}

func (s surface) join(ctx context.Context, r *web.Request, in joinRequest) (none web.None, err error) {
	p, err := held(r)
	if err != nil {
		return none, err
	}
	if in.Current == "" || in.Username == "" || in.Password == "" || in.Dialect == "" {
		return none, auth.Errorf(auth.CodeInvalidInput, "current, username, password and dialect are required")
	}
	other := auth.Credentials{Name: in.Username, Password: auth.Secret(in.Password)}
	return none, s.svc.Join(ctx, s.realm, p, auth.Secret(in.Current), auth.Dialect(in.Dialect), other, r.Client)
}

func (s surface) jwks(ctx context.Context, r *web.Request, _ web.None) (json.RawMessage, error) {
	set, keep, err := s.svc.JWKS(ctx, s.realm)
	if keep >= time.Second {
		r.Answer.Set("Cache-Control", fmt.Sprintf("public, max-age=%d", keep/time.Second))
	} else {
		r.Answer.Set("Cache-Control", "no-cache")
	}
	return set, err
}
