package senmo

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
	password := string(c.Password)
	q := legacy.Question{Path: "/v1/auth", Body: loginRequest{Username: &c.Name, Password: &password}, Client: cl}
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

// understand reads an answer to a login. Its status 400 is also that of a malformed
// request, so the message counts.
func understand(a *legacy.Answer, name string) (*auth.Newcomer, error) {
	switch a.Status {
	case http.StatusBadRequest:
		var f failure
		if err := a.Decode(&f); err != nil {
			return nil, err
		}
		if f.StatusMessage != loginFailed {
			return nil, legacy.Unexpected(a)
		}
		return nil, legacy.Refused(auth.CodeBadCredentials)
	case http.StatusOK:
	default:
		return nil, legacy.Unexpected(a)
	}
	var in answer
	if err := a.Decode(&in); err != nil {
		return nil, err
	}
	if in.StatusCode != http.StatusOK {
		return nil, errors.New("its statusCode is not 200")
	}
	claims, err := legacy.ReadJWT(in.Tokens.ID)
	if err != nil {
		return nil, err
	}
	n, err := newcomer(claims, name)
	if err != nil {
		return nil, err
	}
	if in.Tokens.Refresh != "" {
		n.Tokens = []auth.ForeignToken{{Kind: auth.ForeignRefresh, Text: auth.Secret(in.Tokens.Refresh)}}
	}
	return n, nil
}

// newcomer is who an id token names: whoever was asked for, if it has no claim for names.
func newcomer(claims legacy.Claims, name string) (*auth.Newcomer, error) {
	n, cognito := &auth.Newcomer{}, ""
	for claim, to := range map[string]*string{"sub": &n.Subject, "email": &n.Email, "name": &n.DisplayName, "username": &n.Username, "cognito:username": &cognito} {
		text, err := claims.Text(claim)
		if err != nil {
			return nil, err
		}
		*to = text
	}
	if n.Subject == "" {
		return nil, errors.New("its id token has no sub")
	}
	if n.Username == "" {
		n.Username = cognito
	}
	if claims["email"] == nil && claims["username"] == nil && claims["cognito:username"] == nil {
		n.Username = name
	}
	return legacy.Check(n)
}
