package verify

import (
	"cmp"
	"context"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/web"
)

// revoke ends the session of a token (RFC 7009). A token that is none is no error, since
// it opens nothing already; that the session could not be ended is one.
func (s surface) revoke(ctx context.Context, r *web.Request, in web.Form) (none web.None, err error) {
	caller, token, err := s.asked(ctx, r, in, auth.RoleRevoke)
	if err != nil {
		return none, err
	}
	client := r.Client
	client.Actor = "service " + cmp.Or(caller.Username, caller.Email)
	return none, s.svc.Revoke(ctx, s.realm, token, client)
}
