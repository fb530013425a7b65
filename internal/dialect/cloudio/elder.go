package cloudio

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
	credential, err := legacy.Btoa(c)
	if err != nil {
		return nil, err
	}
	q := legacy.Question{Path: "/v1/auth", Authorization: "Token " + credential, Body: struct{}{}, Client: cl}
	err = e.c.Ask(ctx, q, func(a *legacy.Answer) error {
		n, err = understand(a)
		return err
	})
	return n, err
}

// Complete has nothing to do: there is no second step.
func (elder) Complete(context.Context, auth.Secret, auth.Secret, auth.Client) ([]auth.ForeignToken, error) {
	return nil, legacy.Refused(auth.CodeFactorInvalid)
}

// understand reads an answer to a login.
func understand(a *legacy.Answer) (*auth.Newcomer, error) {
	switch a.Status {
	case http.StatusForbidden:
		return nil, legacy.Refused(auth.CodeBadCredentials)
	case http.StatusOK:
	default:
		return nil, legacy.Unexpected(a)
	}
	var in answer
	if err := a.Decode(&in); err != nil {
		return nil, err
	}
	if in.Status != "OK" || in.UserName == "" {
		return nil, errors.New("its status is not OK, or it has no userName")
	}
	n := &auth.Newcomer{Username: in.UserName, Email: in.EmailAddress, DisplayName: in.DisplayName, Org: in.OrgUID}
	if in.SessionID != "" {
		n.Tokens = []auth.ForeignToken{{Kind: auth.ForeignSession, Text: auth.Secret(in.SessionID)}}
	}
	return legacy.Check(n)
}
