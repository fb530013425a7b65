package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/trace"
)

// exchange is one request and its answer, as Middleware follows them. It is the
// request's context and its ResponseWriter at once, which saves allocations.
type exchange struct {
	timed
	w       http.ResponseWriter
	client  auth.Client
	waited  auth.Waited
	dialect auth.Dialect
	now     func() time.Time

	status int       // of the answer; 0 while none has begun
	code   auth.Code // of the error; empty for none
	cause  error
	err    error // what a panic became
	stack  []byte

	originalMethod, originalPath string // of the request that this one asks about

	crowd   *crowd // that the request is to be counted in; nil: none
	counted bool   // it is
	conn    *conn  // that waits for the answer; nil: none, or the answer has begun
	idle    bool   // nothing is left to be done for the answer, which is to come later

	route   string                        // the name of the route that the request was for
	count   func(auth.Used, *auth.Client) // of the route; nil: it is not counted
	used    auth.UsedBox
	refused Refusal
	span    *trace.Span // nil: the request is not traced
}

type exchangeKey struct{}

func (x *exchange) Value(key any) any {
	switch key {
	case exchangeKey{}:
		return x
	case auth.WaitedKey{}:
		return &x.waited
	case auth.UsedKey{}:
		return &x.used
	case trace.Key{}:
		return x.span
	}
	return x.timed.Value(key)
}

// exchangeFrom is the exchange that ctx belongs to, or nil. All methods that it
// is used for work on nil.
func exchangeFrom(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// publicCause is the detail that a client reads, where the log knows nothing more.
type publicCause string

func (c publicCause) Error() string { return string(c) }

// note keeps what the log line will say. The first word stands.
func (x *exchange) note(code auth.Code, cause error) {
	if x != nil && x.code == "" {
		x.code, x.cause = code, cause
	}
}

// identify lets a fault of ours be found in the log. Other answers carry no id, so that
// refusals are the same to the byte.
func (x *exchange) identify(h http.Header, status int) {
	if x != nil && x.client.RequestID != "" && status >= http.StatusInternalServerError {
		h["X-Request-Id"] = []string{x.client.RequestID}
	}
}

func (x *exchange) clock() time.Time {
	if x == nil || x.now == nil {
		return time.Now()
	}
	return x.now()
}

// caught turns a recovered panic into an internal error. If the answer has begun,
// or the panic is the one that net/http defines for that, the connection is cut,
// so that the client can't take half an answer for a whole one.
func (x *exchange) caught(v any) {
	err, _ := v.(error)
	aborted := errors.Is(err, http.ErrAbortHandler)
	if aborted {
		x.note(codeAborted, nil)
	} else {
		x.err = &auth.Error{Code: auth.CodeInternal, Cause: fmt.Errorf("panic: %v", v)}
		x.stack = debug.Stack()
	}
	if aborted || x.status != 0 {
		x.note(auth.CodeInternal, auth.AsError(x.err).Cause)
		panic(http.ErrAbortHandler)
	}
}

func (x *exchange) Header() http.Header { return x.w.Header() }

func (x *exchange) WriteHeader(status int) {
	if x.status == 0 && status >= http.StatusOK {
		x.status = status
		x.begun()
	}
	x.w.WriteHeader(status)
}

func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
		x.begun()
	}
	return x.w.Write(b)
}

// come is called once as much of the request is there as will be read of it. It refuses
// one too many of its source.
func (x *exchange) come() error {
	if x.conn = connOf(&x.timed); x.conn != nil {
		x.conn.begin()
	}
	x.client.Decided = x.decided
	if x.crowd == nil {
		return nil
	}
	err := x.crowd.enter(x.client.Address)
	if x.counted = err == nil; !x.counted {
		x.refuse(RefusedSource)
	}
	return err
}

// decided is called when the answer is clear, and is only held back: a connection that
// waits for nothing else takes no place of others.
func (x *exchange) decided() {
	if x.conn != nil && !x.idle {
		x.conn.end(0)
	}
	x.idle = true
	x.leave()
}

// begun is called when the answer begins, or there is none. From here on it is the client
// who is waited for: one that reads slowly takes no place of others.
func (x *exchange) begun() {
	if x.conn != nil && x.idle {
		x.conn.begin() // for a moment, to have the grace
	}
	if x.conn != nil {
		x.conn.end(grace)
		x.conn = nil
	}
	x.leave()
}

// leave gives up the place among the requests of the source.
func (x *exchange) leave() {
	if x.counted {
		x.crowd.leave(x.client.Address)
		x.counted = false
	}
}

// Unwrap is for http.ResponseController.
func (x *exchange) Unwrap() http.ResponseWriter { return x.w }

// Speaks notes, for the log line alone, which dialect the request's credential is of.
func (r *Request) Speaks(d auth.Dialect) {
	if x := exchangeFrom(r.Context()); x != nil {
		x.dialect = d
	}
}

// Dialect is where to note what Speaks notes.
func (r *Request) Dialect() *auth.Dialect {
	if x := exchangeFrom(r.Context()); x != nil {
		return &x.dialect
	}
	return new(auth.Dialect)
}

// Original notes, for the log line alone, which request this one asks about. The path is
// one without a query.
func (r *Request) Original(method, path string) {
	if x := exchangeFrom(r.Context()); x != nil {
		x.originalMethod, x.originalPath = method, path
	}
}

// CodeOf is the code that the log line of a request will have; empty for none.
func CodeOf(ctx context.Context) auth.Code {
	if x := exchangeFrom(ctx); x != nil {
		return x.code
	}
	return ""
}

// RequestID is the id of a request in the log.
func RequestID(ctx context.Context) string {
	if x := exchangeFrom(ctx); x != nil {
		return x.client.RequestID
	}
	return ""
}

// Passed says that a request gets the answer of another server, and of which status: in the
// log it is then no error of ours, whatever was found here.
func Passed(ctx context.Context, status int) {
	if x := exchangeFrom(ctx); x != nil && status < http.StatusBadRequest {
		x.code = ""
	}
}
