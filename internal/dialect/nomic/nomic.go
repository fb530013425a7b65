// Package nomic speaks the login API of the Nomic game manager, as its documentation
// describes it (Login).
//
//	endpoint               credential                          200                refusal
//	POST /api/auth/token   Basic base64(username:password)     isSuccess, token   403, empty
//	                       Bearer, a live token of this API    the same
//
// Quirks:
//   - No body is documented, and none is looked at.
//   - A Bearer gets another token in the same session, until the session's absolute
//     lifetime ends. The token that it sent stays good for its own time.
//   - The subject of a token is a number as text.
//   - exp is always iat and the mount's access_ttl, two hours by default.
//   - Errors have no body, but for faults of the server.
package nomic

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/dialect"
	"github.com/ostiary/ostiary/internal/token"
	"github.com/ostiary/ostiary/internal/web"
)

// Dialect is what the server needs to know of nomic.
func Dialect() dialect.Dialect {
	return dialect.Dialect{
		Defaults: auth.Mount{
			Dialect: "nomic", Algorithm: "RS256",
			AccessTTL: 2 * time.Hour, SessionMax: 24 * time.Hour,
		},
		Issuer:     func(string) string { return "NomicGameManager.Api" },
		Algorithms: []string{"RS256"}, // its clients are promised RS256
		Audience:   true,
		Rules:      auth.Rules{Accept: accept, Subject: subject},
		Encode:     encode,
		Routes:     routes,
		Elder:      newElder,
	}
}

type answer struct {
	IsSuccess bool   `json:"isSuccess"`
	Token     string `json:"token"`
}

type fault struct {
	Timestamp string `json:"timestamp"`
	Status    int    `json:"status"`
	Error     string `json:"error"`
	Path      string `json:"path"`
}

func routes(svc *auth.Service, m *auth.Mount) []web.Route {
	return []web.Route{dialect.Route(m, "/api/auth/token", web.Endpoint[web.None, answer]{
		Methods: []string{http.MethodPost}, Body: web.BodyIgnored, Encode: encode,
		TwoCredentials: auth.CodeBadCredentials,
		Run: func(ctx context.Context, r *web.Request, _ web.None) (answer, error) {
			g, err := enter(ctx, svc, m, r)
			if err != nil {
				return answer{}, err
			}
			jwt, err := sign(ctx, svc, g)
			return answer{IsSuccess: true, Token: jwt}, err
		},
	})}
}

// enter opens a session, or goes on with the one of the token that was sent.
func enter(ctx context.Context, svc *auth.Service, m *auth.Mount, r *web.Request) (*auth.Grant, error) {
	switch scheme, value := web.Authorization(r.Header); scheme {
	case "basic":
		username, password, ok := web.Basic(value)
		if !ok {
			return nil, auth.Because(auth.CodeBadCredentials, "the Basic credential is not base64 of username:password")
		}
		return svc.SignIn(ctx, m, auth.Credentials{Name: username, Password: auth.Secret(password)}, r.Client)
	case "bearer":
		return svc.Renew(ctx, m, auth.Presented{Token: value}, r.Client)
	}
	return nil, auth.Because(auth.CodeBadCredentials, "neither Basic nor Bearer")
}

func sign(ctx context.Context, svc *auth.Service, g *auth.Grant) (string, error) {
	claims := token.Claims{"nbf": g.IssuedAt.Unix(), "exp": g.IssuedAt.Add(g.Mount.AccessTTL).Unix()}
	if g.Mount.Audience != "" {
		claims["aud"] = g.Mount.Audience
	}
	return svc.Sign(ctx, g, claims)
}

func subject(a auth.Account) string { return strconv.FormatInt(a.Number, 10) }

func accept(_ token.Claims, p auth.Presented) error {
	if p.Bare {
		return errors.New("a token of nomic is a Bearer")
	}
	return nil
}

// encode gives every code its status and body.
func encode(p web.Problem) (int, any) {
	status := web.Status(p.Code)
	switch p.Code {
	case auth.CodeBadCredentials, auth.CodeFactorRequired, auth.CodeFactorInvalid, auth.CodeTokenMissing,
		auth.CodeTokenInvalid, auth.CodeTokenReused, auth.CodeSessionEnded, auth.CodeForbidden:
		return http.StatusForbidden, nil
	}
	if status >= http.StatusInternalServerError {
		return status, fault{
			Timestamp: p.Time.UTC().Format("2006-01-02T15:04:05.000-07:00"),
			Status:    status, Error: http.StatusText(status), Path: p.Path,
		}
	}
	return status, nil
}
