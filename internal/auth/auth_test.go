package auth_test

import (
	"context"
	"encoding/base32"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/password"
	"github.com/ostiary/ostiary/internal/pgtest"
	"github.com/ostiary/ostiary/internal/seal"
	"github.com/ostiary/ostiary/internal/store"
	"github.com/ostiary/ostiary/internal/store/storetest"
	"github.com/ostiary/ostiary/internal/totp"
)

const goodPassword = "correct horse battery"

// world is a service on a real store, with a clock that the test moves.
type world struct {
	t     *testing.T
	ctx   context.Context
	svc   *auth.Service
	store *store.Store
	realm auth.Realm
	one   *auth.Mount // a one-step dialect with refresh
	two   *auth.Mount // a two-step dialect

	mu  sync.Mutex
	now time.Time
}

// worldMaker makes one on some engine.
type worldMaker func(t *testing.T, options ...func(*auth.Options)) *world

// onEngines runs a test whose outcome may depend on the engine on each.
func onEngines(t *testing.T, test func(t *testing.T, newWorld worldMaker)) {
	t.Run("SQLite", func(t *testing.T) { test(t, newWorld) })
	t.Run("PostgreSQL", func(t *testing.T) {
		test(t, func(t *testing.T, options ...func(*auth.Options)) *world {
			t.Helper()
			st, err := store.CreatePostgres(t.Context(), pgtest.URL(t), 0)
			return newWorldIn(t, st, err, options)
		})
	})
}

func newWorld(t *testing.T, options ...func(*auth.Options)) *world {
	t.Helper()
	st, err := store.Create(t.Context(), t.TempDir())
	return newWorldIn(t, st, err, options)
}

func newWorldIn(t *testing.T, st *store.Store, err error, options []func(*auth.Options)) *world {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	w := &world{t: t, ctx: ctx, store: st, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	t.Cleanup(func() { st.Close() })
	w.one = &auth.Mount{Dialect: "one", Issuer: "urn:one", Algorithm: "RS256", AccessTTL: time.Hour,
		SessionIdle: 12 * time.Hour, SessionMax: 24 * time.Hour, RefreshRetry: time.Minute}
	w.two = &auth.Mount{Dialect: "two", SessionIdle: 12 * time.Hour, SessionMax: 24 * time.Hour}
	o := auth.Options{
		Store: storetest.Twice{Store: st}, Master: seal.New(), Hasher: password.New(0, 20*time.Second), Now: w.clock,
		Mounts:   []*auth.Mount{w.one, w.two},
		Budgets:  &auth.Budgets{},
		Dialects: map[auth.Dialect]auth.Rules{"one": {Subject: func(a auth.Account) string { return strconv.FormatInt(a.Number, 10) }}},
	}
	for _, set := range options {
		set(&o)
	}
	w.svc = auth.New(o)
	if w.realm, err = w.svc.CreateRealm(ctx, "default", auth.Client{Actor: "test"}); err != nil {
		t.Fatal(err)
	}
	w.one.RealmID, w.two.RealmID = w.realm.ID, w.realm.ID
	return w
}

// once has the store run each transaction once, for tests that count what they do.
func once(o *auth.Options) { o.Store = o.Store.(storetest.Twice).Store }

func withBudgets(o *auth.Options) { o.Budgets = nil }

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) account(name string) auth.Account {
	w.t.Helper()
	a, _, err := w.svc.CreateAccount(w.ctx, w.realm.ID, auth.NewAccount{
		Username: name, Email: name + "@example.com", Password: goodPassword}, client)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

var client = auth.Client{Address: netip.MustParseAddr("192.0.2.1"), UserAgent: "test", RequestID: "r"}

func creds(name, password string) auth.Credentials {
	return auth.Credentials{Name: name, Password: auth.Secret(password)}
}

func (w *world) signIn(name string) *auth.Grant {
	w.t.Helper()
	g, err := w.svc.SignIn(w.ctx, w.one, creds(name, goodPassword), client)
	if err != nil {
		w.t.Fatal(err)
	}
	return g
}

func (w *world) ticket(name string) auth.Secret {
	w.t.Helper()
	p, err := w.svc.BeginSignIn(w.ctx, w.two, creds(name, goodPassword), client)
	if err != nil {
		w.t.Fatal(err)
	}
	return p.Ticket
}

// code is what an authenticator shows now.
func (w *world) code(uri string) auth.Secret {
	w.t.Helper()
	u, err := url.Parse(uri)
	if err != nil {
		w.t.Fatal(err)
	}
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(u.Query().Get("secret"))
	if err != nil {
		w.t.Fatal(err)
	}
	return auth.Secret(totp.Code(secret, totp.Step(w.clock())))
}

// enroll gives an account a confirmed factor and returns its URI.
func (w *world) enroll(a auth.Account) string {
	w.t.Helper()
	uri, err := w.svc.EnrollFactor(w.ctx, w.realm.ID, a.ID, client)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.svc.ConfirmFactor(w.ctx, w.realm.ID, a.ID, w.code(uri), client); err != nil {
		w.t.Fatal(err)
	}
	w.advance(time.Minute)
	return uri
}

func (w *world) wantCode(err error, want auth.Code) {
	w.t.Helper()
	if got := auth.CodeOf(err); got != want {
		w.t.Fatalf("got %q (%v), want %q", got, err, want)
	}
}

// parallel runs fn n times at once and counts those that succeed.
func parallel(n int, fn func() error) (succeeded int) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	start := make(chan struct{})
	for range n {
		wg.Go(func() {
			<-start
			if fn() == nil {
				mu.Lock()
				succeeded++
				mu.Unlock()
			}
		})
	}
	close(start)
	wg.Wait()
	return succeeded
}

func TestSignIn_RightPassword(t *testing.T) {
	w := newWorld(t)
	a := w.account("Steve")
	for _, name := range []string{"steve", "STEVE", "Steve@Example.com"} {
		g, err := w.svc.SignIn(w.ctx, w.one, creds(name, goodPassword), client)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if g.Account.ID != a.ID || g.Subject != "1" || g.Session.ID == uuid.Nil {
			t.Errorf("%s: got %+v", name, g)
		}
	}
}

func TestSignIn_Refused(t *testing.T) {
	w := newWorld(t)
	w.account("steve")
	disabled := w.account("gone")
	if err := w.svc.SetDisabled(w.ctx, w.realm.ID, disabled.ID, true, client); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.svc.CreateAccount(w.ctx, w.realm.ID, auth.NewAccount{Username: "empty", NoPassword: true}, client); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]auth.Credentials{
		"wrong":      creds("steve", "wrong password"),
		"unknown":    creds("nobody", goodPassword),
		"disabled":   creds("gone", goodPassword),
		"no_pass":    creds("empty", goodPassword),
		"empty":      creds("empty", ""),
		"not_a_name": creds("a b\x00", goodPassword),
		"truncated":  creds("steve", goodPassword[:20]),
		"longer":     creds("steve", goodPassword+"x"),
		"secret":     creds("steve", "ostsvc_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
	} {
		_, err := w.svc.SignIn(w.ctx, w.one, c, client)
		if auth.CodeOf(err) != auth.CodeBadCredentials {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSignIn_ServiceSecret(t *testing.T) {
	w := newWorld(t)
	a, secret, err := w.svc.CreateAccount(w.ctx, w.realm.ID, auth.NewAccount{Username: "robot", Kind: auth.KindService}, client)
	if err != nil || secret == "" {
		t.Fatal(err, secret)
	}
	if _, err := w.svc.SignIn(w.ctx, w.one, creds("robot", string(secret)), client); err != nil {
		t.Fatal(err)
	}
	next, err := w.svc.RotateSecret(w.ctx, w.realm.ID, a.ID, time.Hour, client)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []auth.Secret{secret, next} {
		if _, err := w.svc.SignIn(w.ctx, w.one, creds("robot", string(s)), client); err != nil {
			t.Fatalf("within the overlap: %v", err)
		}
	}
	w.advance(61 * time.Minute)
	_, err = w.svc.SignIn(w.ctx, w.one, creds("robot", string(secret)), client)
	w.wantCode(err, auth.CodeBadCredentials)
	if _, err := w.svc.SignIn(w.ctx, w.one, creds("robot", string(next)), client); err != nil {
		t.Fatal(err)
	}
	// Sessions live as long as the secret that opened them may: without an overlap they end, too.
	for overlap, want := range map[time.Duration]bool{time.Nanosecond: true, 0: false} {
		g, err := w.svc.SignIn(w.ctx, w.one, creds("robot", string(next)), client)
		if err != nil {
			t.Fatal(err)
		}
		if next, err = w.svc.RotateSecret(w.ctx, w.realm.ID, a.ID, overlap, client); err != nil {
			t.Fatal(err)
		}
		rec, err := w.store.SessionByID(w.ctx, w.realm.ID, g.Session.ID)
		if err != nil || rec.EndedAt.IsZero() != want {
			t.Errorf("with an overlap of %s: %+v, %v", overlap, rec.Session, err)
		}
	}
}

// What only the other kind of account has is refused.
func TestAccount_OfTheOtherKind(t *testing.T) {
	w := newWorld(t)
	person := w.account("steve")
	robot, _, err := w.svc.CreateAccount(w.ctx, w.realm.ID, auth.NewAccount{Username: "robot", Kind: auth.KindService}, client)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.svc.RotateSecret(w.ctx, w.realm.ID, person.ID, 0, client)
	w.wantCode(err, auth.CodeInvalidInput)
	_, err = w.svc.EnrollFactor(w.ctx, w.realm.ID, robot.ID, client)
	w.wantCode(err, auth.CodeInvalidInput)
	w.wantCode(w.svc.SetPassword(w.ctx, w.realm.ID, robot.ID, goodPassword, client), auth.CodeInvalidInput)
	_, err = w.svc.NewRecoveryCodes(w.ctx, w.realm.ID, person.ID, client) // nothing that they could stand in for
	w.wantCode(err, auth.CodeConflict)
}

// turns counts those at hashing.
type turns struct{ n atomic.Int32 }

func (c *turns) HashWaited(time.Duration) {}
func (c *turns) Hashed(time.Duration)     { c.n.Add(1) }
func (c *turns) HashRefused()             {}

// An old hash is replaced at the first login, which takes its turn at hashing once.
func TestSignIn_RehashesOldParameters(t *testing.T) {
	c := &turns{}
	w := newWorld(t, func(o *auth.Options) { o.Hasher.Observe(c) })
	const old = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$"
	hash := old + argon2Tag(t, goodPassword, "somesaltsomesalt", 1, 64)
	a, _, err := w.svc.CreateAccount(w.ctx, w.realm.ID, auth.NewAccount{Username: "old", PasswordHash: hash}, client)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.svc.SignIn(w.ctx, w.one, creds("old", "wrong password"), client)
	w.wantCode(err, auth.CodeBadCredentials)
	w.signIn("old")
	rec, err := w.store.AccountByID(w.ctx, w.realm.ID, a.ID, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := password.Scheme(rec.PasswordHash); got != password.Scheme("$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA") {
		t.Errorf("rehashed to %q", got)
	}
	w.signIn("old")
	if n := c.n.Load(); n != 3 {
		t.Errorf("%d turns at hashing for three logins", n)
	}
}

func TestSignIn_ParallelHonest(t *testing.T) {
	w := newWorld(t, withBudgets)
	w.account("steve")
	if n := parallel(50, func() error {
		_, err := w.svc.SignIn(w.ctx, w.one, creds("steve", goodPassword), client)
		return err
	}); n != 50 {
		t.Errorf("%d of 50 parallel honest logins passed", n)
	}
}

func TestThreat03_ParallelGuesses(t *testing.T) {
	w := newWorld(t, withBudgets)
	w.account("steve")
	var mu sync.Mutex
	codes := map[auth.Code]int{}
	parallel(60, func() error {
		_, err := w.svc.SignIn(w.ctx, w.one, creds("steve", "wrong password"), client)
		mu.Lock()
		codes[auth.CodeOf(err)]++
		mu.Unlock()
		return err
	})
	if codes[auth.CodeBadCredentials] != 5 || codes[auth.CodeThrottled] != 55 {
		t.Errorf("got %v, want 5 evaluated and the rest refused", codes)
	}
	_, err := w.svc.SignIn(w.ctx, w.one, creds("steve", goodPassword), client)
	w.wantCode(err, auth.CodeThrottled)
	w.advance(time.Second)
	w.signIn("steve")
}

func TestThreat04_SpellingsShareABudget(t *testing.T) {
	w := newWorld(t, withBudgets)
	w.account("steve")
	for _, name := range []string{"steve", "STEVE", "steve@example.com", "STEVE@example.COM", "sTeve"} {
		_, err := w.svc.SignIn(w.ctx, w.one, creds(name, "wrong password"), client)
		w.wantCode(err, auth.CodeBadCredentials)
	}
	_, err := w.svc.SignIn(w.ctx, w.one, creds("steve", goodPassword), client)
	w.wantCode(err, auth.CodeThrottled)
	if auth.AsError(err).RetryAfter <= 0 {
		t.Error("no time to come back at")
	}
}

func TestThreat05_OwnerPassesWhileAttacked(t *testing.T) {
	w := newWorld(t, withBudgets)
	a := w.account("steve")
	w.signIn("steve") // the owner's source is known from now on
	stranger := auth.Client{Address: netip.MustParseAddr("198.51.100.7")}
	for range 150 {
		_, _ = w.svc.SignIn(w.ctx, w.one, creds("steve", "wrong password"), stranger)
		w.advance(20 * time.Minute / 10)
	}
	_, err := w.svc.SignIn(w.ctx, w.one, creds("steve", goodPassword), stranger)
	w.wantCode(err, auth.CodeThrottled)
	w.signIn("steve")
	budgets, err := w.svc.BudgetOf(w.ctx, w.realm.ID, a.ID)
	if err != nil || len(budgets) != 1 || budgets[0].Kind != auth.BudgetAccount {
		t.Errorf("budgets %+v, %v", budgets, err)
	}
	if err := w.svc.Unlock(w.ctx, w.realm.ID, a.ID, client); err != nil {
		t.Fatal(err)
	}
	if _, err := w.svc.SignIn(w.ctx, w.one, creds("steve", goodPassword), stranger); err != nil {
		t.Errorf("after unlock: %v", err)
	}
}
