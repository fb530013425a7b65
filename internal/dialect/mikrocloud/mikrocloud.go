// Package mikrocloud speaks the login API of MikroCloud, as its documentation
// describes it (Authentication API and Passport API).
//
//	endpoint              body                 200                                            refusal
//	POST /user/login      email, password      mfa_enabled, mfa_verified, mfa_svg, token      401
//	POST /user/passport   totp, token          auth_token                                     401
//
// Quirks:
//   - The token of the first step is a ticket: it is good for the second step alone.
//   - mfa_verified is about the enrolment, not about this login. While it is false and
//     mfa_enabled is true, mfa_svg is the QR code to scan, and the first right totp at
//     passport confirms the enrolment.
//   - totp is required for accounts with a second factor, and may else be null, absent
//     or empty.
//   - Tokens are opaque, standard base64 with padding. auth_token is sent as a Bearer.
//   - The messages of the two successes differ in their spelling.
package mikrocloud

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/dialect"
	"github.com/ostiary/ostiary/internal/token"
	"github.com/ostiary/ostiary/internal/web"
)

// Dialect is what the server needs to know of mikrocloud.
func Dialect() dialect.Dialect {
	return dialect.Dialect{
		Defaults: auth.Mount{
			Dialect:     "mikrocloud",
			SessionIdle: 12 * time.Hour, SessionMax: 24 * time.Hour,
		},
		OwnFactor: true,
		Rules:     auth.Rules{Accept: accept},
		Encode:    encode,
		Routes:    routes,
		Elder:     newElder,
	}
}

type loginRequest struct {
	Email    *string `json:"email"`
	Password *string `json:"password"`
}

type loginAnswer struct {
	MFAEnabled  bool    `json:"mfa_enabled"`
	MFAVerified bool    `json:"mfa_verified"`
	MFASVG      *string `json:"mfa_svg"`
	Message     string  `json:"message"`
	Token       *string `json:"token"`
}

type passportRequest struct {
	TOTP  string `json:"totp"`
	Token string `json:"token"`
}

type passportAnswer struct {
	Message   string  `json:"message"`
	AuthToken *string `json:"auth_token"`
}

type failure struct {
	Message string `json:"message"`
}

func routes(svc *auth.Service, m *auth.Mount) []web.Route {
	return []web.Route{
		dialect.Route(m, "/user/login", web.Endpoint[loginRequest, loginAnswer]{
			Methods: []string{http.MethodPost}, Body: web.BodyJSON, Encode: encode,
			Run: func(ctx context.Context, r *web.Request, in loginRequest) (loginAnswer, error) {
				if in.Email == nil || in.Password == nil {
					return loginAnswer{}, auth.Errorf(auth.CodeInvalidInput, "email and password are required")
				}
				if err := web.BesideToken(r.Header); err != nil {
					return loginAnswer{}, err
				}
				c := auth.Credentials{Name: *in.Email, Password: auth.Secret(*in.Password)}
				p, err := svc.BeginSignIn(ctx, m, c, r.Client)
				if err != nil {
					return loginAnswer{}, err
				}
				return dress(p), nil
			},
		}),
		dialect.Route(m, "/user/passport", web.Endpoint[passportRequest, passportAnswer]{
			Methods: []string{http.MethodPost}, Body: web.BodyJSON, Encode: encode,
			Run: func(ctx context.Context, r *web.Request, in passportRequest) (passportAnswer, error) {
				g, err := svc.CompleteSignIn(ctx, m, auth.Secret(in.Token), auth.Secret(in.TOTP), r.Client)
				if err != nil {
					return passportAnswer{}, err
				}
				bearer := string(g.Bearer)
				return passportAnswer{Message: "Login Successful", AuthToken: &bearer}, nil
			},
		}),
	}
}

func dress(p *auth.Pending) loginAnswer {
	ticket := string(p.Ticket)
	a := loginAnswer{Message: "Login was successful", Token: &ticket}
	switch p.Factor {
	case auth.FactorEnrolled:
		a.MFAEnabled, a.MFASVG = true, &p.QR
	case auth.FactorConfirmed:
		a.MFAEnabled, a.MFAVerified = true, true
	}
	return a
}

// accept refuses every JWT: this dialect has none.
func accept(token.Claims, auth.Presented) error {
	return errors.New("mikrocloud has no JWTs")
}

// encode gives every code its status and body. What is refused about a password has the
// members of the first step, what is refused about a ticket or a code those of the second.
func encode(p web.Problem) (int, any) {
	status := web.Status(p.Code)
	switch p.Code {
	case auth.CodeBadCredentials:
		return status, loginAnswer{Message: "Invalid email or password"}
	case auth.CodeFactorRequired, auth.CodeFactorInvalid,
		auth.CodeTokenMissing, auth.CodeTokenInvalid, auth.CodeTokenReused, auth.CodeSessionEnded:
		return status, passportAnswer{Message: "Invalid token or code"}
	}
	if p.Detail == "" {
		p.Detail = http.StatusText(status)
	}
	return status, failure{Message: p.Detail}
}
