package e2e_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// shown is a credential, and how it is presented.
type shown struct {
	token, csrf string
	bare        bool   // "Authorization: <token>", without a scheme
	name        string // of its account
	home        string // the place that it is of
	session     string // that it belongs to; may be empty
}

func (c *shown) headers() []string {
	list := []string{"Authorization: Bearer " + c.token}
	if c.bare {
		list[0] = "Authorization: " + c.token
	}
	if c.csrf != "" {
		list = append(list, "X-CSRF-Token: "+c.csrf)
	}
	return list
}

// slot is a place in a request where some credential is taken.
type slot struct {
	name       string
	open, shut string // what outcome says
	once       bool   // who was let in can't come in again as before
	ends       bool   // and so does the session
	asks       bool   // the store is asked whatever the credential is
	ask        func(t *testing.T, h *house, at string, c *shown) answer
}

// outcome is an answer in short: its status, and whether introspection calls the token alive.
func outcome(a answer) string {
	status := strconv.Itoa(a.StatusCode)
	switch {
	case a.StatusCode != http.StatusOK || !strings.HasSuffix(a.Request.URL.Path, "/ostiary/introspect"):
		return status
	case a.body == `{"active":false}`:
		return "dead"
	case strings.HasPrefix(a.body, `{"active":true,`):
		return "active"
	}
	return status + " " + a.body
}

// slots are the columns of matrix, group by group.
var slots = []slot{
	bearer("verify", "GET", "/ostiary/verify", "200"),
	bearer("verify by POST", "POST", "/ostiary/verify", "200"),
	bearer("verify below", "DELETE", "/ostiary/verify/some/path?role=x", "200"),
	bearer("whoami", "GET", "/ostiary/whoami", "200"),
	bearer("sessions", "GET", "/ostiary/sessions", "200"),
	{name: "end one session", open: "204", shut: "401", once: true, ends: true, ask: endOne},
	ending(bearer("end all sessions", "DELETE", "/ostiary/sessions", "204")),
	{name: "password", open: "204", shut: "401", once: true, ask: changePassword},
	ending(bearer("logout", "POST", "/ostiary/logout", "204")),

	{name: "verify, anywhere but in the header", open: "200", shut: "401", ask: elsewhere},

	told("introspect", "/ostiary/introspect", "active", "dead", func(*shown) url.Values { return url.Values{} }),
	told("introspect with the csrf", "/ostiary/introspect", "active", "dead", func(c *shown) url.Values { return url.Values{"csrf": {c.csrf}} }),
	ending(told("revoke", "/ostiary/revoke", "200", "200", func(*shown) url.Values { return url.Values{"token_type_hint": {"access_token"}} })),

	asker("introspect as the caller", "/ostiary/introspect", "active", "Basic"),
	asker("revoke as the caller", "/ostiary/revoke", "200", "Basic"),
	asker("introspect as a Bearer", "/ostiary/introspect", "active", "Bearer"),
	asker("revoke as a Bearer", "/ostiary/revoke", "200", "Bearer"),

	{name: "renew", open: "200", shut: "403", ask: func(t *testing.T, h *house, at string, c *shown) answer {
		return h.ask(t, at, "POST", "/api/auth/token", "", c.headers()...)
	}},
	{name: "refresh", open: "200", shut: "400", once: true, ask: func(t *testing.T, h *house, at string, c *shown) answer {
		return h.ask(t, at, "POST", "/v1/auth/refreshtoken", fields("refreshtoken", c.token))
	}},
	{name: "passport", open: "200", shut: "401", once: true, ask: func(t *testing.T, h *house, at string, c *shown) answer {
		return h.ask(t, at, "POST", "/user/passport", fields("token", c.token, "totp", ""))
	}},

	login("cloudio, as the password", "/v1/auth", "403", true, func(c *shown) (body, header string) {
		return "", "Authorization: Token " + basic(c.name, c.token)
	}),
	login("cloudio, as the credential", "/v1/auth", "403", false, func(c *shown) (body, header string) {
		return "", "Authentication: Token " + c.token
	}),
	login("nomic, as the password", "/api/auth/token", "403", true, func(c *shown) (body, header string) {
		return "", "Authorization: Basic " + basic(c.name, c.token)
	}),
	login("nomic, as the credential", "/api/auth/token", "403", false, func(c *shown) (body, header string) {
		return "", "Authorization: Basic " + c.token
	}),
	login("mikrocloud, as the password", "/user/login", "401", true, func(c *shown) (body, header string) {
		return fields("email", c.name, "password", c.token), ""
	}),
	login("senmo, as the password", "/v1/auth", "400", true, func(c *shown) (body, header string) {
		return fields("username", c.name, "password", c.token), ""
	}),
	login("senmo, as the name", "/v1/auth", "400", false, func(c *shown) (body, header string) {
		return fields("username", c.token, "password", pass), ""
	}),
	login("senmo, in the header", "/v1/auth", "400", false, func(c *shown) (body, header string) {
		return "{}", c.headers()[0]
	}),
	login("mikrocloud, in the header", "/user/login", "400", false, func(c *shown) (body, header string) {
		return "{}", c.headers()[0]
	}),

	bearer("healthz", "GET", "/ostiary/healthz", "200"),
	bearer("readyz", "GET", "/ostiary/readyz", "200"),
	bearer("jwks", "GET", "/.well-known/jwks.json", "200"),
	bearer("openapi", "GET", "/ostiary/openapi.json", "200"),
}

// forAnyone tells whether a slot looks at no credential.
func (d slot) forAnyone() bool {
	return d.name == "healthz" || d.name == "readyz" || d.name == "jwks" || d.name == "openapi"
}

// slotsOf are slots by their names.
func slotsOf(names ...string) (some []slot) {
	for _, name := range names {
		for _, d := range slots {
			if d.name == name {
				some = append(some, d)
			}
		}
	}
	return some
}

// fields is a JSON object of texts: name, value, name, value.
func fields(pairs ...string) string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	text, _ := json.Marshal(m)
	return string(text)
}

func bearer(name, method, path, open string) slot {
	return slot{name: name, open: open, shut: "401", ask: func(t *testing.T, h *house, at string, c *shown) answer {
		return h.ask(t, at, method, path, "", c.headers()...)
	}}
}

func ending(d slot) slot {
	d.once, d.ends = true, true
	return d
}

func endOne(t *testing.T, h *house, at string, c *shown) answer {
	session := c.session
	if session == "" {
		session = h.staff[at].session
	}
	return h.ask(t, at, "DELETE", "/ostiary/sessions/"+session, "", c.headers()...)
}

func changePassword(t *testing.T, h *house, at string, c *shown) answer {
	return h.ask(t, at, "POST", "/ostiary/password", fields("current", pass, "new", next), c.headers()...)
}

// elsewhere sends a token in every place that is none for it.
func elsewhere(t *testing.T, h *house, at string, c *shown) answer {
	q := url.QueryEscape(c.token)
	return h.ask(t, at, "POST", "/ostiary/verify?access_token="+q+"&token="+q, "access_token="+q, "Content-Type: application/x-www-form-urlencoded",
		"Cookie: token="+q+"; jwt="+q+"; auth_token="+q+"; session="+q, "Authentication: Bearer "+c.token, "Proxy-Authorization: Bearer "+c.token,
		"Ostiary-Assertion: "+c.token, "Ostiary-Session: "+c.token, "X-Auth-Token: "+c.token, "X-Session-Id: "+c.token, "X-CSRF-Token: "+c.csrf)
}

const form = "Content-Type: application/x-www-form-urlencoded"

// told has a service account of the place ask about a token.
func told(name, path, open, shut string, more func(*shown) url.Values) slot {
	return slot{name: name, open: open, shut: shut, asks: true, ask: func(t *testing.T, h *house, at string, c *shown) answer {
		values := more(c)
		values.Set("token", c.token)
		return h.ask(t, at, "POST", path, values.Encode(), form, "Authorization: Basic "+basic(gateway, h.staff[at].secret))
	}}
}

// asker asks about another token, and presents this one as its own credential.
func asker(name, path, open, scheme string) slot {
	return slot{name: name, open: open, shut: "401", ask: func(t *testing.T, h *house, at string, c *shown) answer {
		header := "Authorization: " + scheme + " " + c.token
		if scheme == "Basic" {
			header = "Authorization: Basic " + basic(c.name, c.token)
		}
		about := "nobody's"
		if open == "active" {
			about = h.staff[at].token
		}
		return h.ask(t, at, "POST", path, url.Values{"token": {about}}.Encode(), form, header)
	}}
}

func login(name, path, shut string, asks bool, put func(c *shown) (body, header string)) slot {
	return slot{name: name, open: "200", shut: shut, asks: asks, ask: func(t *testing.T, h *house, at string, c *shown) answer {
		body, header := put(c)
		if header == "" {
			return h.ask(t, at, "POST", path, body)
		}
		return h.ask(t, at, "POST", path, body, header)
	}}
}
