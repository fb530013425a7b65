// Package senmo speaks the login API of Senmo, as its documentation describes it
// (Authenticate, Refresh Token).
//
//	endpoint                     body                 200                                  refusal
//	POST /v1/auth                username, password   idToken, accessToken, refreshToken   400 "Login failed"
//	POST /v1/auth/refreshtoken   refreshtoken         the same                             400
//
// Quirks:
//   - Every answer repeats its status in the body. What is refused is 400, never 401.
//   - Only the access token opens doors; the id token is for the client to read. It also
//     names the account's roles and datasources, for servers that verify it offline.
//   - A refresh token is spent by its use. Within the mount's refresh_retry the spent
//     one gets the same successor again, so that a lost answer does not end a session.
//   - The path of the login is cloudio's too: what has no Token credential is senmo's.
package senmo

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/dialect"
	"github.com/ostiary/ostiary/internal/token"
	"github.com/ostiary/ostiary/internal/web"
)

const day = 24 * time.Hour

// Dialect is what the server needs to know of senmo.
func Dialect() dialect.Dialect {
	return dialect.Dialect{
		Defaults: auth.Mount{
			Dialect: "senmo", Algorithm: "RS256", Audience: "ostiary", Scope: "openid",
			AccessTTL: time.Hour, SessionIdle: 30 * day, SessionMax: 90 * day,
			RefreshRetry: time.Minute,
		},
		Issuer:     dialect.URN("senmo"),
		Algorithms: dialect.Algorithms,
		Audience:   true,
		Rules:      auth.Rules{Accept: accept, Audience: "client_id", Refresh: true},
		Encode:     encode(loginFailed),
		Routes:     routes,
		Elder:      newElder,
	}
}

type loginRequest struct {
	Username *string `json:"username"`
	Password *string `json:"password"`
}

type refreshRequest struct {
	RefreshToken string `json:"refreshtoken"`
}

type answer struct {
	StatusCode    int    `json:"statusCode"`
	StatusMessage string `json:"statusMessage"`
	Tokens        tokens `json:"tokens"`
}

type tokens struct {
	ID      string `json:"idToken"`
	Access  string `json:"accessToken"`
	Refresh string `json:"refreshToken"`
}

type failure struct {
	StatusCode    int    `json:"statusCode"`
	StatusMessage string `json:"statusMessage"`
	Error         string `json:"error,omitempty"`
}

// What did not work, in statusMessage.
const (
	loginFailed   = "Login failed"
	refreshFailed = "Failed to refresh token"
)

func routes(svc *auth.Service, m *auth.Mount) []web.Route {
	return []web.Route{
		dialect.Route(m, "/v1/auth", web.Endpoint[loginRequest, answer]{
			Methods: []string{http.MethodPost}, Body: web.BodyJSON, Encode: encode(loginFailed),
			Run: func(ctx context.Context, r *web.Request, in loginRequest) (answer, error) {
				c, err := credentials(r, in)
				if err != nil {
					return answer{}, err
				}
				return dress(ctx, svc)(svc.SignIn(ctx, m, c, r.Client))
			},
		}),
		dialect.Route(m, "/v1/auth/refreshtoken", web.Endpoint[refreshRequest, answer]{
			// An empty body has no token, either.
			Methods: []string{http.MethodPost}, Body: web.BodyEmpty, Encode: encode(refreshFailed),
			Run: func(ctx context.Context, r *web.Request, in refreshRequest) (answer, error) {
				if in.RefreshToken == "" {
					return answer{}, &auth.Error{Code: auth.CodeTokenMissing}
				}
				return dress(ctx, svc)(svc.Refresh(ctx, m, auth.Secret(in.RefreshToken), r.Client))
			},
		}),
	}
}

func credentials(r *web.Request, in loginRequest) (c auth.Credentials, err error) {
	if in.Username == nil || in.Password == nil {
		return c, auth.Errorf(auth.CodeInvalidInput, "username and password are required")
	}
	return auth.Credentials{Name: *in.Username, Password: auth.Secret(*in.Password)}, web.BesideToken(r.Header)
}

// dress makes the answer of a grant, or passes the error on.
func dress(ctx context.Context, svc *auth.Service) func(*auth.Grant, error) (answer, error) {
	return func(g *auth.Grant, err error) (answer, error) {
		if err != nil {
			return answer{}, err
		}
		a := answer{StatusCode: http.StatusOK, StatusMessage: "OK"}
		if a.Tokens.ID, err = svc.Sign(ctx, g, idClaims(g)); err != nil {
			return answer{}, err
		}
		if a.Tokens.Access, err = svc.Sign(ctx, g, accessClaims(g)); err != nil {
			return answer{}, err
		}
		refresh, err := svc.RefreshToken(ctx, g)
		a.Tokens.Refresh = string(refresh)
		return a, err
	}
}

// idClaims tell the client who signed in (OpenID Connect Core 1.0, sections 2 and 5.1).
func idClaims(g *auth.Grant) token.Claims {
	username, name := dialect.Names(g.Account)
	return token.Claims{
		"token_use": "id", "auth_time": g.Session.AuthTime.Unix(), "aud": g.Mount.Audience,
		"email": g.Account.Email, "email_verified": g.Account.EmailVerified, "username": username, "name": name,
	}
}

func accessClaims(g *auth.Grant) token.Claims {
	username, _ := dialect.Names(g.Account)
	claims := token.Claims{
		"token_use": "access", "auth_time": g.Session.AuthTime.Unix(), "client_id": g.Mount.Audience,
		"scope": g.Mount.Scope, "username": username,
	}
	maps.Copy(claims, dialect.Access(g))
	return claims
}

func accept(c token.Claims, p auth.Presented) error {
	if p.Bare || !c.Is("token_use", "access") {
		return errors.New("not an access token as a Bearer")
	}
	return nil
}

// encode gives every code its status and body, at the endpoint that has failed.
func encode(failed string) web.Encoder {
	return func(p web.Problem) (int, any) {
		f := failure{StatusCode: web.Status(p.Code), Error: p.Detail}
		f.StatusMessage = http.StatusText(f.StatusCode)
		switch p.Code {
		case auth.CodeInvalidInput:
			f.StatusMessage = failed
		case auth.CodeBadCredentials, auth.CodeFactorRequired, auth.CodeFactorInvalid:
			f = failure{http.StatusBadRequest, loginFailed, "Incorrect username or password."}
		case auth.CodeTokenMissing:
			return http.StatusBadRequest, failure{http.StatusBadRequest, "Missing refresh token", ""}
		case auth.CodeTokenInvalid, auth.CodeTokenReused, auth.CodeSessionEnded:
			f = failure{http.StatusBadRequest, refreshFailed, "Invalid Refresh Token"}
		}
		if f.Error == "" {
			f.Error = f.StatusMessage
		}
		return f.StatusCode, f
	}
}
