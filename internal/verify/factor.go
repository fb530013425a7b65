package verify

import (
	"context"
	"net/http"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/totp"
	"github.com/ostiary/ostiary/internal/web"
)

// factorCode confirms an enrolment, or starts one, if it is empty.
type factorCode struct {
	Code string `json:"code"`
}

// factor is an enrolment of one's own second factor: what an authenticator takes, until it
// is confirmed.
type factor struct {
	Confirmed bool   `json:"confirmed"`
	URI       string `json:"uri,omitempty"` // otpauth
	SVG       string `json:"svg,omitempty"` // its QR code
}

func (s surface) factor(ctx context.Context, r *web.Request, in factorCode) (out factor, err error) {
	p, err := held(r)
	if err != nil {
		return out, err
	}
	if in.Code != "" {
		err = s.svc.ConfirmOwnFactor(ctx, s.realm, p, auth.Secret(in.Code), r.Client)
		return factor{Confirmed: err == nil}, err
	}
	if out.URI, err = s.svc.EnrollOwnFactor(ctx, s.realm, p, r.Client); err == nil {
		out.SVG, err = totp.SVG(out.URI)
	}
	return out, err
}

// encodeFactor says 403 of a wrong code, since the token is good.
func encodeFactor(p web.Problem) (int, any) {
	if p.Code == auth.CodeFactorInvalid {
		return web.ProblemStatus(http.StatusForbidden, p)
	}
	return web.ProblemJSON(p)
}
