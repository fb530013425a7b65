package openapi_test

import (
	"bufio"
	"context"
	"encoding/base32"
	"encoding/base64"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
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
	"github.com/ostiary/ostiary/internal/totp"
	"github.com/ostiary/ostiary/internal/verify"
	"github.com/ostiary/ostiary/internal/web"
	"github.com/ostiary/ostiary/internal/web/webtest"
)

const (
	pass   = "correct horse battery"
	prefix = "/app" // where a second senmo is
)

var all = []dialect.Dialect{cloudio.Dialect(), mikrocloud.Dialect(), nomic.Dialect(), senmo.Dialect()}

// house is a whole server: the four dialects at the root, and senmo below a prefix.
type house struct {
	svc     *auth.Service
	store   *store.Store
	master  seal.Key
	realm   auth.Realm
	options auth.Options
	routes  []web.Route
	addr    string
}

func open(t *testing.T) *house {
	t.Helper()
	ctx := context.Background()
	h := &house{master: seal.New()}
	var err error
	if h.store, err = store.Create(ctx, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.store.Close() })
	h.options = auth.Options{
		Store: h.store, Master: h.master, Hasher: password.New(0, time.Minute), Log: slog.New(slog.DiscardHandler),
		Dialects: dialect.Rules(all), Budgets: &auth.Budgets{},
	}
	if h.realm, err = auth.New(h.options).CreateRealm(ctx, "default", auth.Client{}); err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		h.mount(d, "")
	}
	h.mount(senmo.Dialect(), prefix)
	h.serve(t)
	if err := h.svc.EnsureKey(ctx, h.realm.ID, auth.AssertionAlgorithm, auth.Client{}); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) mount(d dialect.Dialect, prefix string) {
	m := d.Defaults
	m.Realm, m.RealmID, m.Prefix = h.realm.Name, h.realm.ID, prefix
	if d.Issuer != nil {
		m.Issuer = d.Issuer(h.realm.Name)
	}
	h.options.Mounts = append(h.options.Mounts, &m)
}

// beside is another server on the same store, which knows nothing yet.
func (h *house) beside(t *testing.T, change func(*auth.Options)) *house {
	t.Helper()
	other := *h
	change(&other.options)
	other.serve(t)
	return &other
}

func (h *house) serve(t *testing.T) {
	t.Helper()
	h.svc = auth.New(h.options)
	places, err := verify.Places(h.options.Mounts)
	if err != nil {
		t.Fatal(err)
	}
	h.routes = append(verify.HealthRoutes(h.svc.Ready), dialect.Routes(h.svc, h.options.Mounts, all)...)
	for _, p := range places {
		h.routes = append(h.routes, verify.Routes(h.svc, p.Host, p.Prefix, p.Realm, p.RealmID)...)
		h.routes = append(h.routes, openapi.Route(p.Host, p.Prefix, h.options.Mounts))
	}
	h.addr = webtest.Serve(t, h.options.Log, h.routes, web.Options{})
}

// account makes an account, with a secret if it is a service.
func (h *house) account(t *testing.T, name string, kind auth.Kind, roles ...string) (id uuid.UUID, secret string) {
	t.Helper()
	n := auth.NewAccount{Username: name, Kind: kind, Roles: roles}
	if kind == auth.KindPerson {
		n.Email, n.Org, n.Password = name+"@example.com", "Ärzte, 100%", pass
	}
	a, s, err := h.svc.CreateAccount(t.Context(), h.realm.ID, n, auth.Client{})
	if err != nil {
		t.Fatal(err)
	}
	return a.ID, string(s)
}

// enroll starts a second factor, and returns what makes its codes.
func (h *house) enroll(t *testing.T, id uuid.UUID) (code func(steps int64) string) {
	t.Helper()
	uri, err := h.svc.EnrollFactor(t.Context(), h.realm.ID, id, auth.Client{})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(u.Query().Get("secret"))
	if err != nil {
		t.Fatal(err)
	}
	step := totp.Step(time.Now())
	return func(steps int64) string { return totp.Code(secret, step+steps) }
}

// request is one of a client's. With the header "Break: off" its body ends too early.
type request struct {
	method, path, body string
	headers            []string // "Name: value"
}

type answer struct {
	*http.Response
	body string
}

func (h *house) ask(t *testing.T, r request) answer {
	t.Helper()
	connection, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	length := len(r.body)
	request := &http.Request{
		Method: r.method, URL: &url.URL{Opaque: r.path}, Host: h.addr, Header: http.Header{},
		ContentLength: int64(length), Body: io.NopCloser(strings.NewReader(r.body)),
	}
	for _, header := range r.headers {
		name, value, _ := strings.Cut(header, ": ")
		request.Header.Add(name, value)
	}
	if request.Header.Get("Break") != "" {
		text := r.method + " " + r.path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n" + r.body
		if _, err := io.WriteString(connection, text); err != nil {
			t.Fatal(err)
		}
		err = connection.(*net.TCPConn).CloseWrite()
	} else {
		err = request.Write(connection)
	}
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), request)
	if err != nil {
		t.Fatalf("%s %s: %v", r.method, r.path, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response, string(text)}
}

func basic(name, word string) string {
	return base64.StdEncoding.EncodeToString([]byte(name + ":" + word))
}
