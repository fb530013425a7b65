package verify

import (
	"context"
	"net/http"
	"net/url"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/web"
)

// forService is an endpoint for service accounts: a form about one token.
func forService[Out any](realm string, run func(context.Context, *web.Request, web.Form) (Out, error)) http.Handler {
	return web.Endpoint[web.Form, Out]{
		Methods: []string{http.MethodPost}, Body: web.BodyForm, Encode: web.ProblemOAuth, Run: run,
		Challenge: `Basic realm="` + realm + `", charset="UTF-8"`, // RFC 7617 section 2.1
	}
}

// asked returns the token that a service account asks about, once that has shown that it
// may, and the account.
func (s surface) asked(ctx context.Context, r *web.Request, in web.Form, role string) (caller auth.Account, token string, err error) {
	for _, second := range [...]string{"client_secret", "client_assertion"} {
		if _, there := in[second]; there { // RFC 6749 section 2.3: one method in each request
			return caller, "", auth.Errorf(auth.CodeInvalidInput, "a credential in the form: it belongs in the header, as Basic")
		}
	}
	caller, err = s.svc.Caller(ctx, s.realm, basicReadings(r.Header), role, r.Client)
	if err == nil && in["token"] == "" {
		err = auth.Errorf(auth.CodeInvalidInput, "the form has no token")
	}
	return caller, in["token"], err
}

// basicReadings are what a Basic credential can mean: name and secret as they stand
// (RFC 7617), and, if that differs, decoded as a form's values (RFC 6749 section 2.3.1),
// which some clients do and others do not.
func basicReadings(h http.Header) []auth.Credentials {
	scheme, value := web.Authorization(h)
	if scheme != "basic" {
		return nil
	}
	name, secret, ok := web.Basic(value)
	if !ok {
		return nil
	}
	readings := []auth.Credentials{{Name: name, Password: auth.Secret(secret)}}
	if n, w, ok := formDecoded(name, secret); ok && (n != name || w != secret) {
		readings = append(readings, auth.Credentials{Name: n, Password: auth.Secret(w)})
	}
	return readings
}

func formDecoded(name, secret string) (n, s string, ok bool) {
	n, err := url.QueryUnescape(name)
	if err == nil {
		s, err = url.QueryUnescape(secret)
	}
	return n, s, err == nil && utf8.ValidString(n+s)
}

// introspection is the answer about a token (RFC 7662, section 2.2). Of a dead one it is
// {"active":false} and nothing else.
type introspection struct {
	Active    bool   `json:"active"`
	Subject   string `json:"sub,omitempty"`
	Username  string `json:"username,omitempty"`
	ClientID  string `json:"client_id,omitempty"`
	Scope     string `json:"scope,omitempty"`
	TokenType string `json:"token_type,omitempty"`
	Issuer    string `json:"iss,omitempty"`
	Audience  string `json:"aud,omitempty"`
	IssuedAt  int64  `json:"iat,omitempty"`
	Expires   int64  `json:"exp,omitempty"`
	ID        string `json:"jti,omitempty"`

	Account     uuid.UUID    `json:"account,omitzero"`
	Email       string       `json:"email,omitempty"`
	Org         string       `json:"org,omitempty"`
	Roles       []string     `json:"roles,omitzero"`
	Datasources []string     `json:"datasources,omitzero"`
	Dialect     auth.Dialect `json:"dialect,omitempty"`
	Session     uuid.UUID    `json:"session,omitzero"`
	AuthTime    int64        `json:"auth_time,omitempty"`
	AMR         []string     `json:"amr,omitzero"`
	// CSRF is what a request must bring along with this token, if it needs anything. Who
	// asks compares it, or says what the request brought and has it compared.
	CSRF string `json:"csrf,omitempty"`
}

func (s surface) introspect(ctx context.Context, r *web.Request, in web.Form) (introspection, error) {
	_, token, err := s.asked(ctx, r, in, auth.RoleIntrospect)
	if err != nil {
		return introspection{}, err
	}
	csrf, told := in["csrf"] // an empty one is one: the request brought none
	i, err := s.svc.Introspect(ctx, s.realm, auth.Presented{Token: token, CSRF: csrf, AnyCSRF: !told})
	switch auth.CodeOf(err) {
	case "":
		r.Speaks(i.Dialect)
		return describe(i), nil
	case auth.CodeTokenInvalid, auth.CodeSessionEnded:
		return introspection{}, nil // RFC 7662 section 2.2: no reason is given
	}
	return introspection{}, err
}

func describe(i *auth.Introspection) introspection {
	return introspection{
		Active: true, TokenType: "Bearer",
		Subject: i.Subject, Username: i.Username, ClientID: i.ClientID, Scope: i.Scope,
		Issuer: i.Claims.String("iss"), Audience: i.Claims.String("aud"), ID: i.Claims.String("jti"),
		IssuedAt: i.IssuedAt.Unix(), Expires: i.ExpiresAt.Unix(),
		Account: i.Account, Email: i.Email, Org: i.Org, Roles: list(i.Roles), Datasources: list(i.Datasources),
		Dialect: i.Dialect, Session: i.Session, AuthTime: i.AuthTime.Unix(), AMR: list(i.AMR),
		CSRF: i.Claims.String("csrf"),
	}
}
