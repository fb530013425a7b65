// Package dialecttest holds what every dialect must keep: golden exchanges that are
// replayed against a real server, the rules for requests and refusals, and a fuzz
// target. There is a real store behind it, and a clock that the test moves.
package dialecttest

import (
	"context"
	"encoding/base32"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/dialect"
	"github.com/ostiary/ostiary/internal/password"
	"github.com/ostiary/ostiary/internal/seal"
	"github.com/ostiary/ostiary/internal/store"
	"github.com/ostiary/ostiary/internal/totp"
	"github.com/ostiary/ostiary/internal/web"
)

// What is in every house: accounts with Password, of the realm Realm, and an account ada
// with OtherPassword in the realm OtherRealm.
//
//	ada       person with everything: e-mail address, name, org
//	min       person with a username and nothing else
//	only@…    person with an e-mail address and nothing else
//	josé      person with LatinPassword
//	eve       person with an enrolment that is not confirmed
//	joan      person with a confirmed second factor
//	gone      disabled
//	nopass    person without a password
//	robot     service; its secret is House.Secret
const (
	Realm         = "default"
	OtherRealm    = "other"
	Password      = "correct horse battery staple"
	OtherPassword = "another horse in another stable"
	LatinPassword = "pässwörd:mit:Doppelpunkten:£ÿ"
)

// Start is when the clock of a house stands at first.
var Start = time.Date(2026, time.March, 14, 9, 26, 53, 589_793_000, time.UTC)

// Clock is what a house goes by.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// Now is the time of the house.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Options of a house.
type Options struct {
	// Mount changes the mounts before they are served.
	Mount   func(m *auth.Mount)
	Budgets *auth.Budgets    // nil: the default ones
	Hasher  *password.Hasher // nil: one with much patience
	Proxies []netip.Prefix   // whose forwarded headers are believed
}

// NoBudgets lets everybody guess, for tests that must fail often.
func NoBudgets() *auth.Budgets { return &auth.Budgets{} }

// House is a server of its own, with a store of its own.
type House struct {
	Service *auth.Service
	Store   *store.Store
	Handler http.Handler
	URL     string
	Clock   *Clock
	Mounts  map[auth.Dialect]*auth.Mount
	Secret  string // of the account robot

	realms   map[string]uuid.UUID
	accounts map[string]auth.Account
	factors  map[string][]byte
}

var patient = password.New(0, 2*time.Minute)

// Open starts a server that speaks the dialects, all at "/" of the realm Realm.
func Open(t testing.TB, o Options, dialects ...dialect.Dialect) *House {
	t.Helper()
	b, err := build()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, store.DatabaseFile), b.database, 0o600); err != nil {
		t.Fatal(err)
	}
	h := b.house
	h.Clock = &Clock{now: Start}
	h.Mounts = map[auth.Dialect]*auth.Mount{}
	var mounts []*auth.Mount
	for _, d := range dialects {
		m := d.Defaults
		m.Realm = Realm
		if o.Mount != nil {
			o.Mount(&m)
		}
		m.RealmID = h.realms[m.Realm]
		if d.Issuer != nil {
			m.Issuer = d.Issuer(m.Realm)
		}
		mounts = append(mounts, &m)
		h.Mounts[m.Dialect] = &m
	}
	if h.Store, err = store.Open(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Store.Close() })
	if o.Hasher == nil {
		o.Hasher = patient
	}
	h.Service = auth.New(auth.Options{
		Store: h.Store, Master: b.master, Hasher: o.Hasher, Now: h.Clock.Now, Log: slog.New(slog.DiscardHandler),
		Mounts: mounts, Dialects: dialect.Rules(dialects), Budgets: o.Budgets,
	})
	for _, m := range mounts {
		if m.Algorithm != "" && m.Algorithm != "RS256" {
			if err := h.Service.EnsureKey(t.Context(), m.RealmID, m.Algorithm, auth.Client{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	mux, err := web.NewMux(dialect.Routes(h.Service, mounts, dialects))
	if err != nil {
		t.Fatal(err)
	}
	h.Handler = web.Middleware(slog.New(slog.DiscardHandler), mux, web.Options{Timeout: 5 * time.Minute, Now: h.Clock.Now, TrustedProxies: o.Proxies})
	server := httptest.NewServer(h.Handler)
	t.Cleanup(server.Close)
	h.URL = server.URL
	return &h
}

// RealmID is the id of a realm.
func (h *House) RealmID(name string) uuid.UUID { return h.realms[name] }

// Account is one of the accounts of the realm Realm, by its username, or the e-mail
// address where it has none.
func (h *House) Account(name string) auth.Account { return h.accounts[name] }

// Code is the TOTP code of eve or joan, so many steps from now.
func (h *House) Code(name string, steps int64) string {
	return totp.Code(h.factors[name], totp.Step(h.Clock.Now())+steps)
}

// blueprint is what all houses of a test binary are copies of.
type blueprint struct {
	database []byte
	master   seal.Key
	house    House
}

var build = sync.OnceValues(newBlueprint)

func newBlueprint() (_ *blueprint, err error) {
	b := &blueprint{master: seal.New()}
	b.house.realms, b.house.accounts, b.house.factors = map[string]uuid.UUID{}, map[string]auth.Account{}, map[string][]byte{}
	dir, err := os.MkdirTemp("", "dialecttest")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx := context.Background()
	db, err := store.Create(ctx, dir)
	if err != nil {
		return nil, err
	}
	clock := &Clock{now: Start.Add(-24 * time.Hour)}
	svc := auth.New(auth.Options{Store: db, Master: b.master, Hasher: patient, Now: clock.Now})
	if err := b.furnish(ctx, svc, clock); err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	b.database, err = os.ReadFile(filepath.Join(dir, store.DatabaseFile))
	return b, err
}

func (b *blueprint) furnish(ctx context.Context, svc *auth.Service, clock *Clock) error {
	cl := auth.Client{Actor: "dialecttest"}
	h := &b.house
	for _, name := range []string{Realm, OtherRealm} {
		r, err := svc.CreateRealm(ctx, name, cl)
		if err != nil {
			return err
		}
		h.realms[name] = r.ID
	}
	realm := h.realms[Realm]
	hash, err := patient.Hash(ctx, Password)
	if err != nil {
		return err
	}
	for _, n := range []auth.NewAccount{
		{
			Username: "ada", Email: "ada@example.com", EmailVerified: true, DisplayName: "Ada Lovelace", Org: "acme",
			PasswordHash: hash,
		},
		{Username: "min", PasswordHash: hash},
		{Email: "only@example.com", PasswordHash: hash},
		{Username: "josé", Password: LatinPassword},
		{Username: "eve", Email: "eve@example.com", PasswordHash: hash},
		{Username: "joan", Email: "joan@example.com", PasswordHash: hash},
		{Username: "gone", PasswordHash: hash},
		{Username: "nopass", NoPassword: true},
		{Username: "robot", Kind: auth.KindService},
	} {
		a, secret, err := svc.CreateAccount(ctx, realm, n, cl)
		if err != nil {
			return fmt.Errorf("account %s%s: %w", n.Username, n.Email, err)
		}
		name := a.Username
		if name == "" {
			name = a.Email
		}
		h.accounts[name] = a
		if secret != "" {
			h.Secret = string(secret)
		}
	}
	if err := svc.SetDisabled(ctx, realm, h.accounts["gone"].ID, true, cl); err != nil {
		return err
	}
	_, _, err = svc.CreateAccount(ctx, h.realms[OtherRealm], auth.NewAccount{Username: "ada", Password: OtherPassword}, cl)
	if err != nil {
		return err
	}
	return b.enroll(ctx, svc, clock)
}

func (b *blueprint) enroll(ctx context.Context, svc *auth.Service, clock *Clock) error {
	h, cl := &b.house, auth.Client{Actor: "dialecttest"}
	realm := h.realms[Realm]
	for _, name := range []string{"eve", "joan"} {
		uri, err := svc.EnrollFactor(ctx, realm, h.accounts[name].ID, cl)
		if err != nil {
			return err
		}
		u, err := url.Parse(uri)
		if err != nil {
			return err
		}
		h.factors[name], err = base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(u.Query().Get("secret"))
		if err != nil {
			return err
		}
	}
	code := totp.Code(h.factors["joan"], totp.Step(clock.Now()))
	return svc.ConfirmFactor(ctx, realm, h.accounts["joan"].ID, auth.Secret(code), cl)
}
