// Package cloudio speaks the login API of the CloudIO Platform, as its documentation
// describes it (REST APIs, Authentication; version 3.0).
//
//	endpoint        credential                           200                     refusal
//	POST /v1/auth   Token base64(username:password)      a JWT and its csrf      403 "Access Denied"
//
// Quirks:
//   - The table of headers calls the header Authentication, the sample Authorization.
//     Both are taken.
//   - The body is documented as empty and as {}; both are.
//   - Later calls carry the JWT in Authorization, as Bearer or bare, and the csrf in
//     X-CSRF-Token. One is nothing without the other.
//   - The path is senmo's too: a request with a Token credential is cloudio's.
package cloudio

import (
	"context"
	"crypto/subtle"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/dialect"
	"github.com/ostiary/ostiary/internal/token"
	"github.com/ostiary/ostiary/internal/web"
)

// Dialect is what the server needs to know of cloudio.
func Dialect() dialect.Dialect {
	return dialect.Dialect{
		Defaults: auth.Mount{
			Dialect: "cloudio", Algorithm: "RS256",
			SessionIdle: 12 * time.Hour, SessionMax: 24 * time.Hour,
		},
		Issuer:     dialect.URN("cloudio"),
		Algorithms: dialect.Algorithms,
		Rules:      auth.Rules{Accept: accept, Session: "session"},
		Encode:     encode,
		Routes:     routes,
		Elder:      newElder,
	}
}

// request is the body, which is documented as {}. A login in it would be a second one.
type request struct {
	Username any `json:"username"`
	Password any `json:"password"`
}

type answer struct {
	OrgUID       string `json:"orgUid"`
	SessionID    string `json:"sessionId"`
	UserName     string `json:"userName"`
	DisplayName  string `json:"displayName"`
	EmailAddress string `json:"emailAddress"`
	CSRF         string `json:"csrf"`
	JWT          string `json:"jwt"`
	Status       string `json:"status"`
}

type failure struct {
	Code    int    `json:"code"`
	Status  string `json:"status"`
	Title   string `json:"title"`
	Message string `json:"message"`
}

func routes(svc *auth.Service, m *auth.Mount) []web.Route {
	signIn := dialect.Route(m, "/v1/auth", web.Endpoint[request, answer]{
		Methods: []string{http.MethodPost}, Body: web.BodyEmpty, Encode: encode,
		Run: func(ctx context.Context, r *web.Request, in request) (answer, error) {
			c, err := credentials(r.Header, in)
			if err != nil {
				return answer{}, err
			}
			g, err := svc.SignIn(ctx, m, c, r.Client)
			if err != nil {
				return answer{}, err
			}
			return dress(ctx, svc, g)
		},
	})
	signIn.Claims = claims
	return []web.Route{signIn}
}

// headers are where the credential may be.
var headers = [...]string{"Authorization", "Authentication"}

// claims tells whether a request is cloudio's where it shares the path with senmo: any
// of its credentials is a Token.
func claims(h http.Header) bool {
	for _, name := range headers {
		for _, value := range h[name] {
			if scheme, _ := web.Authorization(http.Header{"Authorization": {value}}); scheme == "token" {
				return true
			}
		}
	}
	return false
}

// credentials reads the one credential of a request; if both headers are there, they are the same.
func credentials(h http.Header, in request) (c auth.Credentials, err error) {
	scheme, value := web.Authorization(h)
	if scheme == "" && value == "" {
		scheme, value = web.Authentication(h)
	}
	if scheme != "token" {
		return c, auth.Because(auth.CodeBadCredentials, "no Token credential")
	}
	_, name := in.Username.(string)
	_, word := in.Password.(string)
	if name && word {
		return c, auth.Errorf(auth.CodeInvalidInput, "two credentials in one request")
	}
	username, password, ok := web.Basic(value)
	if !ok {
		return c, auth.Because(auth.CodeBadCredentials, "the Token credential is not base64 of username:password")
	}
	return auth.Credentials{Name: username, Password: auth.Secret(password)}, nil
}

func dress(ctx context.Context, svc *auth.Service, g *auth.Grant) (answer, error) {
	a := answer{
		OrgUID: g.Account.Org, SessionID: g.Session.ID.String(), EmailAddress: g.Account.Email,
		CSRF: uuid.NewString(), Status: "OK",
	}
	a.UserName, a.DisplayName = dialect.Names(g.Account)
	var err error
	a.JWT, err = svc.Sign(ctx, g, token.Claims{"session": a.SessionID, "csrf": a.CSRF, "org_uid": a.OrgUID})
	return a, err
}

// accept takes a JWT, bare or not, with its own csrf beside it.
func accept(c token.Claims, p auth.Presented) error {
	csrf := c.String("csrf")
	if csrf == "" || subtle.ConstantTimeCompare([]byte(csrf), []byte(p.CSRF)) != 1 {
		return auth.Errorf(auth.CodeTokenInvalid, "X-CSRF-Token is missing or is not the one of this token")
	}
	return nil
}

// encode gives every code its status and body. Nothing but 403 is documented; the
// others keep its shape.
func encode(p web.Problem) (int, any) {
	status := web.Status(p.Code)
	title, detail := http.StatusText(status), p.Detail
	switch p.Code {
	case auth.CodeBadCredentials, auth.CodeFactorRequired, auth.CodeFactorInvalid, auth.CodeTokenMissing,
		auth.CodeTokenInvalid, auth.CodeTokenReused, auth.CodeSessionEnded, auth.CodeForbidden:
		status, title, detail = http.StatusForbidden, "Access Denied", "Invalid username and/or password!"
	}
	f := failure{Code: status, Status: "ERROR", Title: title, Message: title}
	if detail != "" {
		f.Message += " - " + detail
	}
	return status, f
}
