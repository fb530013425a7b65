package verify

import (
	"net/http"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/web"
)

// presented takes the token out of a request: "Authorization: Bearer <token>" (RFC 6750
// section 2.1), or a word without a scheme, which the core takes from one dialect alone.
// A password (Basic, Token) is no credential here, and like none (section 3.1); nor is
// anything in a cookie, a query or a body. The caller has refused requests with two
// Authorization headers.
func presented(h http.Header) (auth.Presented, error) {
	scheme, value := web.Authorization(h)
	switch {
	case scheme == "" && value == "":
		return auth.Presented{}, &auth.Error{Code: auth.CodeTokenMissing}
	case scheme != "" && scheme != "bearer":
		return auth.Presented{}, auth.Because(auth.CodeTokenMissing, "Authorization has another scheme than Bearer")
	case value == "":
		return auth.Presented{}, auth.Because(auth.CodeTokenInvalid, "Bearer without a token")
	}
	p := auth.Presented{Token: value, Bare: scheme == ""}
	if csrf := h["X-Csrf-Token"]; len(csrf) == 1 {
		p.CSRF = csrf[0]
	}
	return p, nil
}

// held is presented, for an endpoint that learns nothing of the session itself: the log
// line has its dialect.
func held(r *web.Request) (auth.Presented, error) {
	p, err := presented(r.Header)
	p.Found = r.Dialect()
	return p, err
}
