package ostiaryauth

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"time"
)

// Identity is who a request speaks for. A field is empty where the credential does not say: see the table
// of the package's documentation.
type Identity struct {
	Subject     string    // who it is to the dialect's clients: the account's id, or its alias; never empty
	Account     string    // the account's id, a UUID: the same in every dialect
	Username    string    // as the account spells it
	Email       string    // the account's address
	Org         string    // the account's organization
	Roles       []string  // what the account may be, sorted
	Datasources []string  // what its roles open, sorted
	Dialect     string    // what the client spoke at its login: "cloudio", "mikrocloud", "nomic", "senmo"
	Session     string    // the login's session, a UUID
	AuthTime    time.Time // when the login was completed, in whole seconds UTC; zero if unknown
	AMR         []string  // how (RFC 8176), as in "pwd", "otp"
	Issuer      string    // iss of the JWT; empty for an opaque token

	// Omitted names the lists, "roles" or "datasources", that were too long for a senmo access token. Without
	// introspection to ask, HasRole or HasDatasource is then false of every name.
	Omitted []string
}

// HasRole tells whether the account has the role. Nobody has it if i is nil.
func (i *Identity) HasRole(role string) bool {
	return i != nil && slices.Contains(i.Roles, role)
}

// HasDatasource tells whether one of the account's roles opens the datasource. None does if i is nil.
func (i *Identity) HasDatasource(datasource string) bool {
	return i != nil && slices.Contains(i.Datasources, datasource)
}

// clone shares nothing with i.
func (i *Identity) clone() *Identity {
	c := *i
	c.Roles, c.Datasources = slices.Clone(i.Roles), slices.Clone(i.Datasources)
	c.AMR, c.Omitted = slices.Clone(i.AMR), slices.Clone(i.Omitted)
	return &c
}

type contextKey struct{}

// FromContext is the identity that Handler has put into the context of a request. It belongs to that request alone.
func FromContext(ctx context.Context) (*Identity, bool) {
	i, ok := ctx.Value(contextKey{}).(*Identity)
	return i, ok
}

// readIdentity reads the claims that all formats spell alike. Which of them must be there, the formats know.
func readIdentity(c object) (*Identity, error) {
	i := &Identity{
		Subject: c.text("sub"), Account: c.text("account"), Username: c.text("username"), Email: c.text("email"),
		Org: c.text("org"), Dialect: c.text("dialect"), Session: c.text("session"), Issuer: c.text("iss"),
	}
	if i.Subject == "" {
		return nil, invalid("sub: absent or no text")
	}
	for name, list := range map[string]*[]string{"roles": &i.Roles, "datasources": &i.Datasources, "amr": &i.AMR, "omitted": &i.Omitted} {
		var ok bool
		if *list, ok = c.list(name); !ok {
			return nil, invalid(name + ": no list of texts")
		}
	}
	if _, present := c["auth_time"]; present {
		var ok bool
		if i.AuthTime, ok = c.date("auth_time"); !ok {
			return nil, invalid("auth_time: no date")
		}
	}
	return i, nil
}

// sessionOf is the session that a jti of Ostiary names, its first 16 bytes, or "".
func sessionOf(jti string) string {
	b, err := base64.RawURLEncoding.DecodeString(jti)
	if err != nil || len(b) != 28 {
		return ""
	}
	h := hex.EncodeToString(b[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
