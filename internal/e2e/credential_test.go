package e2e_test

import (
	"cmp"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

// maker makes a new account of this name, and a credential of it.
type maker func(t *testing.T, h *house, at, name string) *shown

// credentials are the rows of matrix.
var credentials = map[string]maker{
	"cloudio jwt, its csrf":               by((*house).cloudio, jwt, csrf),
	"cloudio jwt, bare, its csrf":         bareword(by((*house).cloudio, jwt, csrf)),
	"cloudio jwt, no csrf":                by((*house).cloudio, jwt),
	"cloudio jwt, bare, no csrf":          bareword(by((*house).cloudio, jwt)),
	"cloudio jwt, csrf of another login":  by((*house).cloudioTwice, jwt, csrf),
	"cloudio jwt, its session id as csrf": by((*house).cloudio, jwt, session),
	"cloudio jwt, its own text as csrf":   by((*house).cloudio, jwt, jwt),
	"cloudio session id":                  by((*house).cloudio, session, csrf),
	"cloudio session id, bare":            bareword(by((*house).cloudio, session, csrf)),
	"cloudio csrf":                        by((*house).cloudio, csrf, csrf),
	"cloudio csrf, bare":                  bareword(by((*house).cloudio, csrf, csrf)),
	"mikrocloud ticket":                   by((*house).ticket, ticket),
	"mikrocloud ticket, bare":             bareword(by((*house).ticket, ticket)),
	"mikrocloud ticket, spent":            by((*house).mikrocloud, ticket),
	"mikrocloud auth_token":               by((*house).mikrocloud, authToken),
	"mikrocloud auth_token, bare":         bareword(by((*house).mikrocloud, authToken)),
	"nomic jwt":                           by((*house).nomic, nomicJWT),
	"nomic jwt, bare":                     bareword(by((*house).nomic, nomicJWT)),
	"senmo access token":                  by((*house).senmo, access),
	"senmo access token, bare":            bareword(by((*house).senmo, access)),
	"senmo id token":                      by((*house).senmo, id),
	"senmo id token, bare":                bareword(by((*house).senmo, id)),
	"senmo refresh token":                 by((*house).senmo, refresh),
	"senmo refresh token, bare":           bareword(by((*house).senmo, refresh)),
	"senmo refresh token, just spent":     by((*house).refreshOnce, refresh),
	"senmo refresh token, spent long ago": by((*house).refreshTwice, refresh),
	"password":                            by((*house).senmo, func(*tokens) string { return pass }),
	"service secret":                      serviceSecret,
	"jti":                                 part(1, "jti"),
	"kid":                                 part(0, "kid"),

	"assertion about cloudio, its csrf": by(vouched((*house).cloudio), assertion, csrf),
	"assertion about mikrocloud":        by(vouched((*house).mikrocloud), assertion),
	"assertion about nomic":             by(vouched((*house).nomic), assertion),
	"assertion about senmo":             by(vouched((*house).senmo), assertion),

	"ended: cloudio jwt, its csrf": ended(by((*house).cloudio, jwt, csrf)),
	"ended: mikrocloud auth_token": ended(by((*house).mikrocloud, authToken)),
	"ended: nomic jwt":             ended(by((*house).nomic, nomicJWT)),
	"ended: senmo access token":    ended(by((*house).senmo, access)),
	"ended: senmo id token":        ended(by((*house).senmo, id)),
	"ended: senmo refresh token":   ended(by((*house).senmo, refresh)),

	"expired: cloudio jwt, its csrf": expired(30*time.Hour, by((*house).cloudio, jwt, csrf)),
	"expired: mikrocloud auth_token": expired(30*time.Hour, by((*house).mikrocloud, authToken)),
	"expired: nomic jwt":             expired(3*time.Hour, by((*house).nomic, nomicJWT)),
	"expired: senmo access token":    expired(3*time.Hour, by((*house).senmo, access)),
	"expired: senmo id token":        expired(3*time.Hour, by((*house).senmo, id)),

	"other realm: cloudio jwt, its csrf": foreign(by((*house).cloudio, jwt, csrf)),
	"other realm: mikrocloud ticket":     foreign(by((*house).ticket, ticket)),
	"other realm: mikrocloud auth_token": foreign(by((*house).mikrocloud, authToken)),
	"other realm: nomic jwt":             foreign(by((*house).nomic, nomicJWT)),
	"other realm: senmo access token":    foreign(by((*house).senmo, access)),
	"other realm: senmo id token":        foreign(by((*house).senmo, id)),
	"other realm: senmo refresh token":   foreign(by((*house).senmo, refresh)),
	"other realm: assertion":             foreign(by(vouched((*house).senmo), assertion)),
	"other realm: service secret":        foreign(serviceSecret),
}

func jwt(k *tokens) string       { return k.jwt }
func csrf(k *tokens) string      { return k.csrf }
func session(k *tokens) string   { return k.session }
func ticket(k *tokens) string    { return k.ticket }
func authToken(k *tokens) string { return k.auth }
func nomicJWT(k *tokens) string  { return k.nomic }
func id(k *tokens) string        { return k.id }
func access(k *tokens) string    { return k.access }
func refresh(k *tokens) string   { return k.refresh }
func assertion(k *tokens) string { return k.assertion }

type signer func(h *house, t *testing.T, at, name string, k *tokens)

// by signs in, and shows one of the texts that came, with another one as its csrf.
func by(sign signer, token func(*tokens) string, csrf ...func(*tokens) string) maker {
	return func(t *testing.T, h *house, at, name string) *shown {
		t.Helper()
		h.account(t, at, name)
		var k tokens
		sign(h, t, at, name, &k)
		c := &shown{token: token(&k), name: name, home: at, session: k.of}
		for _, of := range csrf {
			c.csrf = of(&k)
		}
		if k.of == "" {
			if live := k.live(); live != nil {
				a := h.ask(t, at, "GET", "/ostiary/verify", "", live...)
				c.session = a.Header.Get("Ostiary-Session")
			}
		}
		return c
	}
}

// live is an access credential of the last login.
func (k *tokens) live() []string {
	switch cmp.Or(k.jwt, k.auth, k.nomic, k.access) {
	case "":
		return nil
	case k.jwt:
		return k.bearers()["cloudio"]
	case k.auth:
		return k.bearers()["mikrocloud"]
	case k.nomic:
		return k.bearers()["nomic"]
	}
	return k.bearers()["senmo"]
}

func bareword(m maker) maker {
	return func(t *testing.T, h *house, at, name string) *shown {
		t.Helper()
		c := m(t, h, at, name)
		c.bare = true
		return c
	}
}

// cloudioTwice has the csrf of another session of the account.
func (h *house) cloudioTwice(t *testing.T, at, name string, k *tokens) {
	t.Helper()
	var other tokens
	h.cloudio(t, at, name, &other)
	h.cloudio(t, at, name, k)
	k.of, k.csrf = k.session, other.csrf
}

// refreshOnce has a spent token, whose successor nobody has used.
func (h *house) refreshOnce(t *testing.T, at, name string, k *tokens) {
	t.Helper()
	h.senmo(t, at, name, k)
	h.ask(t, at, "POST", "/v1/auth/refreshtoken", fields("refreshtoken", k.refresh)).text(t, "tokens", "refreshToken")
}

// refreshTwice has a spent token, whose successor was used.
func (h *house) refreshTwice(t *testing.T, at, name string, k *tokens) {
	t.Helper()
	h.senmo(t, at, name, k)
	next := h.ask(t, at, "POST", "/v1/auth/refreshtoken", fields("refreshtoken", k.refresh)).text(t, "tokens", "refreshToken")
	h.ask(t, at, "POST", "/v1/auth/refreshtoken", fields("refreshtoken", next)).text(t, "tokens", "refreshToken")
}

// vouched has the assertion of a login.
func vouched(sign signer) signer {
	return func(h *house, t *testing.T, at, name string, k *tokens) {
		t.Helper()
		sign(h, t, at, name, k)
		a := h.ask(t, at, "GET", "/ostiary/verify", "", k.live()...)
		if k.assertion = a.Header.Get("Ostiary-Assertion"); strings.Count(k.assertion, ".") != 2 {
			t.Fatalf("%d with the assertion %q", a.StatusCode, k.assertion)
		}
	}
}

func serviceSecret(t *testing.T, h *house, at, name string) *shown {
	t.Helper()
	return &shown{token: h.caller(t, at, name), name: name, home: at}
}

// part is a text of a JWT: of its header (0) or of its claims (1).
func part(n int, member string) maker {
	return func(t *testing.T, h *house, at, name string) *shown {
		t.Helper()
		c := by((*house).nomic, nomicJWT)(t, h, at, name)
		raw, _ := b64.DecodeString(strings.Split(c.token, ".")[n])
		var object map[string]any
		if err := json.Unmarshal(raw, &object); err != nil {
			t.Fatal(err)
		}
		c.token = object[member].(string)
		return c
	}
}

// ended ends the session.
func ended(m maker) maker {
	return func(t *testing.T, h *house, at, name string) *shown {
		t.Helper()
		c := m(t, h, at, name)
		if err := h.svc.EndSession(t.Context(), h.realms[at].ID, uuid.MustParse(c.session), "test", auth.Client{}); err != nil {
			t.Fatal(err)
		}
		return c
	}
}

// expired has it made by a node that lives in the past, where it is good.
func expired(ago time.Duration, m maker) maker {
	return func(t *testing.T, h *house, at, name string) *shown {
		t.Helper()
		return m(t, h.past[ago], at, name)
	}
}

// foreign makes it in the other realm, where an account of the same name and password is.
func foreign(m maker) maker {
	return func(t *testing.T, h *house, at, name string) *shown {
		t.Helper()
		h.account(t, at, name)
		return m(t, h, other(at), name)
	}
}

func other(at string) string {
	if at == hostOne {
		return hostTwo
	}
	return hostOne
}
