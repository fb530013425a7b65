package declared

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/dialect"
	"github.com/ostiary/ostiary/internal/web"
)

// serve makes the routes of a mount: one for each path and scheme.
func (d *Definition) serve(svc *auth.Service, m *auth.Mount) (routes []web.Route) {
	var done []*route
	for _, r := range d.routes {
		if slices.Contains(done, r) {
			continue
		}
		e := &endpoint{definition: d, svc: svc, mount: m}
		for _, other := range d.routes {
			if other.path == r.path && other.claim() == r.claim() {
				e.routes = append(e.routes, other)
			}
		}
		done = append(done, e.routes...)
		route := dialect.Route(m, r.path, e.handler())
		route.Encode = e.routes[0].errors.encode
		if r.claim() != "" {
			route.Claims = r.when.claims
		}
		routes = append(routes, route)
	}
	return routes
}

// claims tells whether any credential in the headers has the scheme.
func (f *from) claims(h http.Header) bool {
	for _, name := range f.headers {
		for _, value := range h[name] {
			if scheme, _ := web.Authorization(http.Header{"Authorization": {value}}); scheme == f.scheme {
				return true
			}
		}
	}
	return false
}

// endpoint answers the routes of one path and scheme.
type endpoint struct {
	definition *Definition
	svc        *auth.Service
	mount      *auth.Mount
	routes     []*route
}

func (e *endpoint) handler() http.Handler {
	switch first := e.routes[0]; first.body {
	case web.BodyForm:
		return build(e, nil, func(form web.Form) lookupFunc {
			return func(name string) *string {
				if value, ok := form[name]; ok {
					return &value
				}
				return nil
			}
		})
	case web.BodyIgnored:
		return build(e, nil, func(web.None) lookupFunc { return func(string) *string { return nil } })
	}
	l := newLayout(e.routes)
	return build(e, l.fresh, l.read)
}

// lookupFunc finds a member of a body; nil if it is not there.
type lookupFunc func(member string) *string

func build[In any](e *endpoint, fresh func() In, read func(In) lookupFunc) http.Handler {
	first := e.routes[0]
	return web.Endpoint[In, json.RawMessage]{
		Methods: []string{first.method}, Body: first.body, New: fresh, Encode: first.errors.encode,
		TwoCredentials: e.definition.two,
		Success:        e.success(),
		Run: func(ctx context.Context, r *web.Request, in In) (json.RawMessage, error) {
			a := &asked{Request: r, endpoint: e, body: read(in)}
			return a.run(ctx)
		},
	}
}

// success is the status of all routes of an endpoint.
func (e *endpoint) success() int { return e.routes[0].status }

// asked is a request that is being answered.
type asked struct {
	*web.Request
	*endpoint
	body lookupFunc
}

func (a *asked) run(ctx context.Context) (json.RawMessage, error) {
	r, err := a.pick()
	if err != nil {
		return nil, err
	}
	v, err := a.flow(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := a.mint(ctx, r, v); err != nil {
		return nil, err
	}
	for _, h := range r.headers {
		a.Answer[h.name] = []string{text(h.parts, v)}
	}
	return r.json.render(v), nil
}

// pick finds the route among those that a member of the body tells apart.
func (a *asked) pick() (*route, error) {
	first := a.routes[0]
	if first.when == nil || first.when.member == "" {
		return first, nil
	}
	value := a.body(first.when.member)
	var known []string
	for _, r := range a.routes {
		if value != nil && *value == r.is {
			return r, nil
		}
		known = append(known, fmt.Sprintf("%q", r.is))
	}
	return nil, auth.Errorf(auth.CodeInvalidInput, "the field %q must be %s", first.when.member, strings.Join(known, " or "))
}

// flow has the core do what the route is for.
func (a *asked) flow(ctx context.Context, r *route) (v *values, err error) {
	v = &values{jwts: map[string]string{}, uuids: map[string]string{}}
	svc, m := a.svc, a.mount
	switch r.flow {
	case flowSignIn, flowBegin:
		var c auth.Credentials
		if c, err = a.credentials(r); err != nil {
			return nil, err
		}
		if r.flow == flowSignIn {
			v.grant, err = svc.SignIn(ctx, m, c, a.Client)
		} else {
			v.pending, err = svc.BeginSignIn(ctx, m, c, a.Client)
		}
		return v, err
	case flowComplete:
		ticket, there, err := a.read(r.from["ticket"])
		if err != nil {
			return nil, err
		}
		code, spoken, err := a.read(r.from["code"])
		if err != nil {
			return nil, err
		}
		if !there {
			ticket = ""
		}
		if !spoken {
			code = ""
		}
		v.grant, err = svc.CompleteSignIn(ctx, m, auth.Secret(ticket), auth.Secret(code), a.Client)
		return v, err
	}
	f := r.from["token"]
	value, ok, err := a.read(f)
	switch {
	case err != nil:
		return nil, err
	case value == "":
		return nil, &auth.Error{Code: auth.CodeTokenMissing}
	case !ok:
		return nil, auth.Because(auth.CodeTokenInvalid, "no token of the scheme in the header")
	}
	if r.flow == flowRefresh {
		v.grant, err = svc.Refresh(ctx, m, auth.Secret(value), a.Client)
		return v, err
	}
	p := auth.Presented{Token: value, Bare: f.scheme == "" && slices.Contains(f.headers, "Authorization")}
	if csrf := a.Header["X-Csrf-Token"]; len(csrf) == 1 {
		p.CSRF = csrf[0]
	}
	if r.flow == flowRenew {
		v.grant, err = svc.Renew(ctx, m, p, a.Client)
		return v, err
	}
	return v, a.logout(ctx, p)
}

// logout ends the session of a token of this dialect; one of another dialect is nothing here.
func (a *asked) logout(ctx context.Context, p auth.Presented) error {
	who, err := a.svc.Identify(ctx, a.mount.RealmID, p)
	if err != nil {
		return err
	}
	if who.Dialect != a.mount.Dialect {
		return auth.Because(auth.CodeTokenInvalid, "a token of %s", who.Dialect)
	}
	return a.svc.Logout(ctx, a.mount.RealmID, p, a.Client)
}

// mint makes the tokens that the answer has.
func (a *asked) mint(ctx context.Context, r *route, v *values) (err error) {
	if r.uses["refresh"] {
		if v.refresh, err = a.svc.RefreshToken(ctx, v.grant); err != nil {
			return err
		}
	}
	for _, j := range a.definition.jwts {
		if r.uses["jwt."+j.name] {
			if v.jwts[j.name], err = j.sign(ctx, a.svc, v); err != nil {
				return err
			}
		}
	}
	return nil
}

// credentials reads a name and a password. What is missing in a body is said; of a header
// nothing is.
func (a *asked) credentials(r *route) (c auth.Credentials, err error) {
	if login := r.from["login"]; login != nil {
		value, ok, err := a.read(login)
		if err != nil {
			return c, err
		}
		if !ok {
			return c, auth.Because(auth.CodeBadCredentials, "no credential of the scheme in the header")
		}
		if r.body != web.BodyIgnored && a.body("username") != nil && a.body("password") != nil {
			return c, a.two()
		}
		decode := web.Basic
		if login.raw {
			decode = func(value string) (string, string, bool) { return strings.Cut(value, ":") }
		}
		name, word, ok := decode(value)
		if !ok {
			return c, auth.Because(auth.CodeBadCredentials, "the credential is no username:password")
		}
		return auth.Credentials{Name: name, Password: auth.Secret(word)}, nil
	}
	user, pass := r.from["username"], r.from["password"]
	name, named, err := a.read(user)
	if err != nil {
		return c, err
	}
	word, spoken, err := a.read(pass)
	switch {
	case err != nil:
		return c, err
	case named && spoken:
		return auth.Credentials{Name: name, Password: auth.Secret(word)}, a.besideHeader()
	case user.member != "" && pass.member != "":
		return c, auth.Errorf(auth.CodeInvalidInput, "%s and %s are required", user.member, pass.member)
	}
	return c, auth.Because(auth.CodeBadCredentials, "a name or a password is missing")
}

// two is the error of a login that another reader could take from elsewhere.
func (a *asked) two() error {
	return &auth.Error{Code: a.definition.two, Detail: "two credentials in one request"}
}

// besideHeader refuses a password in the body beside a header of a scheme for passwords.
func (a *asked) besideHeader() error {
	for _, get := range []func(http.Header) (string, string){web.Authorization, web.Authentication} {
		if scheme, _ := get(a.Header); scheme == "token" || scheme != "" && a.definition.forPasswords(scheme) {
			return a.two()
		}
	}
	return nil
}

// forPasswords tells whether a route takes names and passwords under a scheme.
func (d *Definition) forPasswords(scheme string) bool {
	return slices.ContainsFunc(d.routes, func(r *route) bool { return r.from["login"] != nil && r.from["login"].scheme == scheme })
}

// read takes a value out of the request; ok tells whether it is there, under the scheme that it is to have.
func (a *asked) read(f *from) (value string, ok bool, err error) {
	if f.member != "" {
		if v := a.body(f.member); v != nil {
			return *v, true, nil
		}
		return "", false, nil
	}
	for _, name := range f.headers {
		if len(a.Header[name]) > 1 {
			return "", false, a.two()
		}
	}
	for _, name := range f.headers {
		switch values := a.Header[name]; {
		case len(values) == 0:
		case f.scheme == "":
			return readable(values[0]), true, nil
		default:
			scheme, value := web.Authorization(http.Header{"Authorization": values})
			if scheme == "" && value == "" {
				continue
			}
			return readable(value), scheme == f.scheme, nil
		}
	}
	return "", false, nil
}

// readable is the text of a header: UTF-8, or else ISO-8859-1.
func readable(value string) string {
	if utf8.ValidString(value) {
		return value
	}
	runes := make([]rune, len(value))
	for i := range len(value) {
		runes[i] = rune(value[i])
	}
	return string(runes)
}
