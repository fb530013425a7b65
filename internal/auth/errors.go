package auth

import (
	"errors"
	"fmt"
	"time"
)

// Code names what went wrong. It is the one taxonomy of the project: every
// surface maps a code to its own status and body, once.
type Code string

const (
	CodeInvalidInput     Code = "invalid_input"      // the request can't be understood
	CodeMethodNotAllowed Code = "method_not_allowed" // the path exists, the method does not
	CodeUnsupportedType  Code = "unsupported_type"   // a body that is not JSON
	CodeTooLarge         Code = "too_large"          // a body over the cap
	CodeBadCredentials   Code = "bad_credentials"    // unknown, wrong, disabled, or missing alike
	CodeFactorRequired   Code = "factor_required"    // the password was right, and no code came
	CodeFactorInvalid    Code = "factor_invalid"     // a wrong, spent, or malformed code
	CodeThrottled        Code = "throttled"          // too many guesses; RetryAfter says when
	CodeTokenMissing     Code = "token_missing"      // no token where one is needed
	CodeTokenInvalid     Code = "token_invalid"      // no such token, or not for this door
	CodeTokenReused      Code = "token_reused"       // a spent refresh token: a theft
	CodeSessionEnded     Code = "session_ended"      // the token's session is over
	CodeForbidden        Code = "forbidden"          // a live credential without what was asked for
	CodeNotFound         Code = "not_found"          //
	CodeConflict         Code = "conflict"           // a name, number or alias that is taken
	CodeUnavailable      Code = "unavailable"        // overload or an unreachable store; RetryAfter says when
	CodeInternal         Code = "internal"           // a fault of ours
)

// Codes lists every code, so that a surface can prove that it maps them all.
func Codes() []Code {
	return []Code{
		CodeInvalidInput, CodeMethodNotAllowed, CodeUnsupportedType, CodeTooLarge,
		CodeBadCredentials, CodeFactorRequired, CodeFactorInvalid, CodeThrottled,
		CodeTokenMissing, CodeTokenInvalid, CodeTokenReused, CodeSessionEnded, CodeForbidden,
		CodeNotFound, CodeConflict, CodeUnavailable, CodeInternal,
	}
}

// Error is what every operation of the core returns when it fails.
type Error struct {
	Code       Code
	Detail     string        // for the client, if the surface shows details; never a secret
	Cause      error         // for the log alone
	RetryAfter time.Duration // with CodeThrottled and CodeUnavailable
}

func (e *Error) Error() string {
	s := string(e.Code)
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Cause }

// Errorf makes an Error whose detail the client may read. A wrapped error (%w)
// becomes the cause, and is then also part of the detail: wrap only what may be shown.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Detail: err.Error(), Cause: errors.Unwrap(err)}
}

// Because makes an Error whose cause only the log sees.
func Because(code Code, cause string, args ...any) *Error {
	return &Error{Code: code, Cause: fmt.Errorf(cause, args...)}
}

// AsError finds the *Error in err; any other error is internal, and a cancelled
// or timed-out context is unavailable, since nothing was decided.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if isTimeout(err) {
		return &Error{Code: CodeUnavailable, Cause: err, RetryAfter: time.Second}
	}
	return &Error{Code: CodeInternal, Cause: err}
}

// CodeOf is the code of err, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	return AsError(err).Code
}
