package verify

import (
	"bufio"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/password"
	"github.com/ostiary/ostiary/internal/seal"
	"github.com/ostiary/ostiary/internal/store"
	"github.com/ostiary/ostiary/internal/token"
	"github.com/ostiary/ostiary/internal/web"
	"github.com/ostiary/ostiary/internal/web/webtest"
)

// Three ways to carry a credential, as the login APIs have them: a JWT, a JWT that
// counts only with its csrf, and an opaque token.
const (
	plain  auth.Dialect = "plain"
	paired auth.Dialect = "paired"
	opaque auth.Dialect = "opaque"
)

var rules = map[auth.Dialect]auth.Rules{
	plain: {
		Accept: func(c token.Claims, p auth.Presented) error {
			if p.Bare || !c.Is("token_use", "access") {
				return errors.New("not an access token with a scheme")
			}
			return nil
		},
		Subject: func(a auth.Account) string { return "n" + a.Username },
	},
	paired: {Accept: func(c token.Claims, p auth.Presented) error {
		if p.CSRF == "" || subtle.ConstantTimeCompare([]byte(c.String("csrf")), []byte(p.CSRF)) != 1 {
			return auth.Errorf(auth.CodeTokenInvalid, `no "csrf" beside it\`)
		}
		return nil
	}},
	opaque: {},
}

const pass = "correct horse battery"

// clock is the time of a house.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// house is a server with two realms: "one" on any host, "two" on two.example.com.
type house struct {
	options  auth.Options
	svc      *auth.Service
	store    *store.Store
	clock    *clock
	one, two auth.Realm
	mounts   map[string]*auth.Mount // by realm and dialect: "one/plain"
	url      string
	addr     string
}

const hostTwo = "two.example.com"

func build(t testing.TB) *house {
	t.Helper()
	ctx := context.Background()
	h := &house{clock: &clock{now: time.Now().Truncate(time.Second)}, mounts: map[string]*auth.Mount{}}
	var err error
	if h.store, err = store.Create(ctx, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.store.Close() })
	options := auth.Options{
		Store: h.store, Master: seal.New(), Hasher: password.New(0, 20*time.Second), Now: h.clock.Now, Log: slog.New(slog.DiscardHandler), Dialects: rules,
	}
	h.svc = auth.New(options)
	for name, realm := range map[string]*auth.Realm{"one": &h.one, "two": &h.two} {
		if *realm, err = h.svc.CreateRealm(ctx, name, auth.Client{}); err != nil {
			t.Fatal(err)
		}
		if err := h.svc.EnsureKey(ctx, realm.ID, auth.AssertionAlgorithm, auth.Client{}); err != nil {
			t.Fatal(err)
		}
		for d := range rules {
			m := &auth.Mount{
				Dialect: d, Realm: name, RealmID: realm.ID, Issuer: "urn:" + name + ":" + string(d), Algorithm: "RS256",
				AccessTTL: time.Hour, SessionIdle: 12 * time.Hour, SessionMax: 24 * time.Hour, RefreshRetry: time.Minute,
			}
			if name == "two" {
				m.Host = hostTwo
			}
			h.mounts[name+"/"+string(d)] = m
			options.Mounts = append(options.Mounts, m)
		}
	}
	h.options = options
	h.start(t)
	return h
}

// node is another server on the same store.
func (h *house) node(t testing.TB) *house {
	t.Helper()
	other := *h
	other.start(t)
	return &other
}

func (h *house) start(t testing.TB) {
	t.Helper()
	h.svc = auth.New(h.options)
	places, err := Places(h.options.Mounts)
	if err != nil {
		t.Fatal(err)
	}
	routes := HealthRoutes(h.svc.Ready)
	for _, p := range places {
		routes = append(routes, Routes(h.svc, p.Host, p.Prefix, p.Realm, p.RealmID)...)
	}
	h.serve(t, routes, slog.New(slog.DiscardHandler))
}

func (h *house) serve(t testing.TB, routes []web.Route, log *slog.Logger) {
	t.Helper()
	h.addr = webtest.Serve(t, log, routes, web.Options{})
	h.url = "http://" + h.addr
}

func (h *house) realm(name string) uuid.UUID {
	if name == "two" {
		return h.two.ID
	}
	return h.one.ID
}

// account makes an account with the password pass.
func (h *house) account(t testing.TB, realm, name string) auth.Account {
	t.Helper()
	a, _, err := h.svc.CreateAccount(t.Context(), h.realm(realm), auth.NewAccount{
		Username: name, Email: name + "@example.com", Org: "Ärzte, 100%", Password: pass,
	}, auth.Client{})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// login signs in at a mount, "realm/dialect".
func (h *house) login(t testing.TB, mount, name string) *auth.Grant {
	t.Helper()
	m := h.mounts[mount]
	c := auth.Credentials{Name: name, Password: pass}
	var g *auth.Grant
	var err error
	if m.Dialect == opaque {
		p, e := h.svc.BeginSignIn(t.Context(), m, c, auth.Client{})
		if e != nil {
			t.Fatal(e)
		}
		g, err = h.svc.CompleteSignIn(t.Context(), m, p.Ticket, "", auth.Client{})
	} else {
		g, err = h.svc.SignIn(t.Context(), m, c, auth.Client{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// token makes the access credential of a grant; that of paired needs csrfOf too.
func (h *house) token(t testing.TB, g *auth.Grant) string {
	t.Helper()
	own := token.Claims{"token_use": "access"}
	switch g.Mount.Dialect {
	case opaque:
		return string(g.Bearer)
	case paired:
		own = token.Claims{"csrf": csrfOf(g)}
	}
	return h.sign(t, g, own)
}

func (h *house) sign(t testing.TB, g *auth.Grant, own token.Claims) string {
	t.Helper()
	jwt, err := h.svc.Sign(t.Context(), g, own)
	if err != nil {
		t.Fatal(err)
	}
	return jwt
}

func csrfOf(g *auth.Grant) string { return "csrf-" + g.Session.ID.String() }

// answered is an answer that was read to its end.
type answered struct {
	*http.Response
	body string
}

// ask sends a request; headers are "Name: value" and may repeat.
func (h *house) ask(t testing.TB, method, path, body string, headers ...string) answered {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, h.url+path, reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		if name == "Host" {
			request.Host = value
		}
		request.Header.Add(name, value)
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answered{response, string(text)}
}

// problem checks that an answer is an error of RFC 9457 with that status and code.
func (a answered) problem(t testing.TB, what string, status int, code auth.Code) {
	t.Helper()
	var p struct {
		Type, Title, Code string
		Status            int
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("%s: %d %q: %v", what, a.StatusCode, a.body, err)
	}
	if a.StatusCode != status || p.Status != status || p.Code != string(code) || p.Type != "about:blank" || p.Title != http.StatusText(status) {
		t.Errorf("%s: %d %s, want %d %s", what, a.StatusCode, a.body, status, code)
	}
	if kind := a.Header.Get("Content-Type"); kind != "application/problem+json" {
		t.Errorf("%s: Content-Type %q", what, kind)
	}
	if a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: it may be cached", what)
	}
}

const (
	challengeNone    = `Bearer realm="one"`
	challengeInvalid = `Bearer realm="one", error="invalid_token"`
	challengeTwo     = challengeInvalid + `, error_description="two credentials in one request"`
	challengePair    = challengeInvalid + `, error_description="no ?csrf? beside it?"`
)

// refused checks that an answer is 401, and that the challenge says of a token what is known.
func (a answered) refused(t testing.TB, what, challenge string) {
	t.Helper()
	var code auth.Code
	switch {
	case strings.Contains(a.body, `"token_missing"`):
		code = auth.CodeTokenMissing
	case strings.Contains(a.body, `"session_ended"`):
		code = auth.CodeSessionEnded
	default:
		code = auth.CodeTokenInvalid
	}
	a.problem(t, what, http.StatusUnauthorized, code)
	if got := a.Header.Get("WWW-Authenticate"); got != challenge {
		t.Errorf("%s: challenge %s, want %s", what, got, challenge)
	}
	for name := range a.Header {
		if strings.HasPrefix(name, "Ostiary-") {
			t.Errorf("%s: 401 with %s", what, name)
		}
	}
}

// raw sends bytes as they are, and reads one answer.
func (h *house) raw(t testing.TB, text string) answered {
	t.Helper()
	conn, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%.300q: %v", text, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answered{response, string(body)}
}
