package nomic

import (
	"context"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/legacy"
)

// Renew is of auth.Renewer.
func (e elder) Renew(ctx context.Context, token auth.Secret, cl auth.Client) (n *auth.Newcomer, err error) {
	q := legacy.Question{Path: "/api/auth/token", Authorization: "Bearer " + string(token), Client: cl}
	err = e.c.Ask(ctx, q, func(a *legacy.Answer) error {
		if n, err = understand(a, "?"); auth.CodeOf(err) == auth.CodeBadCredentials {
			err = legacy.Refused(auth.CodeTokenInvalid)
		}
		return err
	})
	if n != nil {
		n.Username, n.Email = "", "" // its answer names nobody but by the subject
	}
	return n, err
}
