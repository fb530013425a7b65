// Package e2e_test asks a whole server: the four dialects and the surface of Ostiary's
// own, for two realms, over HTTP.
package e2e_test

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/dialect"
	"github.com/ostiary/ostiary/internal/dialect/cloudio"
	"github.com/ostiary/ostiary/internal/dialect/mikrocloud"
	"github.com/ostiary/ostiary/internal/dialect/nomic"
	"github.com/ostiary/ostiary/internal/dialect/senmo"
	"github.com/ostiary/ostiary/internal/openapi"
	"github.com/ostiary/ostiary/internal/password"
	"github.com/ostiary/ostiary/internal/seal"
	"github.com/ostiary/ostiary/internal/store"
	"github.com/ostiary/ostiary/internal/store/storetest"
	"github.com/ostiary/ostiary/internal/verify"
	"github.com/ostiary/ostiary/internal/web"
	"github.com/ostiary/ostiary/internal/web/webtest"
)

const (
	hostOne = "one.example.com" // any host but the other's
	hostTwo = "two.example.com"
	pass    = "correct horse battery"
	next    = "another horse battery"
)

// house is a server with the realms one and two, on a host each unless their mounts are
// moved. Tests name a realm's place by that host.
type house struct {
	svc    *auth.Service
	store  *store.Store
	master seal.Key
	realms map[string]auth.Realm // by place
	at     map[string]auth.Mount // where a place's mounts are
	staff  map[string]staff      // by place
	past   map[time.Duration]*house
	url    string
	faulty bool              // 5xx is what the test expects
	by     http.RoundTripper // how requests are sent; nil: as usual
}

// staff is a service account that may introspect and revoke, and a person's live token.
type staff struct{ secret, token, session string }

const gateway = "gateway" // the service account

var all = []dialect.Dialect{cloudio.Dialect(), mikrocloud.Dialect(), nomic.Dialect(), senmo.Dialect()}

func open(t *testing.T, change ...func(*auth.Options)) *house {
	t.Helper()
	s, err := store.Create(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return openOn(t, s, change...)
}

// openOn is open on a new store, which ends with the test.
func openOn(t *testing.T, s *store.Store, change ...func(*auth.Options)) *house {
	t.Helper()
	t.Cleanup(func() { s.Close() })
	ctx := context.Background()
	h := &house{store: s, master: seal.New(), realms: map[string]auth.Realm{}, at: map[string]auth.Mount{}, staff: map[string]staff{}}
	log := slog.New(slog.DiscardHandler)
	o := auth.Options{
		Store: storetest.Twice{Store: h.store}, Master: h.master, Hasher: password.New(0, time.Minute), Log: log,
		Dialects: dialect.Rules(all), Budgets: &auth.Budgets{},
	}
	h.svc = auth.New(o)
	for host, name := range map[string]string{hostOne: "one", hostTwo: "two"} {
		realm, err := h.svc.CreateRealm(ctx, name, auth.Client{})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.svc.EnsureKey(ctx, realm.ID, auth.AssertionAlgorithm, auth.Client{}); err != nil {
			t.Fatal(err)
		}
		h.realms[host] = realm
		for _, d := range all {
			m := d.Defaults
			m.Realm, m.RealmID = name, realm.ID
			if host == hostTwo {
				m.Host = host
			}
			if d.Issuer != nil {
				m.Issuer = d.Issuer(name)
			}
			o.Mounts = append(o.Mounts, &m)
		}
	}
	for _, c := range change {
		c(&o)
	}
	for _, m := range o.Mounts {
		for host, realm := range h.realms {
			if realm.ID == m.RealmID {
				h.at[host] = auth.Mount{Host: cmp.Or(m.Host, host), Prefix: m.Prefix}
			}
		}
	}
	h.start(t, o)
	return h
}

// start starts a server.
func (h *house) start(t *testing.T, o auth.Options) {
	t.Helper()
	h.svc = auth.New(o)
	for _, m := range o.Mounts {
		if m.Algorithm == "" {
			continue
		}
		if err := h.svc.EnsureKey(t.Context(), m.RealmID, m.Algorithm, auth.Client{}); err != nil {
			t.Fatal(err)
		}
	}
	places, err := verify.Places(o.Mounts)
	if err != nil {
		t.Fatal(err)
	}
	routes := append(verify.HealthRoutes(h.svc.Ready), dialect.Routes(h.svc, o.Mounts, all)...)
	for _, p := range places {
		routes = append(routes, verify.Routes(h.svc, p.Host, p.Prefix, p.Realm, p.RealmID)...)
		routes = append(routes, openapi.Route(p.Host, p.Prefix, o.Mounts))
	}
	h.url = "http://" + webtest.Serve(t, o.Log, routes, web.Options{Timeout: 5 * time.Minute})
}

// remember adds nodes on the same store whose clocks are slow.
func (h *house) remember(t *testing.T, o auth.Options, agos ...time.Duration) {
	t.Helper()
	h.past = map[time.Duration]*house{}
	for _, ago := range agos {
		node := *h
		o.Now = func() time.Time { return time.Now().Add(-ago) }
		node.start(t, o)
		for _, realm := range h.realms {
			if err := node.svc.EnsureKey(t.Context(), realm.ID, auth.AssertionAlgorithm, auth.Client{}); err != nil {
				t.Fatal(err)
			}
		}
		h.past[ago] = &node
	}
}

// hire makes the staff of each place, which some slots need.
func (h *house) hire(t *testing.T) {
	t.Helper()
	for at := range h.realms {
		s := staff{secret: h.caller(t, at, gateway)}
		h.account(t, at, "control")
		var k tokens
		h.mikrocloud(t, at, "control", &k)
		s.token = k.auth
		s.session = h.ask(t, at, "GET", "/ostiary/verify", "", k.live()...).Header.Get("Ostiary-Session")
		h.staff[at] = s
	}
}

// caller makes a service account that may introspect and revoke, and returns its secret.
func (h *house) caller(t *testing.T, host, name string) string {
	t.Helper()
	_, secret, err := h.svc.CreateAccount(t.Context(), h.realms[host].ID, auth.NewAccount{
		Username: name, Kind: auth.KindService, Roles: []string{auth.RoleIntrospect, auth.RoleRevoke},
	}, auth.Client{})
	if err != nil {
		t.Fatal(err)
	}
	return string(secret)
}

func (h *house) account(t *testing.T, host, name string) uuid.UUID {
	t.Helper()
	a, _, err := h.svc.CreateAccount(t.Context(), h.realms[host].ID, auth.NewAccount{
		Username: name, Email: name + "@example.com", Password: pass,
	}, auth.Client{})
	if err != nil {
		t.Fatal(err)
	}
	return a.ID
}

// answer is one that was read to its end.
type answer struct {
	*http.Response
	body string
}

// ask sends a request; headers are "Name: value" and may repeat.
func (h *house) ask(t *testing.T, host, method, path, body string, headers ...string) answer {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	at, moved := h.at[host]
	if path == "/ostiary/healthz" || path == "/ostiary/readyz" { // which are about the process
		at.Prefix = ""
	}
	r, err := http.NewRequestWithContext(t.Context(), method, h.url+at.Prefix+path, reader)
	if err != nil {
		t.Fatal(err)
	}
	if r.Host = host; moved {
		r.Host = at.Host
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Add(name, value)
	}
	response, err := cmp.Or(h.by, http.DefaultTransport).RoundTrip(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode >= 500 && !h.faulty {
		t.Errorf("%s %s %.200q: %d %s", method, path, headers, response.StatusCode, text)
	}
	return answer{response, string(text)}
}

// text is a member of the answer, by its path.
func (a answer) text(t *testing.T, path ...string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil || a.StatusCode != http.StatusOK {
		t.Fatalf("%d %s: %v", a.StatusCode, a.body, err)
	}
	for _, name := range path {
		object, _ := v.(map[string]any)
		v = object[name]
	}
	s, ok := v.(string)
	if !ok {
		t.Fatalf("%v in %s", path, a.body)
	}
	return s
}

func basic(name, word string) string {
	return base64.StdEncoding.EncodeToString([]byte(name + ":" + word))
}

// tokens is what one login of each dialect gives.
type tokens struct {
	session, csrf, jwt  string // cloudio
	ticket, auth        string // mikrocloud: the ticket is spent
	nomic               string
	id, access, refresh string // senmo
	assertion           string // about one of them
	of                  string // session; only if the tokens do not say
}

func (h *house) cloudio(t *testing.T, host, name string, k *tokens) {
	t.Helper()
	a := h.ask(t, host, "POST", "/v1/auth", "", "Authorization: Token "+basic(name, pass))
	k.session, k.csrf, k.jwt = a.text(t, "sessionId"), a.text(t, "csrf"), a.text(t, "jwt")
}

func (h *house) ticket(t *testing.T, host, name string, k *tokens) {
	t.Helper()
	k.ticket = h.ask(t, host, "POST", "/user/login", `{"email":"`+name+`","password":"`+pass+`"}`).text(t, "token")
}

func (h *house) mikrocloud(t *testing.T, host, name string, k *tokens) {
	t.Helper()
	h.ticket(t, host, name, k)
	k.auth = h.ask(t, host, "POST", "/user/passport", `{"totp":null,"token":"`+k.ticket+`"}`).text(t, "auth_token")
}

func (h *house) nomic(t *testing.T, host, name string, k *tokens) {
	t.Helper()
	k.nomic = h.ask(t, host, "POST", "/api/auth/token", "", "Authorization: Basic "+basic(name, pass)).text(t, "token")
}

func (h *house) senmo(t *testing.T, host, name string, k *tokens) {
	t.Helper()
	a := h.ask(t, host, "POST", "/v1/auth", `{"username":"`+name+`","password":"`+pass+`"}`)
	k.id, k.access, k.refresh = a.text(t, "tokens", "idToken"), a.text(t, "tokens", "accessToken"), a.text(t, "tokens", "refreshToken")
}

// all signs in by every dialect.
func (h *house) all(t *testing.T, host, name string) *tokens {
	t.Helper()
	k := new(tokens)
	h.cloudio(t, host, name, k)
	h.mikrocloud(t, host, name, k)
	h.nomic(t, host, name, k)
	h.senmo(t, host, name, k)
	return k
}

// bearers are the headers of each access credential.
func (k *tokens) bearers() map[string][]string {
	return map[string][]string{
		"cloudio":       {"Authorization: Bearer " + k.jwt, "X-CSRF-Token: " + k.csrf},
		"cloudio, bare": {"Authorization: " + k.jwt, "X-CSRF-Token: " + k.csrf},
		"mikrocloud":    {"Authorization: Bearer " + k.auth},
		"nomic":         {"Authorization: Bearer " + k.nomic},
		"senmo":         {"Authorization: Bearer " + k.access},
	}
}
