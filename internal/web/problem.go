package web

import (
	"net/http"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

// Problem is the public half of an error: what a surface may tell a client.
type Problem struct {
	Code   auth.Code
	Detail string // empty for internal errors
	Path   string // of the request
	Time   time.Time
}

// Encoder gives a problem the shape of a surface. It is total: it answers every
// code. A nil body is an empty one. A body with a method ContentType() string
// says its own media type; any other is application/json.
type Encoder func(Problem) (status int, body any)

// Status is the status of a code where a surface has no reason for another one.
func Status(code auth.Code) int {
	switch code {
	case auth.CodeInvalidInput:
		return http.StatusBadRequest
	case auth.CodeMethodNotAllowed:
		return http.StatusMethodNotAllowed
	case auth.CodeUnsupportedType:
		return http.StatusUnsupportedMediaType
	case auth.CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case auth.CodeBadCredentials, auth.CodeFactorRequired, auth.CodeFactorInvalid,
		auth.CodeTokenMissing, auth.CodeTokenInvalid, auth.CodeTokenReused, auth.CodeSessionEnded:
		return http.StatusUnauthorized
	case auth.CodeThrottled:
		return http.StatusTooManyRequests
	case auth.CodeForbidden:
		return http.StatusForbidden
	case auth.CodeNotFound:
		return http.StatusNotFound
	case auth.CodeConflict:
		return http.StatusConflict
	case auth.CodeUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// ProblemJSON is the Encoder of Ostiary's own surface: RFC 9457, with the code
// as an extension member.
func ProblemJSON(p Problem) (int, any) { return ProblemStatus(Status(p.Code), p) }

// ProblemStatus is ProblemJSON with a status of the endpoint's own.
func ProblemStatus(status int, p Problem) (int, any) {
	return status, problemBody{
		Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: p.Detail, Code: p.Code,
	}
}

// ProblemOAuth is ProblemJSON for the endpoints of OAuth 2.0: beside a problem's members
// stands the error that its clients look for (RFC 6749 section 5.2).
func ProblemOAuth(p Problem) (int, any) {
	status, body := ProblemJSON(p)
	b := body.(problemBody)
	switch p.Code {
	case auth.CodeInvalidInput, auth.CodeTooLarge, auth.CodeUnsupportedType:
		b.Error = "invalid_request"
	case auth.CodeBadCredentials:
		b.Error = "invalid_client"
	case auth.CodeForbidden:
		b.Error = "unauthorized_client" // it is known, and may not ask this
	}
	return status, b
}

type problemBody struct {
	Type   string    `json:"type"`
	Title  string    `json:"title"`
	Status int       `json:"status"`
	Detail string    `json:"detail,omitempty"`
	Code   auth.Code `json:"code"`
	Error  string    `json:"error,omitempty"`
}

func (problemBody) ContentType() string { return "application/problem+json" }
