package ostiaryauth

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
)

// retryAfter is what a 503 says, in seconds.
const retryAfter = "2"

// Handler lets requests with a good credential through to next, with the Identity in their context. The others it
// answers itself, as application/problem+json (RFC 9457) that is not to be stored:
//
//	401   no credential, one that is not good, two of them   WWW-Authenticate: Bearer (RFC 6750 section 3)
//	503   the credential could not be checked                Retry-After
//
// There is no anonymous mode: what everybody may see is served beside a Handler, not behind it. So are CORS preflights,
// which have no credentials.
//
// It removes from the request that next sees every header that begins with "Ostiary-", in any case and with any other
// sign for "-", since such headers are a proxy's word and no proof of anything. Only an Ostiary-Assertion that has just
// been verified stays. It panics if next is nil.
func (v *Verifier) Handler(next http.Handler) http.Handler {
	mustBe(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i, err := v.Verify(r)
		if err != nil {
			v.log.DebugContext(r.Context(), "ostiaryauth: refused", "err", err)
			refuse(w, err)
			return
		}
		r = r.WithContext(context.WithValue(r.Context(), contextKey{}, i))
		r.Header = v.strip(r.Header)
		next.ServeHTTP(w, r)
	})
}

// mustBe keeps a mistake of the set-up from being one of the first request.
func mustBe(next http.Handler) {
	if next == nil {
		panic("ostiaryauth: the handler is nil")
	}
}

// ours are the headers that some reader could take for Ostiary's: PHP, CGI and WSGI make "_" of whatever is no letter.
var ours = regexp.MustCompile(`(?i)^ostiary[^a-z0-9]`)

// strip leaves out what only looks like Ostiary's word. The headers that it was given stay as they are.
func (v *Verifier) strip(h http.Header) http.Header {
	var stripped http.Header
	for name := range h {
		if !ours.MatchString(name) || v.assertions && name == AssertionHeader {
			continue
		}
		if stripped == nil {
			stripped = h.Clone()
		}
		delete(stripped, name)
	}
	if stripped == nil {
		return h
	}
	return stripped
}

// name is what roles and datasources are called.
var name = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,64}$`)

// RequireRole lets requests through to the handler behind it whose account has all these roles, and answers the others
// with 403 (RFC 6750 section 3.1, insufficient_scope). It stands behind Handler:
//
//	mux.Handle("/reports/", verifier.Handler(ostiaryauth.RequireRole("analyst")(reports)))
//
// Where it does not, so that there is no identity, everything is answered with 500. It panics if it is given no roles,
// or one that no role can be called, or a nil handler.
func RequireRole(roles ...string) func(http.Handler) http.Handler {
	return require("role", roles, (*Identity).HasRole)
}

// RequireDatasource is RequireRole for datasources: the account's roles must open all of them.
func RequireDatasource(datasources ...string) func(http.Handler) http.Handler {
	return require("datasource", datasources, (*Identity).HasDatasource)
}

func require(what string, names []string, has func(*Identity, string) bool) func(http.Handler) http.Handler {
	if len(names) == 0 {
		panic("ostiaryauth: no " + what + " is required")
	}
	for _, n := range names {
		if !name.MatchString(n) {
			panic("ostiaryauth: no " + what + " can be called " + n)
		}
	}
	names = append([]string(nil), names...)
	return func(next http.Handler) http.Handler {
		mustBe(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			i, ok := FromContext(r.Context())
			if !ok {
				problem(w, http.StatusInternalServerError, "")
				return
			}
			for _, n := range names {
				if !has(i, n) {
					w.Header().Set("WWW-Authenticate", challenge+`, error="insufficient_scope"`)
					problem(w, http.StatusForbidden, "the account lacks a "+what+" that is needed here")
					return
				}
			}
			next.ServeHTTP(w, r)
		})
	}
}

const challenge = `Bearer realm="ostiary"`

// refuse answers what Verify has refused. Reasons are for the log: who guesses learns none.
func refuse(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, ErrNoCredential): // RFC 6750 section 3.1: no error code
		w.Header().Set("WWW-Authenticate", challenge)
		problem(w, http.StatusUnauthorized, "a credential is needed")
	case errors.Is(err, ErrInvalid):
		w.Header().Set("WWW-Authenticate", challenge+`, error="invalid_token"`)
		problem(w, http.StatusUnauthorized, "the credential is not good")
	default:
		w.Header().Set("Retry-After", retryAfter)
		problem(w, http.StatusServiceUnavailable, "the credential can't be checked now")
	}
}

func problem(w http.ResponseWriter, status int, detail string) {
	body, _ := json.Marshal(struct { // it can't fail
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail,omitempty"`
	}{"about:blank", http.StatusText(status), status, detail})
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that is gone is no error of ours
}
