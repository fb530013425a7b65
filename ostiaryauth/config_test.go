package ostiaryauth

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

// What is not sure to mean what it says is refused, by name.
func TestNew_Mistakes(t *testing.T) {
	good := func() Config {
		return Config{
			URL: "https://login.example.com", Accept: allKinds(), Introspection: &Introspection{Name: service, Secret: secret},
		}
	}
	if _, err := New(good()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what   string
		change func(*Config)
		reason string // empty for none
	}{
		{"nothing", func(c *Config) { *c = Config{} }, "nothing is in Accept"},
		{"nothing, the URL too", func(c *Config) { *c = Config{} }, "URL must be Ostiary's"},
		{"no kinds", func(c *Config) { c.Accept = []Credential{} }, "nothing is in Accept"},
		{"a nil", func(c *Config) { c.Accept = append(c.Accept, nil) }, "a nil is in Accept"},
		{"no scheme", func(c *Config) { c.URL = "login.example.com" }, "URL"},
		{"no host", func(c *Config) { c.URL = "https:///x" }, "URL"},
		{"another scheme", func(c *Config) { c.URL = "ftp://login.example.com" }, "URL"},
		{"a query", func(c *Config) { c.URL += "?realm=x" }, "URL"},
		{"an empty query", func(c *Config) { c.URL += "?" }, "URL"},
		{"a fragment", func(c *Config) { c.URL += "#x" }, "URL"},
		{"a password", func(c *Config) { c.URL = "https://a:b@login.example.com" }, "URL"},
		{"http", func(c *Config) { c.URL = "http://login.example.com" }, "https"},
		{"http by name", func(c *Config) { c.URL = "http://localhost.example.com" }, "https"},
		{"http, allowed", func(c *Config) { c.URL, c.AllowHTTP = "http://login.example.com", true }, ""},
		{"http here", func(c *Config) { c.URL = "http://127.0.0.1:8080" }, ""},
		{"http here, IPv6", func(c *Config) { c.URL = "http://[::1]:8080/prefix/" }, ""},
		{"http here, by name", func(c *Config) { c.URL = "http://localhost:8080" }, ""},
		{"senmo without an issuer", func(c *Config) { c.Accept = []Credential{Senmo{Audience: "ostiary"}} }, "Senmo needs"},
		{"senmo without an audience", func(c *Config) { c.Accept = []Credential{Senmo{Issuer: senmoIs}} }, "Senmo needs"},
		{"nomic without an issuer", func(c *Config) { c.Accept = []Credential{Nomic{Audience: "x"}} }, "Nomic needs"},
		{"nomic without an audience", func(c *Config) { c.Accept = []Credential{Nomic{Issuer: nomicIs}} }, ""},
		{"cloudio without an issuer", func(c *Config) { c.Accept = []Credential{Cloudio{}} }, "Cloudio needs"},
		{"mikrocloud without introspection", func(c *Config) { c.Introspection = nil }, "Mikrocloud needs"},
		{"jwts without introspection", func(c *Config) { c.Accept, c.Introspection = allKinds()[2:], nil }, ""},
		{"introspection of nobody", func(c *Config) { c.Introspection = &Introspection{} }, "Introspection needs"},
		{"introspection without a secret", func(c *Config) { c.Introspection.Secret = "" }, "Introspection needs"},
		{"introspection by a name with a colon", func(c *Config) { c.Introspection.Name = "a:b" }, `Introspection.Name is bad: "a:b"`},
		{"a name with the end of its line", func(c *Config) { c.Introspection.Name += "\r\n" }, "Introspection.Name is bad"},
		{"a name with a space before it", func(c *Config) { c.Introspection.Name = " " + service }, "Introspection.Name is bad"},
		{"a secret with the end of its line", func(c *Config) { c.Introspection.Secret += "\n" }, "Introspection.Secret is bad"},
		{"a secret with a space", func(c *Config) { c.Introspection.Secret += " " }, "Introspection.Secret is bad"},
		{"a secret with a NUL", func(c *Config) { c.Introspection.Secret = "a\x00b" }, "Introspection.Secret is bad"},
		{"the URL of the keys", func(c *Config) { c.URL += "/.well-known/jwks.json" }, "URL must be where"},
		{"the URL of a document", func(c *Config) { c.URL += "/keys.json/" }, "URL must be where"},
		{"the URL of introspection", func(c *Config) { c.URL += "/prefix/ostiary/introspect" }, "URL must be where"},
		{"a prefix like ours", func(c *Config) { c.URL += "/ostiary-eu/v1/" }, ""},
		{"a nil pointer", func(c *Config) { c.Accept = append(c.Accept, (*Senmo)(nil)) }, "a nil is in Accept"},
		{"the same twice", func(c *Config) { c.Accept = append(c.Accept, Cloudio{Issuer: cloudioIs}) }, `"} is twice in Accept`},
		{"the same twice, by a pointer", func(c *Config) { c.Accept = append(c.Accept, &Mikrocloud{}) }, "is twice in Accept"},
		{"two audiences of an issuer", func(c *Config) { c.Accept = append(c.Accept, Senmo{senmoIs, "other"}) }, ""},
		{"answers kept too long", func(c *Config) { c.Introspection.CacheFor = MaxCacheFor + 1 }, "at most"},
		{"an assertion", asserted, ""},
		{"a pointer to one", func(c *Config) { asserted(c); c.Accept = []Credential{&Assertion{realm, "x"}} }, ""},
		{"an assertion beside tokens", func(c *Config) { c.Accept = append(c.Accept, &Assertion{realm, "x"}) }, "alone"},
		{"an assertion with introspection", func(c *Config) { i := c.Introspection; asserted(c); c.Introspection = i }, "without Introspection"},
		{"an assertion without a realm", func(c *Config) { asserted(c); c.Accept = []Credential{Assertion{Audience: "x"}} }, "Assertion needs"},
		{"an assertion without an audience", func(c *Config) { asserted(c); c.Accept = []Credential{Assertion{Realm: realm}} }, "Assertion needs"},
		{"an assertion of an issuer", func(c *Config) { asserted(c); c.Accept = []Credential{Assertion{"urn:ostiary:default", "x"}} }, `Assertion.Realm is bad: "urn:ostiary:default"`},
	} {
		k := good()
		c.change(&k)
		v, err := New(k)
		switch {
		case (err == nil) != (c.reason == "") || (v == nil) != (err != nil):
			t.Errorf("%s: %v, %v", c.what, v, err)
		case err != nil && (!strings.Contains(err.Error(), c.reason) || strings.Contains(err.Error(), secret)):
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

// A change of the slice that was given changes nothing.
func TestNew_KeepsItsOwn(t *testing.T) {
	p := newPeer(t)
	c := p.config()
	v, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	c.Accept[2] = Nomic{Issuer: "urn:ostiary:other:nomic"}
	if _, err := verify(v, "Authorization: Bearer "+p.key["EdDSA"].sign(t, "JWT", nomicClaims())); err != nil {
		t.Error(err)
	}
}

// The client that was given is used, and stays as it is, but for its Timeout; below a prefix, so is that.
func TestNew_Client(t *testing.T) {
	p := newPeer(t)
	prefixed := serve(t, http.StripPrefix("/realm", p))
	given := &http.Client{Timeout: time.Nanosecond}
	v := p.verifier(t, func(c *Config) { c.Client, c.URL = given, prefixed+"/realm/" })
	if err := v.Ready(t.Context()); err != nil || given.CheckRedirect != nil || given.Timeout != time.Nanosecond {
		t.Errorf("%v, %+v", err, given)
	}
}

func TestRequire(t *testing.T) {
	p := newPeer(t)
	v := p.verifier(t)
	token := "Authorization: Bearer " + p.opaque(mikrocloudAnswer()) // roles analyst and reader, datasource sales
	done := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	for what, c := range map[string]struct {
		require func(http.Handler) http.Handler
		status  int
	}{
		"a role":                   {RequireRole("analyst"), 204},
		"both roles":               {RequireRole("reader", "analyst"), 204},
		"one role of two":          {RequireRole("analyst", "admin"), 403},
		"another role":             {RequireRole("admin"), 403},
		"another case":             {RequireRole("Analyst"), 403},
		"part of a name":           {RequireRole("analys"), 403},
		"a datasource":             {RequireDatasource("sales"), 204},
		"one datasource of two":    {RequireDatasource("sales", "hr"), 403},
		"a role as a datasource":   {RequireDatasource("analyst"), 403},
		"a role and a datasource":  {func(h http.Handler) http.Handler { return RequireRole("analyst")(RequireDatasource("sales")(h)) }, 204},
		"a role and no datasource": {func(h http.Handler) http.Handler { return RequireRole("analyst")(RequireDatasource("hr")(h)) }, 403},
	} {
		url := serve(t, v.Handler(c.require(done)))
		a := get(t, url, token)
		if a.StatusCode != c.status {
			t.Errorf("%s: %d %s", what, a.StatusCode, a.body)
		}
		if a.StatusCode == 403 && (a.Header.Get("WWW-Authenticate") != `Bearer realm="ostiary", error="insufficient_scope"` ||
			a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Content-Type") != "application/problem+json") {
			t.Errorf("%s: %v", what, a.Header)
		}
		if a := get(t, url); a.StatusCode != 401 {
			t.Errorf("%s, without a token: %d", what, a.StatusCode)
		}
		// Without a Handler before it, nobody comes through.
		if a := get(t, serve(t, c.require(done)), token); a.StatusCode != 500 {
			t.Errorf("%s, without a Handler: %d", what, a.StatusCode)
		}
	}
}

func TestRequire_NamesThatCannotBe(t *testing.T) {
	for _, names := range [][]string{nil, {""}, {"a", ""}, {"a b"}, {"a,b"}, {"é"}, {strings.Repeat("a", 65)}, {"a\n"}} {
		for what, require := range map[string]func(...string) func(http.Handler) http.Handler{"role": RequireRole, "datasource": RequireDatasource} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s %q can be required", what, names)
					}
				}()
				require(names...)
			}()
		}
	}
}

// A handler that is not there is a mistake of the set-up, not of the first request.
func TestHandler_Nil(t *testing.T) {
	v := newPeer(t).verifier(t)
	for what, wrap := range map[string]func(http.Handler) http.Handler{
		"Handler": v.Handler, "RequireRole": RequireRole("analyst"), "RequireDatasource": RequireDatasource("sales"),
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s takes nil", what)
				}
			}()
			wrap(nil)
		}()
	}
}

// Nobody is nothing.
func TestIdentity_Nil(t *testing.T) {
	var i *Identity
	if i.HasRole("a") || i.HasDatasource("a") {
		t.Error("nobody has something")
	}
	got, ok := FromContext(t.Context())
	if got != nil || ok {
		t.Errorf("%+v", got)
	}
}

// What claims can change, a clone has of its own: a new field must not be forgotten.
func TestIdentity_Clone(t *testing.T) {
	i := &Identity{Roles: []string{"a"}, Datasources: []string{"b"}, AMR: []string{"c"}, Omitted: []string{"d"}}
	c := i.clone()
	if !reflect.DeepEqual(i, c) {
		t.Errorf("%+v", c)
	}
	a, b := reflect.ValueOf(*i), reflect.ValueOf(*c)
	for n := range a.NumField() {
		if f := a.Field(n); f.Kind() == reflect.Slice && (f.Len() == 0 || f.Pointer() == b.Field(n).Pointer()) {
			t.Errorf("%s is shared, or not in this test", a.Type().Field(n).Name)
		}
	}
}
