package web

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

// Header values that every answer shares; they are never changed.
var (
	typeJSON = []string{"application/json"}
	noStore  = []string{"no-store"}
	noLength = []string{"0"}
)

type typed interface{ ContentType() string }

// answer is a reusable buffer with an encoder of compact JSON without HTML escapes.
type answer struct {
	bytes.Buffer
	json *json.Encoder
}

var answers = sync.Pool{New: func() any {
	a := new(answer)
	a.json = json.NewEncoder(&a.Buffer)
	a.json.SetEscapeHTML(false)
	return a
}}

// send marshals body, and only then touches the headers.
func send(w http.ResponseWriter, status int, body any) error {
	a := answers.Get().(*answer)
	a.Reset()
	defer func() {
		if a.Cap() <= MaxBody {
			answers.Put(a)
		}
	}()
	var data []byte
	switch b := body.(type) {
	case nil, *None:
	case *Text:
		a.WriteString(string(*b))
	case *json.RawMessage:
		data = *b // no copy, which a slow reader would hold
	default:
		if err := a.json.Encode(body); err != nil {
			return err
		}
		a.Truncate(a.Len() - 1) // the line end
	}
	if data == nil {
		data = a.Bytes()
	}
	h := w.Header()
	switch {
	case status == http.StatusNoContent:
		data = nil
	case len(data) == 0:
		h["Content-Length"] = noLength
	default:
		h["Content-Type"] = typeJSON
		if t, ok := body.(typed); ok {
			h["Content-Type"] = []string{t.ContentType()}
		}
		h["Content-Length"] = []string{strconv.Itoa(len(data))}
	}
	w.WriteHeader(status)
	_, _ = w.Write(data) // a client that is gone is no error of ours
	return nil
}

func succeed(w http.ResponseWriter, status int, cacheControl string, out any) error {
	if status == 0 {
		status = http.StatusOK
	}
	switch h := w.Header(); {
	case cacheControl != "":
		h["Cache-Control"] = []string{cacheControl}
	case h["Cache-Control"] == nil: // Run did not say
		h["Cache-Control"] = noStore
	}
	return send(w, status, out)
}

// What only the log calls so.
const (
	codeGone    auth.Code = "client_gone" // the client went away before its answer
	codeAborted auth.Code = "aborted"     // the handler cut the connection
)

// Failing answers every request with an error; encode may be nil, for ProblemJSON.
func Failing(encode Encoder, err error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fail(w, r, encode, "", err) })
}

// fail answers with an error in the shape of the surface. The cause goes to the
// log alone.
func fail(w http.ResponseWriter, r *http.Request, encode Encoder, challenge string, err error) {
	e := auth.AsError(err)
	x := exchangeFrom(r.Context())
	if e.Code == auth.CodeInternal || e.Code == auth.CodeUnavailable {
		// Whatever broke once the context was done broke because of that.
		switch r.Context().Err() {
		case context.Canceled:
			e = &auth.Error{Code: auth.CodeUnavailable, Cause: err}
			x.note(codeGone, err)
		case context.DeadlineExceeded:
			e = &auth.Error{Code: auth.CodeUnavailable, Cause: err, RetryAfter: e.RetryAfter}
		}
	}
	cause := e.Cause
	if cause == nil && e.Detail != "" {
		cause = publicCause(e.Detail)
	}
	x.note(e.Code, cause)
	problem := Problem{Code: e.Code, Detail: e.Detail, Path: r.URL.Path, Time: x.clock()}
	if e.Code == auth.CodeInternal {
		problem.Detail = ""
	}
	if encode == nil {
		encode = ProblemJSON
	}
	status, body := encode(problem)
	h := w.Header()
	h["Cache-Control"] = noStore
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		h["Retry-After"] = []string{seconds(e.RetryAfter)}
	}
	x.identify(h, status)
	if status == http.StatusUnauthorized && challenge != "" {
		h["Www-Authenticate"] = []string{challengeOf(challenge, e)}
	}
	if err := send(w, status, body); err != nil {
		x.note(auth.CodeInternal, err)
		x.identify(h, http.StatusInternalServerError)
		_ = send(w, http.StatusInternalServerError, nil)
	}
}

// challengeOf says in a Bearer challenge that a token was presented and is not good
// (RFC 6750 section 3.1), and why, if that is for the client. Without any token it says
// nothing more.
func challengeOf(challenge string, e *auth.Error) string {
	switch e.Code {
	case auth.CodeTokenInvalid, auth.CodeTokenReused, auth.CodeSessionEnded:
		if strings.HasPrefix(challenge, "Bearer ") {
			challenge += `, error="invalid_token"`
			if e.Detail != "" {
				challenge += `, error_description="` + quotable(e.Detail) + `"`
			}
		}
	}
	return challenge
}

// quotable is a text with "?" for what can't stand in an error_description (RFC 6750
// section 3).
func quotable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, s)
}

// seconds is the value of Retry-After (RFC 9110 section 10.2.3): whole seconds,
// rounded up, at least one.
func seconds(d time.Duration) string {
	return strconv.FormatInt(max(1, int64((d+time.Second-1)/time.Second)), 10)
}
