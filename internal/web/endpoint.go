package web

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/auth"
)

// Body says what an endpoint makes of the body of a request.
type Body int

const (
	// BodyJSON is a documented body: one JSON object of at most MaxBody bytes.
	BodyJSON Body = iota
	// BodyEmpty is documented as empty: like BodyJSON, and no body equals {}.
	BodyEmpty
	// BodyIgnored may be anything of at most MaxBody bytes.
	BodyIgnored
	// BodyForm is a form of at most MaxBody bytes; In is Form.
	BodyForm
	// BodyUnread is not looked at.
	BodyUnread
)

// None is the In of an endpoint that needs nothing of the body, and the Out of
// one that answers with no body.
type None struct{}

// Shaped is the In of an endpoint whose documented members are known only when it is made:
// its New gives Into, a pointer to the struct that the body is decoded into.
type Shaped struct{ Into any }

// Text is the Out of an endpoint that answers with plain text.
type Text string

// ContentType is the media type of plain text.
func (Text) ContentType() string { return "text/plain; charset=utf-8" }

// Request is what an endpoint's function is given besides the decoded body.
type Request struct {
	*http.Request
	Client auth.Client
	// Answer holds the headers of the answer, whatever becomes of the request.
	Answer http.Header
}

// Endpoint is one operation of a surface: how its request is read, what it does,
// and how its errors look. It is an http.Handler.
type Endpoint[In, Out any] struct {
	Methods []string // empty: any; GET includes HEAD
	Body    Body
	New     func() In // an In to be filled; default the zero one
	Success int       // default 200; 204 has no body
	Encode  Encoder   // default ProblemJSON
	// Run does the work. Its error is an *auth.Error, or becomes an internal one.
	// An Out that has a method ContentType() string says its own media type; None
	// is no body, Text and json.RawMessage are sent as they are.
	Run func(ctx context.Context, r *Request, in In) (Out, error)

	Challenge      string    // WWW-Authenticate of every 401 (RFC 9110 section 11.6.1); Bearer gets its error added
	CacheControl   string    // of a success; default what Run says, or no-store, as of every error
	TwoCredentials auth.Code // of a request with two credentials; default invalid_input
	// Refused is called of a request with two credentials, which Run does not see, so
	// that the log can say more of it. May be nil.
	Refused func(*Request)
}

// AllowedMethods are those that the endpoint knows, sorted.
func (e Endpoint[In, Out]) AllowedMethods() []string {
	methods := slices.Clone(e.Methods)
	if slices.Contains(methods, http.MethodGet) {
		methods = append(methods, http.MethodHead)
	}
	slices.Sort(methods)
	return slices.Compact(methods)
}

func (e Endpoint[In, Out]) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := exchangeFrom(r.Context())
	if x == nil { // without Middleware
		x = &exchange{timed: timed{Context: r.Context()}, w: w, client: auth.Client{Address: peerOf(r)}}
		w, r = x, r.WithContext(x)
	}
	defer func() {
		if v := recover(); v != nil {
			x.caught(v)
			fail(w, r, e.Encode, e.Challenge, x.err)
		}
	}()
	if !allows(e.Methods, r.Method) {
		w.Header()["Allow"] = []string{strings.Join(e.AllowedMethods(), ", ")}
		fail(w, r, e.Encode, e.Challenge, &auth.Error{Code: auth.CodeMethodNotAllowed})
		return
	}
	dropBlank(r.Header)
	if twoCredentials(r.Header) {
		code := e.TwoCredentials
		if code == "" {
			code = auth.CodeInvalidInput
		}
		if e.Refused != nil {
			e.Refused(&Request{Request: r, Client: x.client, Answer: w.Header()})
		}
		fail(w, r, e.Encode, e.Challenge, &auth.Error{Code: code, Detail: "two credentials in one request"})
		return
	}
	var in In
	if e.New != nil {
		in = e.New()
	}
	if err := readBody(r, e.Body, &in); err != nil {
		fail(w, r, e.Encode, e.Challenge, err)
		return
	}
	if err := x.come(); err != nil {
		fail(w, r, e.Encode, e.Challenge, err)
		return
	}
	request := Request{Request: r, Client: x.client, Answer: w.Header()}
	out, err := e.Run(r.Context(), &request, in)
	if err == nil {
		err = succeed(w, e.Success, e.CacheControl, &out)
	}
	if err != nil {
		fail(w, r, e.Encode, e.Challenge, err)
	}
}

func allows(methods []string, method string) bool {
	return len(methods) == 0 || slices.Contains(methods, method) ||
		method == http.MethodHead && slices.Contains(methods, http.MethodGet)
}

// dropBlank removes headers of credentials that say nothing, as clients have them that clear theirs.
func dropBlank(h http.Header) {
	for _, name := range [...]string{"Authorization", "Authentication"} {
		if v := h[name]; len(v) == 1 && v[0] == "" {
			delete(h, name)
		}
	}
}

// twoCredentials tells whether readers of the request could take different
// credentials from it.
func twoCredentials(h http.Header) bool {
	a, b := h["Authorization"], h["Authentication"]
	return len(a) > 1 || len(b) > 1 || len(a) == 1 && len(b) == 1 && a[0] != b[0]
}
