package nomic

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/legacy"
)

// elder asks another server of this API, as a client of it.
type elder struct{ c *legacy.Client }

func newElder(c *legacy.Client) auth.Elder { return elder{c} }

func (e elder) Floor() time.Duration { return e.c.Floor() }

func (e elder) SignIn(ctx context.Context, c auth.Credentials, cl auth.Client) (n *auth.Newcomer, err error) {
	credential, err := legacy.Basic(c)
	if err != nil {
		return nil, err
	}
	q := legacy.Question{Path: "/api/auth/token", Authorization: "Basic " + credential, Client: cl}
	err = e.c.Ask(ctx, q, func(a *legacy.Answer) error {
		n, err = understand(a, c.Name)
		return err
	})
	return n, err
}

// Complete has nothing to do: there is no second step.
func (elder) Complete(context.Context, auth.Secret, auth.Secret, auth.Client) ([]auth.ForeignToken, error) {
	return nil, legacy.Refused(auth.CodeFactorInvalid)
}

// understand reads an answer to a login. It names nobody, so whoever signed in is who was
// asked for; the subject of the token is a number.
func understand(a *legacy.Answer, name string) (*auth.Newcomer, error) {
	switch a.Status {
	case http.StatusForbidden:
		return nil, legacy.Refused(auth.CodeBadCredentials)
	case http.StatusOK, http.StatusCreated: // its documentation says "200 CREATED"
	default:
		return nil, legacy.Unexpected(a)
	}
	var in answer
	if err := a.Decode(&in); err != nil {
		return nil, err
	}
	if !in.IsSuccess {
		return nil, errors.New("isSuccess is not true")
	}
	claims, err := legacy.ReadJWT(in.Token)
	if err != nil {
		return nil, err
	}
	subject, err := claims.Text("sub")
	if err != nil {
		return nil, err
	}
	if subject == "" {
		return nil, errors.New("its token has no sub")
	}
	n := &auth.Newcomer{Username: name, Subject: subject}
	return legacy.Check(n)
}
