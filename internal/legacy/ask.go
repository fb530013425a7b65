package legacy

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/strictjson"
)

// Question is one request of a dialect.
type Question struct {
	Path          string
	Authorization string // "" for none
	Body          any    // of JSON; nil for none
	Client        auth.Client
}

// Ask asks the server. read tells what an answer means that is neither a redirect nor a
// fault of the server: nil, an [auth.Error] with the code of a refusal, or any other error
// if it says nothing that can be understood. That, and no answer, are CodeUnavailable.
func (c *Client) Ask(ctx context.Context, q Question, read func(a *Answer) error) error {
	if r := relayOf(ctx); r != nil {
		return c.relay(ctx, r, q.Client, read)
	}
	var body []byte
	if q.Body != nil {
		var err error
		if body, err = json.Marshal(q.Body); err != nil {
			return err
		}
	}
	r, err := c.newRequest(ctx, http.MethodPost, q.Path, body, q.Client)
	if err != nil {
		return err
	}
	r.Header.Set("User-Agent", "Ostiary")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Content-Type", "application/json")
	if q.Authorization != "" {
		r.Header.Set("Authorization", q.Authorization)
	}
	a, p, err := c.send(ctx, r, maxAnswer, q.Client)
	if err != nil {
		return err
	}
	err = understood(a, read)
	refused, isRefusal := errors.AsType[*auth.Error](err)
	switch {
	case err == nil:
		p.good()
		return nil
	case isRefusal:
		p.good()
		c.floor.note(a.Took)
		return refused
	}
	f := &failure{cause: err, perhaps: !troubled(a.Status), retryAfter: retryAfter(a.Header)}
	if about(a.Status) {
		p.good()
	} else {
		p.bad(f, q.Client.Address)
	}
	return c.unavailable(f)
}

// understood reads an answer that the server itself has given.
func understood(a *Answer, read func(a *Answer) error) error {
	switch {
	case a.Status >= 300 && a.Status < 400:
		return fmt.Errorf("it redirects (%d), which is not followed: set legacy to where it is", a.Status)
	case a.Status == http.StatusTooManyRequests:
		return errors.New("it has had too many requests (429): let it count the addresses of X-Forwarded-For, which tell the clients apart")
	case a.Status >= 500:
		return statusError(a.Status)
	case isHTML(a):
		return fmt.Errorf("its answer (%d) is a page: see what answers at the URL of legacy", a.Status)
	}
	err := read(a)
	if _, refused := errors.AsType[*auth.Error](err); err == nil || refused {
		return err
	}
	return fmt.Errorf("its answer (%d) is not one of the dialect: %w: see what answers at the URL of legacy", a.Status, err)
}

// about tells a status by which a server that is well finds fault with the request (RFC 9110,
// section 15.5).
func about(status int) bool {
	return status >= 400 && status < 500 && status != http.StatusTooManyRequests
}

func statusError(status int) error {
	return fmt.Errorf("it can't answer (%d %s): see its log", status, http.StatusText(status))
}

// isHTML tells a page, of whatever stands before the server, from an answer of its API.
func isHTML(a *Answer) bool {
	return strings.HasPrefix(strings.ToLower(a.Header.Get("Content-Type")), "text/html") || bytes.HasPrefix(bytes.TrimSpace(a.Body), []byte("<"))
}

// Unexpected is what read says of an answer with a status that means nothing to it.
func Unexpected(a *Answer) error { return fmt.Errorf("the status %d", a.Status) }

// Decode reads the body of an answer: one JSON object, of the types of dst.
func (a *Answer) Decode(dst any) error { return strictjson.Decode(a.Body, dst) }

// explain says of a call without an answer what an operator can do.
func (c *Client) explain(err error) error {
	var verify *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var header tls.RecordHeaderError
	switch {
	case errors.Is(err, context.DeadlineExceeded) || isTimeout(err):
		return fmt.Errorf("it has not answered within %s: see whether it is overloaded or away, or raise legacy_timeout", c.timeout)
	case errors.As(err, &verify), errors.As(err, &unknown):
		return fmt.Errorf("%w: let it have a certificate for its name, or name the CA that made it in legacy_ca", err)
	case errors.As(err, &header):
		return fmt.Errorf("%w: give legacy the port where it speaks TLS", err)
	case errors.Is(err, errTooLong), errors.Is(err, errUpgrade):
		return fmt.Errorf("%w: see what answers at the URL of legacy", err)
	}
	return fmt.Errorf("%w: see that it runs, and that this machine may reach it", err)
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
