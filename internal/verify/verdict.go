package verify

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/web"
)

// meets tells whether an identity has all that a query asks for: ?role=a&datasource=b,
// where repeated names must all hold. A query that can't be read, or that asks for
// something else, is met by nobody: whoever misspells a rule must not open a door.
func meets(who *auth.Identity, query string) error {
	asked, err := url.ParseQuery(query)
	if err != nil {
		return &auth.Error{Code: auth.CodeForbidden, Detail: "the query can't be read"}
	}
	for name, values := range asked {
		var has []string
		switch name {
		case "role":
			has = who.Roles
		case "datasource":
			has = who.Datasources
		default:
			return &auth.Error{Code: auth.CodeForbidden, Detail: "the query asks for something else than role and datasource"}
		}
		for _, value := range values {
			if value == "" || !slices.Contains(has, value) {
				return &auth.Error{
					Code: auth.CodeForbidden, Detail: "the account lacks a " + name + " that the query asks for",
					Cause: fmt.Errorf("account %s (%s) lacks the %s %q", who.Account, cmp.Or(who.Username, who.Email), name, value),
				}
			}
		}
	}
	return nil
}

// encodeVerdict keeps to the statuses that proxies understand: nginx takes any other one
// than 401 and 403 for an error of its own, so whatever keeps the question from being
// decided is 503.
func encodeVerdict(p web.Problem) (int, any) {
	switch web.Status(p.Code) {
	case http.StatusUnauthorized, http.StatusForbidden:
		return web.ProblemJSON(p)
	}
	return encodeReadiness(p)
}

// encodeReadiness says 503 for every fault.
func encodeReadiness(p web.Problem) (int, any) {
	if p.Code == auth.CodeMethodNotAllowed {
		return web.ProblemJSON(p)
	}
	return web.ProblemStatus(http.StatusServiceUnavailable, p)
}

// encodePassword says 403 of a wrong current password, since the token is good.
func encodePassword(p web.Problem) (int, any) {
	if p.Code == auth.CodeBadCredentials {
		return web.ProblemStatus(http.StatusForbidden, p)
	}
	return web.ProblemJSON(p)
}
