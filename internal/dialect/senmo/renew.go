package senmo

import (
	"context"
	"errors"
	"net/http"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/legacy"
)

// Renew is of auth.Renewer.
func (e elder) Renew(ctx context.Context, token auth.Secret, cl auth.Client) (n *auth.Newcomer, err error) {
	q := legacy.Question{Path: "/v1/auth/refreshtoken", Body: refreshRequest{RefreshToken: string(token)}, Client: cl}
	err = e.c.Ask(ctx, q, func(a *legacy.Answer) error {
		n, err = understandRefresh(a)
		return err
	})
	return n, err
}

// understandRefresh reads an answer to a refresh token. Without a new one the old one stays
// good.
func understandRefresh(a *legacy.Answer) (*auth.Newcomer, error) {
	switch a.Status {
	case http.StatusBadRequest:
		var f failure
		if err := a.Decode(&f); err != nil {
			return nil, err
		}
		if f.StatusMessage != refreshFailed {
			return nil, legacy.Unexpected(a)
		}
		return nil, legacy.Refused(auth.CodeTokenInvalid)
	case http.StatusOK:
	default:
		return nil, legacy.Unexpected(a)
	}
	var in answer
	if err := a.Decode(&in); err != nil {
		return nil, err
	}
	claims, err := legacy.ReadJWT(in.Tokens.ID)
	if err != nil {
		return nil, err
	}
	n := &auth.Newcomer{}
	if n.Subject, err = claims.Text("sub"); err != nil || n.Subject == "" {
		return nil, errors.New("its id token has no sub")
	}
	if in.Tokens.Refresh != "" {
		n.Tokens = []auth.ForeignToken{{Kind: auth.ForeignRefresh, Text: auth.Secret(in.Tokens.Refresh)}}
	}
	return n, nil
}
