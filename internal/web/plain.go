package web

import (
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

// plain answers what comes by plain HTTP beside a server that speaks TLS: it refuses all of it.
// A redirect would teach a client nothing: it would send its credential in the clear again the
// next time.
type plain struct {
	log       *slog.Logger
	challenge func(http.ResponseWriter, *http.Request) bool
	now       func() time.Time
	warned    atomic.Int64 // when, in Unix seconds
}

// warnEvery is how often it is said that clients send credentials in the clear.
const warnEvery = time.Minute

var errPlain = errors.New("plain HTTP, at http_listen: have this client use https")

// Plain refuses every request but those that challenge answers, if there is one: it tells
// whether a request was a CA's, and has been answered (RFC 8555 section 8.3).
func Plain(log *slog.Logger, challenge func(http.ResponseWriter, *http.Request) bool, o Options) http.Handler {
	if o.Now == nil {
		o.Now = time.Now
	}
	return Middleware(log, &plain{log: log, challenge: challenge, now: o.Now}, o)
}

func (p *plain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "close")
	if p.challenge != nil && p.challenge(w, r) {
		return
	}
	p.warn(r)
	exchangeFrom(r.Context()).refuse(RefusedPlain)
	fail(w, r, ProblemJSON, "", &auth.Error{Code: auth.CodeForbidden, Detail: "nothing is answered here: use https", Cause: errPlain})
}

// warn says that a client has sent what may be a credential: whoever listened has it now.
func (p *plain) warn(r *http.Request) {
	if len(r.Header["Authorization"]) == 0 && len(r.Header["Authentication"]) == 0 && r.ContentLength == 0 {
		return
	}
	now, last := p.now().Unix(), p.warned.Load()
	if now-last < int64(warnEvery/time.Second) || !p.warned.CompareAndSwap(last, now) {
		return
	}
	p.log.LogAttrs(r.Context(), slog.LevelWarn, "a client sent what may be a credential in the clear, and was refused: have it use https, and replace the credential",
		slog.String("path", printablePath(r.URL.Path, false)), slog.String("peer", peerOf(r).String()))
}
