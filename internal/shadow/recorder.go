package shadow

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/ostiary/ostiary/internal/legacy"
	"github.com/ostiary/ostiary/internal/parity"
	"github.com/ostiary/ostiary/internal/web"
)

// recorder keeps an answer in place of sending it.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK {
		r.status = status
	}
}

func (r *recorder) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(b)
}

func (r *recorder) answer() parity.Answer {
	return parity.Answer{Status: r.status, Header: r.header, Body: r.body.Bytes()}
}

// send sends what was recorded.
func (r *recorder) send(w http.ResponseWriter) {
	h := w.Header()
	clear(h)
	for name, values := range r.header {
		h[name] = values
	}
	if r.status == 0 {
		r.status = http.StatusOK // as net/http would
	}
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body.Bytes()) // a client that is gone is no error of ours
}

// pass sends the answer of a legacy server. Its headers stand in place of ours of the same
// name, and its word on which pages may read it in place of ours altogether. Nobody keeps the
// answer, whatever that server says: it is about a credential.
func pass(w http.ResponseWriter, a *legacy.Answer) {
	h := w.Header()
	for name := range a.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			for own := range h {
				if strings.HasPrefix(own, "Access-Control-") {
					delete(h, own)
				}
			}
			break
		}
	}
	for name, values := range a.Header {
		h[name] = values
	}
	if !noStore(h) {
		h["Cache-Control"] = []string{"no-store"}
	}
	if a.Status != http.StatusNoContent && a.Status != http.StatusNotModified {
		h["Content-Length"] = []string{strconv.Itoa(len(a.Body))}
	}
	if len(a.Body) > 0 && h["Content-Type"] == nil {
		h["Content-Type"] = nil // or net/http would guess one
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body)
}

// noStore tells whether an answer says already that nobody may keep it.
func noStore(h http.Header) bool {
	for directive := range strings.SplitSeq(strings.Join(h["Cache-Control"], ","), ",") {
		if strings.EqualFold(strings.TrimSpace(directive), "no-store") {
			return true
		}
	}
	return false
}

// copied keeps what is read of a body.
type copied struct {
	io.ReadCloser
	data []byte
}

func (c *copied) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	if room := web.MaxBody - len(c.data); room > 0 {
		c.keep(b[:min(n, room)])
	}
	return n, err
}

func (c *copied) keep(b []byte) {
	if len(c.data)+len(b) > cap(c.data) {
		grown := make([]byte, len(c.data), max(2*cap(c.data), len(c.data)+len(b)))
		copy(grown, c.data)
		c.wipe()
		c.data = grown
	}
	c.data = append(c.data, b...)
}

// wipe forgets it: passwords pass through.
func (c *copied) wipe() { clear(c.data) }
