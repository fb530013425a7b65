package mikrocloud

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

// SignIn does both steps, so that the password is proven by a login that is complete;
// but for an account with a second factor, which has a code to show first.
func (e elder) SignIn(ctx context.Context, c auth.Credentials, cl auth.Client) (n *auth.Newcomer, err error) {
	ctx, cancel := context.WithTimeout(ctx, e.c.Timeout()) // for both
	defer cancel()
	password := string(c.Password)
	q := legacy.Question{Path: "/user/login", Body: loginRequest{Email: &c.Name, Password: &password}, Client: cl}
	err = e.c.Ask(ctx, q, func(a *legacy.Answer) error {
		n, err = understandLogin(a, c.Name)
		return err
	})
	if err != nil || n.Factor || legacy.Relayed(ctx) { // whoever sent it does the second step
		return n, err
	}
	n.Tokens, err = e.passport(ctx, n.Ticket, nil, cl)
	if auth.CodeOf(err) == auth.CodeFactorInvalid {
		return nil, &auth.Error{Code: auth.CodeUnavailable, RetryAfter: time.Second,
			Cause: errors.New("the legacy server refuses at /user/passport what it issued at /user/login: see its log")}
	}
	if err != nil {
		return nil, err
	}
	n.Ticket = ""
	return n, nil
}

func (e elder) Complete(ctx context.Context, ticket, code auth.Secret, cl auth.Client) ([]auth.ForeignToken, error) {
	totp := string(code)
	return e.passport(ctx, ticket, &totp, cl)
}

// question is a request to passport, where null says that there is no code.
type question struct {
	TOTP  *string `json:"totp"`
	Token string  `json:"token"`
}

func (e elder) passport(ctx context.Context, ticket auth.Secret, totp *string, cl auth.Client) (tokens []auth.ForeignToken, err error) {
	q := legacy.Question{Path: "/user/passport", Body: question{TOTP: totp, Token: string(ticket)}, Client: cl}
	err = e.c.Ask(ctx, q, func(a *legacy.Answer) error {
		tokens, err = understandPassport(a)
		return err
	})
	return tokens, err
}

// understandLogin reads an answer to the first step. It names nobody, so whoever signed in
// is who was asked for.
func understandLogin(a *legacy.Answer, name string) (*auth.Newcomer, error) {
	switch a.Status {
	case http.StatusUnauthorized:
		return nil, legacy.Refused(auth.CodeBadCredentials)
	case http.StatusOK:
	default:
		return nil, legacy.Unexpected(a)
	}
	var in struct {
		Enabled *bool   `json:"mfa_enabled"`
		Token   *string `json:"token"`
	}
	if err := a.Decode(&in); err != nil {
		return nil, err
	}
	if in.Enabled == nil || in.Token == nil || *in.Token == "" {
		return nil, errors.New("it has no mfa_enabled, or no token")
	}
	n := &auth.Newcomer{Username: name, Factor: *in.Enabled, Ticket: auth.Secret(*in.Token)}
	return legacy.Check(n)
}

// understandPassport reads an answer to the second step.
func understandPassport(a *legacy.Answer) ([]auth.ForeignToken, error) {
	switch a.Status {
	case http.StatusUnauthorized:
		return nil, legacy.Refused(auth.CodeFactorInvalid)
	case http.StatusOK:
	default:
		return nil, legacy.Unexpected(a)
	}
	var in passportAnswer
	if err := a.Decode(&in); err != nil {
		return nil, err
	}
	if in.AuthToken == nil || *in.AuthToken == "" {
		return nil, errors.New("it has no auth_token")
	}
	return []auth.ForeignToken{{Kind: auth.ForeignBearer, Text: auth.Secret(*in.AuthToken)}}, nil
}
