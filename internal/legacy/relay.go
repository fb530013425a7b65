package legacy

import (
	"context"
	"errors"
	"net/http"

	"github.com/ostiary/ostiary/internal/auth"
)

// Relay is a client's request that is sent on as it is, in place of a question, whose reader
// reads the answer. It is sent once; whoever asks again reads the same answer.
type Relay struct {
	Request *http.Request
	Path    string // that follows the mount's prefix
	Body    []byte
	Asked   bool    // it was sent, or was meant to be
	Answer  *Answer // for the client; nil: there is none
}

type relayKey struct{}

// WithRelay has the next question in ctx be a client's request.
func WithRelay(ctx context.Context, r *Relay) context.Context {
	return context.WithValue(ctx, relayKey{}, r)
}

// Relayed tells whether a question in ctx is a client's request: one, and no other after it.
func Relayed(ctx context.Context) bool { return relayOf(ctx) != nil }

func relayOf(ctx context.Context) *Relay {
	r, _ := ctx.Value(relayKey{}).(*Relay)
	return r
}

// relay sends the request on, and reads the answer as Ask does.
func (c *Client) relay(ctx context.Context, r *Relay, cl auth.Client, read func(a *Answer) error) error {
	if !r.Asked {
		r.Asked = true
		a, err := c.Forward(ctx, r.Request, r.Path, r.Body, cl)
		if err != nil {
			return err
		}
		r.Answer = a
	}
	a := r.Answer
	if a == nil {
		return c.unavailable(&failure{cause: errors.New("it has not answered, and is not asked twice")})
	}
	err := understood(a, read)
	refused, isRefusal := errors.AsType[*auth.Error](err)
	switch {
	case err == nil:
		return nil
	case isRefusal:
		c.floor.note(a.Took)
		return refused
	}
	return c.unavailable(&failure{cause: err, retryAfter: retryAfter(a.Header)})
}
