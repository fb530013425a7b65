package e2e_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/keyring"
	"github.com/ostiary/ostiary/ostiaryauth"
)

// at sends all requests to the realm of a host.
type at string

func (host at) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Host = string(host)
	return http.DefaultTransport.RoundTrip(r)
}

// resource is a resource server of a realm, which answers with the identity.
type resource struct {
	url   string
	later atomic.Int64 // what its clock is ahead
}

func (h *house) resource(t *testing.T, host string, change func(*ostiaryauth.Config)) *resource {
	t.Helper()
	realm := h.realms[host].Name
	s := new(resource)
	c := ostiaryauth.Config{
		URL: h.url, Client: &http.Client{Transport: at(host)},
		Accept: []ostiaryauth.Credential{
			ostiaryauth.Cloudio{Issuer: "urn:ostiary:" + realm + ":cloudio"}, ostiaryauth.Mikrocloud{},
			ostiaryauth.Nomic{Issuer: "NomicGameManager.Api"}, ostiaryauth.Senmo{Issuer: "urn:ostiary:" + realm + ":senmo", Audience: "ostiary"},
		},
		Introspection: &ostiaryauth.Introspection{Name: "reports"},
		Now:           func() time.Time { return time.Now().Add(time.Duration(s.later.Load())) },
	}
	if change != nil {
		change(&c)
	}
	if c.Introspection != nil {
		c.Introspection.Secret = ostiaryauth.Secret(h.service(t, host))
	}
	v, err := ostiaryauth.New(c)
	if err == nil {
		err = v.Ready(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(v.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i, _ := ostiaryauth.FromContext(r.Context())
		_ = json.NewEncoder(w).Encode(i)
	})))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// service is the secret of a new service account that may introspect.
func (h *house) service(t *testing.T, host string) string {
	t.Helper()
	_, secret, err := h.svc.CreateAccount(t.Context(), h.realms[host].ID, auth.NewAccount{
		Username: "reports", Kind: auth.KindService, Roles: []string{auth.RoleIntrospect},
	}, auth.Client{})
	if err != nil {
		t.Fatal(err)
	}
	return string(secret)
}

// assertions accepts them alone.
func (h *house) assertions(host string) func(*ostiaryauth.Config) {
	realm := h.realms[host].Name
	return func(c *ostiaryauth.Config) {
		c.Accept = []ostiaryauth.Credential{ostiaryauth.Assertion{Realm: realm, Audience: "urn:ostiary:" + realm}}
		c.Introspection = nil
	}
}

func always(c *ostiaryauth.Config) { c.Introspection.Always = true }

func (s *resource) ask(t *testing.T, headers ...string) (int, ostiaryauth.Identity) {
	t.Helper()
	a := (&house{url: s.url}).ask(t, "resource.example.com", "GET", "/", "", headers...)
	var i ostiaryauth.Identity
	if err := json.Unmarshal([]byte(a.body), &i); err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, i
}

// What verify lets in by matrix, a resource server does; but it hears of the end of a JWT's
// session only if it asks.
func TestThreat30_KindsAtAResourceServer(t *testing.T) {
	h := openWorld(t, "default", nil)
	rows := rows(t)
	behind, foreign := h.resource(t, hostOne, h.assertions(hostOne)), h.resource(t, hostTwo, nil)
	direct := h.resource(t, hostOne, nil)
	eachKind(t, func(t *testing.T, kind, name string) {
		c := credentials[kind](t, h, hostOne, name)
		headers := append(c.headers(), "X-CSRF-Token: "+c.csrf)[:2]
		want := 401
		if rows[kind][0] == 'o' || strings.HasPrefix(kind, "ended: ") && strings.Contains(kind, "jwt") || kind == "ended: senmo access token" {
			want = 200
		}
		if status, i := direct.ask(t, headers...); status != want {
			t.Errorf("%d %+v, want %d", status, i, want)
		}
		if status, i := foreign.ask(t, headers...); status != 401 && c.home == hostOne {
			t.Errorf("at another realm: %d %+v", status, i)
		}
		want = 401
		if strings.HasPrefix(kind, "assertion about ") {
			want = 200
		}
		if status, i := behind.ask(t, "Ostiary-Assertion: "+c.token, headers[0], headers[1]); status != want {
			t.Errorf("as an assertion: %d %+v, want %d", status, i, want)
		}
	})
}

// What a resource server sees is what the server says of the same credential.
func TestResourceServer_Identity(t *testing.T) {
	h := open(t)
	ctx, realm, ada := t.Context(), h.realms[hostOne].ID, h.account(t, hostOne, "ada")
	for _, err := range []error{
		h.svc.CreateRole(ctx, realm, "analyst", auth.Client{}), h.svc.CreateDatasource(ctx, realm, "sales", auth.Client{}),
		h.svc.GrantDatasource(ctx, realm, "analyst", "sales", auth.Client{}), h.svc.AddRole(ctx, realm, ada, "analyst", auth.Client{}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	asking := h.resource(t, hostOne, always)
	behind, foreign := h.resource(t, hostOne, h.assertions(hostOne)), h.resource(t, hostTwo, h.assertions(hostTwo))
	for name, headers := range h.all(t, hostOne, "ada").bearers() {
		var want ostiaryauth.Identity
		whoami := h.ask(t, hostOne, "GET", "/ostiary/whoami", "", headers...)
		var times struct {
			AuthTime int64 `json:"auth_time"`
		}
		if err := json.Unmarshal([]byte(whoami.body), &times); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(strings.Replace(whoami.body, "auth_time", "x", 1)), &want); err != nil {
			t.Fatal(err)
		}
		want.AuthTime = time.Unix(times.AuthTime, 0).UTC()
		status, got := asking.ask(t, headers...)
		got.Issuer = ""
		if status != 200 || !reflect.DeepEqual(got, want) || !got.HasRole("analyst") || !got.HasDatasource("sales") {
			t.Errorf("%s, introspected: %d %+v, want %+v", name, status, got, want)
		}
		assertion := "Ostiary-Assertion: " + h.ask(t, hostOne, "GET", "/ostiary/verify", "", headers...).Header.Get("Ostiary-Assertion")
		status, got = behind.ask(t, assertion)
		got.Email = want.Email // which an assertion does not have
		if issuer := "urn:ostiary:one:" + got.Dialect; status != 200 || got.Issuer != issuer {
			t.Errorf("%s, asserted: %d %+v", name, status, got)
		}
		if got.Issuer = ""; !reflect.DeepEqual(got, want) {
			t.Errorf("%s, asserted: %+v, want %+v", name, got, want)
		}
		for what, s := range map[string]*resource{"another realm's": foreign, "a direct": asking} {
			if status, i := s.ask(t, assertion); status != 401 {
				t.Errorf("%s, an assertion at %s server: %d %+v", name, what, status, i)
			}
		}
		if status, i := asking.ask(t, strings.Replace(assertion, "Ostiary-Assertion: ", "Authorization: Bearer ", 1)); status != 401 {
			t.Errorf("%s, an assertion as Bearer: %d %+v", name, status, i)
		}
	}
}

// The end of a session, and a lost role, show when the answer about the token is forgotten.
func TestThreat40_LagOfAResourceServer(t *testing.T) {
	h := open(t)
	ctx, realm, ada := t.Context(), h.realms[hostOne].ID, h.account(t, hostOne, "ada")
	if err := h.svc.CreateRole(ctx, realm, "analyst", auth.Client{}); err != nil {
		t.Fatal(err)
	}
	if err := h.svc.AddRole(ctx, realm, ada, "analyst", auth.Client{}); err != nil {
		t.Fatal(err)
	}
	s := h.resource(t, hostOne, always)
	bearers := h.all(t, hostOne, "ada").bearers()
	each := func(what string, want int, role bool) {
		t.Helper()
		for name, headers := range bearers {
			if status, i := s.ask(t, headers...); status != want || i.HasRole("analyst") != role {
				t.Errorf("%s, %s: %d %+v", what, name, status, i)
			}
		}
	}
	each("at first", 200, true)
	if err := h.svc.RemoveRole(ctx, realm, ada, "analyst", auth.Client{}); err != nil {
		t.Fatal(err)
	}
	s.later.Add(int64(2 * time.Second))
	each("without the role", 200, false)
	if err := h.svc.SetDisabled(ctx, realm, ada, true, auth.Client{}); err != nil {
		t.Fatal(err)
	}
	s.later.Add(int64(2 * time.Second))
	each("disabled", 401, false)
	// A store that is away is no reason to send anybody to the login.
	h.store.Close()
	for name, headers := range bearers {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, header := range headers {
			name, value, _ := strings.Cut(header, ": ")
			r.Header.Add(name, value)
		}
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
			t.Errorf("%s without a store: %d %v", name, a.StatusCode, a.Header)
		}
	}
}

// Three scheduled rotations: a resource server that keeps the keys refuses no token that lives. Then a key is
// withdrawn, and what it signed is refused.
func TestThreat34_RotationsAtAResourceServer(t *testing.T) {
	r := openRotating(t)
	r.account(t, hostOne, "ada")
	clock := func(c *ostiaryauth.Config) { c.Now = func() time.Time { return *r.now.Load() } }
	direct := r.resource(t, hostOne, clock)
	behind := r.resource(t, hostOne, func(c *ostiaryauth.Config) { r.assertions(hostOne)(c); clock(c) })
	type dated struct {
		headers []string
		until   time.Time
	}
	var live []dated
	step := 10 * time.Minute
	for passed := time.Duration(0); passed < 20*time.Hour; passed += step {
		r.advance(step)
		r.tend(t)
		now := *r.now.Load()
		if passed%(90*time.Minute) == 0 {
			for name, headers := range r.all(t, hostOne, "ada").bearers() {
				if name != "mikrocloud" {
					live = append(live, dated{headers, now.Add(2 * time.Hour)})
				}
			}
		}
		kept := live[:0]
		for _, d := range live {
			if !d.until.After(now) {
				continue
			}
			kept = append(kept, d)
			if status, _ := direct.ask(t, d.headers...); status != 200 {
				t.Fatalf("after %v: %d", passed, status)
			}
		}
		live = kept
		assertion := r.ask(t, hostOne, "GET", "/ostiary/verify", "", live[0].headers...).Header.Get("Ostiary-Assertion")
		if status, _ := behind.ask(t, "Ostiary-Assertion: "+assertion); status != 200 {
			t.Fatalf("assertion after %v: %d", passed, status)
		}
	}
	old := r.all(t, hostOne, "ada")
	if _, err := r.svc.RotateKey(t.Context(), r.realms[hostOne].ID, auth.KeyRotation{Algorithm: keyring.ES256, Now: true}, auth.Client{}); err != nil {
		t.Fatal(err)
	}
	r.advance(ostiaryauth.KeysInterval)
	var next tokens
	r.senmo(t, hostOne, "ada", &next)
	if status, _ := direct.ask(t, next.bearers()["senmo"]...); status != 200 {
		t.Errorf("a token of the key that came at once: %d", status)
	}
	if status, _ := direct.ask(t, old.bearers()["senmo"]...); status != 401 {
		t.Errorf("a token of the withdrawn key: %d", status)
	}
}
