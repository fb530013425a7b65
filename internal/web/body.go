package web

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/strictjson"
)

// MaxBody is the size in bytes that the body of a request may have.
const MaxBody = 64 << 10

// bodies are buffers for reading. They are wiped before they are put back, since
// passwords pass through them.
var bodies = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

// errNoPlace refuses a body that there is no room for.
var errNoPlace = &auth.Error{
	Code: auth.CodeUnavailable, RetryAfter: comeBack, Detail: "too many requests at once",
	Cause: errors.New("more bodies are to come than there may be connections: see source_connections and max_connections"),
}

// readBody reads the body as kind says, and decodes it into dst.
func readBody(r *http.Request, kind Body, dst any) error {
	if kind == BodyUnread || kind == BodyIgnored && r.ContentLength == 0 {
		return nil
	}
	buffer := bodies.Get().(*[]byte)
	defer func() {
		clear((*buffer)[:cap(*buffer)])
		bodies.Put(buffer)
	}()
	var err error
	tooLarge := r.ContentLength > MaxBody // then nothing of it is read
	if !tooLarge {
		if c := connOf(r.Context()); c != nil {
			if !c.listener.expect(c) {
				exchangeFrom(r.Context()).refuse(RefusedBody)
				return errNoPlace
			}
			defer c.listener.arrived(c)
		}
		*buffer, err = readUpTo((*buffer)[:0], r.Body, MaxBody+1)
		tooLarge = len(*buffer) > MaxBody
	}
	data := *buffer
	if tooLarge || len(data) > 0 {
		if err := kind.takes(r.Header["Content-Type"]); err != nil {
			return err
		}
	}
	switch {
	case tooLarge:
		return &auth.Error{Code: auth.CodeTooLarge, Detail: "the body is larger than 64 KiB"}
	case err != nil:
		return &auth.Error{Code: auth.CodeInvalidInput, Detail: "the body can't be read", Cause: err}
	case kind == BodyIgnored, kind == BodyEmpty && len(data) == 0:
		return nil
	case kind == BodyForm:
		form, err := parseForm(string(data))
		*dst.(*Form) = form
		return err
	}
	if shaped, ok := dst.(*Shaped); ok {
		dst = shaped.Into
	}
	err = strictjson.Decode(data, dst)
	if e, ok := errors.AsType[*strictjson.Error](err); ok {
		return &auth.Error{Code: auth.CodeInvalidInput, Detail: e.Error()}
	}
	return err
}

// readUpTo appends what r has to b, until b has max bytes.
func readUpTo(b []byte, r io.Reader, max int) ([]byte, error) {
	for len(b) < max {
		if len(b) == cap(b) {
			grown := make([]byte, len(b), min(2*cap(b), max))
			copy(grown, b)
			clear(b)
			b = grown
		}
		n, err := r.Read(b[len(b):min(cap(b), max)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
	return b, nil
}

// takes refuses a body whose media type is not of the kind.
func (kind Body) takes(contentType []string) error {
	switch {
	case (kind == BodyJSON || kind == BodyEmpty) && !IsJSON(contentType):
		return &auth.Error{Code: auth.CodeUnsupportedType, Detail: "the body must be JSON"}
	case kind == BodyForm && !isForm(contentType):
		return &auth.Error{Code: auth.CodeUnsupportedType, Detail: "the body must be a form (application/x-www-form-urlencoded)"}
	}
	return nil
}

// IsJSON tells whether a Content-Type is that of JSON (RFC 6839 section 3.1 for
// the suffix), or says nothing.
func IsJSON(values []string) bool {
	if untyped(values) {
		return true
	}
	kind := mediaType(values)
	if strings.EqualFold(kind, "application/json") || strings.EqualFold(kind, "text/json") {
		return true
	}
	const suffix = "+json"
	return strings.IndexByte(kind, '/') > 0 && len(kind) > len(suffix) && strings.EqualFold(kind[len(kind)-len(suffix):], suffix)
}

// isForm tells whether a Content-Type is that of a form, or says nothing.
func isForm(values []string) bool {
	return untyped(values) || strings.EqualFold(mediaType(values), "application/x-www-form-urlencoded")
}

// untyped tells whether a Content-Type is absent or empty.
func untyped(values []string) bool {
	return len(values) == 0 || len(values) == 1 && values[0] == ""
}

// mediaType is the Content-Type without its parameters, or "" if there are several.
func mediaType(values []string) string {
	if len(values) != 1 {
		return ""
	}
	kind, _, _ := strings.Cut(values[0], ";")
	return strings.Trim(kind, " \t")
}
