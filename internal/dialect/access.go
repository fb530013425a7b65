package dialect

import (
	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/token"
)

// maxAccess is how many bytes of roles and datasources, as JSON, an access token
// carries: it travels in a header, of which many servers take 8 KiB.
const maxAccess = 4096

// Access are the claims "roles" and "datasources" of an access token. A list that would
// make the token too long is left out as a whole and named in "omitted": half a list would
// look like a whole one.
func Access(g *auth.Grant) token.Claims {
	claims := token.Claims{}
	room := maxAccess
	var omitted []string
	for _, list := range []struct {
		claim string
		names []string
	}{{"roles", g.Roles}, {"datasources", g.Datasources}} {
		size := 0
		for _, name := range list.names {
			size += len(name) + len(`"",`)
		}
		if size > room {
			omitted = append(omitted, list.claim)
			continue
		}
		room -= size
		claims[list.claim] = append([]string{}, list.names...)
	}
	if omitted != nil {
		claims["omitted"] = omitted
	}
	return claims
}
