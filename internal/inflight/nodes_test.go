package inflight

import (
	"context"
	"encoding/base32"
	"errors"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/password"
	"github.com/ostiary/ostiary/internal/pgtest"
	"github.com/ostiary/ostiary/internal/seal"
	"github.com/ostiary/ostiary/internal/store"
	"github.com/ostiary/ostiary/internal/throttle"
	"github.com/ostiary/ostiary/internal/totp"
)

const pass = "correct horse battery"

// nodes are services that count the same guesses: of one process each, as far as they know.
type nodes struct {
	t      *testing.T
	all    []*auth.Service
	shared []auth.Reserver
	mount  *auth.Mount
	two    *auth.Mount // with a ticket
	realm  auth.Realm
	ada    auth.Account
}

// each runs a test on every Reserver: in SQLite and PostgreSQL, in Redis and a cluster.
func each(t *testing.T, test func(n *nodes)) {
	inStore := func(_ int, st *store.Store) auth.Reserver { return auth.ReserveIn(st, nil) }
	t.Run("SQLite", func(t *testing.T) {
		test(build(t, sqlite(t), inStore))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		url := pgtest.URL(t)
		test(build(t, func() (*store.Store, error) { return store.CreatePostgres(t.Context(), url, 0) }, inStore))
	})
	t.Run("Redis", func(t *testing.T) {
		p := startRedis(t)
		test(build(t, sqlite(t), func(int, *store.Store) auth.Reserver { return client(t, false, p) }))
	})
	t.Run("RedisCluster", func(t *testing.T) {
		all := startCluster(t)
		test(build(t, sqlite(t), func(i int, _ *store.Store) auth.Reserver { return client(t, true, all[i]) }))
	})
}

func sqlite(t *testing.T) func() (*store.Store, error) {
	dir := t.TempDir()
	return func() (*store.Store, error) { return store.Create(t.Context(), dir) }
}

// build makes two nodes, each with a store of its own on one database.
func build(t *testing.T, open func() (*store.Store, error), shared func(i int, st *store.Store) auth.Reserver) *nodes {
	t.Helper()
	n := &nodes{t: t}
	// A first delay that no machine is so slow as to outlast.
	budgets := auth.DefaultBudgets()
	budgets.Account.First, budgets.Account.Max, budgets.Source.Free = 10*time.Minute, 10*time.Minute, 1000
	budgets.Known, budgets.Factor.First, budgets.Factor.Max = budgets.Account, 10*time.Minute, 10*time.Minute
	n.mount = &auth.Mount{Dialect: "one", Issuer: "urn:one", Algorithm: "ES256", AccessTTL: time.Hour, SessionMax: time.Hour, AppendCode: true}
	n.two = &auth.Mount{Dialect: "two", SessionMax: time.Hour}
	o := auth.Options{Master: seal.New(), Hasher: password.New(0, time.Minute), Log: slog.New(slog.DiscardHandler), Mounts: []*auth.Mount{n.mount, n.two}, Budgets: &budgets}
	for i := range 2 {
		st, err := open()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { st.Close() })
		o.Store, o.Shared = st, shared(i, st)
		n.all, n.shared = append(n.all, auth.New(o)), append(n.shared, o.Shared)
	}
	var err error
	if n.realm, err = n.all[0].CreateRealm(t.Context(), "default", auth.Client{}); err != nil {
		t.Fatal(err)
	}
	n.mount.RealmID, n.two.RealmID = n.realm.ID, n.realm.ID
	n.ada, _, err = n.all[0].CreateAccount(t.Context(), n.realm.ID, auth.NewAccount{Username: "ada", Password: pass}, auth.Client{})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// from is a client at an address.
func from(address string) auth.Client {
	return auth.Client{Address: netip.MustParseAddr(address), RequestID: "r"}
}

func (n *nodes) signIn(ctx context.Context, node int, password auth.Secret, cl auth.Client) error {
	_, err := n.all[node].SignIn(ctx, n.mount, auth.Credentials{Name: "ada", Password: password}, cl)
	return err
}

// parallel asks the nodes in turn, all at once, and counts the outcomes.
func (n *nodes) parallel(times int, fn func(i int) error) map[auth.Code]int {
	n.t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	codes := map[auth.Code]int{}
	begin := make(chan struct{})
	for i := range times {
		wg.Go(func() {
			<-begin
			err := fn(i)
			mu.Lock()
			defer mu.Unlock()
			code := auth.CodeOf(err)
			if codes[code]++; code != "" && code != auth.CodeBadCredentials && code != auth.CodeFactorInvalid && code != auth.CodeThrottled {
				n.t.Error(err)
			}
		})
	}
	close(begin)
	wg.Wait()
	return codes
}

// left sees that nothing is reserved any more.
func (n *nodes) left() {
	n.t.Helper()
	account := n.ada.ID.String()
	for i, r := range n.shared {
		for _, k := range []auth.BudgetKey{
			{Realm: n.realm.ID, Kind: auth.BudgetSource, Source: "192.0.2.1"}, {Realm: n.realm.ID, Kind: auth.BudgetAccount, Subject: account},
			{Realm: n.realm.ID, Kind: auth.BudgetKnown, Subject: account, Source: "192.0.2.1"}, {Realm: n.realm.ID, Kind: auth.BudgetFactor, Subject: account},
		} {
			counted := 0
			_, err := r.Reserve(n.t.Context(), []auth.Claim{{Key: k, Most: 100}}, func(_ context.Context, _ auth.BudgetKey, running int, _ *throttle.State) error {
				counted = running
				return auth.ErrNoRoom
			})
			if counted != 1 || !errors.Is(err, auth.ErrNoRoom) {
				n.t.Errorf("node %d: %d are still reserved for the %s, %v", i, counted-1, k.Kind, err)
			}
		}
	}
}

// Parallel guesses that go to two nodes are no more than one node would evaluate, and those
// beyond them wait for those in flight, then are refused.
func TestThreat03_ParallelGuessesAtTwoNodes(t *testing.T) {
	each(t, func(n *nodes) {
		codes := n.parallel(200, func(i int) error { return n.signIn(n.t.Context(), i%2, "a wrong password", from("192.0.2.1")) })
		if codes[auth.CodeBadCredentials] != 5 || codes[auth.CodeThrottled] != 195 {
			n.t.Errorf("got %v, want 5 evaluated", codes)
		}
		list, err := n.all[0].BudgetOf(n.t.Context(), n.realm.ID, n.ada.ID)
		if err != nil || len(list) != 1 || list[0].Failures != 5 {
			n.t.Errorf("%+v, %v", list, err)
		}
		if err := n.all[0].Unlock(n.t.Context(), n.realm.ID, n.ada.ID, auth.Client{}); err != nil {
			n.t.Fatal(err)
		}
		n.left()
	})
}

// Parallel logins with the right password all pass, more of them than guesses are free.
func TestReserver_ParallelHonest(t *testing.T) {
	each(t, func(n *nodes) {
		codes := n.parallel(50, func(i int) error { return n.signIn(n.t.Context(), i%2, pass, from("192.0.2.1")) })
		if codes[""] != 50 {
			n.t.Errorf("got %v", codes)
		}
		n.left()
	})
}

// So are guesses at a second factor.
func TestThreat03_ParallelCodesAtTwoNodes(t *testing.T) {
	each(t, func(n *nodes) {
		ctx := n.t.Context()
		n.enroll()
		tickets := make([]auth.Secret, 30)
		for i := range tickets {
			p, err := n.all[i%2].BeginSignIn(ctx, n.two, auth.Credentials{Name: "ada", Password: pass}, from("192.0.2.1"))
			if err != nil {
				n.t.Fatal(err)
			}
			tickets[i] = p.Ticket
		}
		n.left()
		codes := n.parallel(len(tickets), func(i int) error {
			_, err := n.all[i%2].CompleteSignIn(ctx, n.two, tickets[i], "not a code", from("192.0.2.1"))
			return err
		})
		if codes[auth.CodeFactorInvalid] != 10 || codes[auth.CodeThrottled] != 20 {
			n.t.Errorf("got %v, want 10 tried", codes)
		}
		n.left()
		if _, err := n.all[0].SignIn(ctx, n.mount, auth.Credentials{Name: "ada", Password: pass + "000000"}, from("192.0.2.1")); auth.CodeOf(err) != auth.CodeBadCredentials {
			n.t.Errorf("a code behind the password: %v", err)
		}
		n.left()
	})
}

// enroll gives ada a second factor.
func (n *nodes) enroll() {
	n.t.Helper()
	text, err := n.all[0].EnrollFactor(n.t.Context(), n.realm.ID, n.ada.ID, auth.Client{})
	if err != nil {
		n.t.Fatal(err)
	}
	uri, err := url.Parse(text)
	if err != nil {
		n.t.Fatal(err)
	}
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(uri.Query().Get("secret"))
	if err != nil {
		n.t.Fatal(err)
	}
	code := auth.Secret(totp.Code(secret, totp.Step(time.Now())))
	if err := n.all[1].ConfirmFactor(n.t.Context(), n.realm.ID, n.ada.ID, code, auth.Client{}); err != nil {
		n.t.Fatal(err)
	}
}

// A guess is counted before anybody looks at what has failed: so whoever counts after it, at
// another node, looks when it is decided.
func TestReserver_CountsFirst(t *testing.T) {
	each(t, func(n *nodes) {
		claim := []auth.Claim{{Key: auth.BudgetKey{Realm: n.realm.ID, Kind: auth.BudgetAccount, Subject: "x"}, Most: 100}}
		entered, decided := make(chan struct{}), make(chan struct{})
		enter := sync.OnceFunc(func() { close(entered) }) // a transaction may run again
		var order []string
		var mu sync.Mutex
		note := func(what string, running int) error {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, what+" sees "+strconv.Itoa(running))
			return nil
		}
		var both sync.WaitGroup
		both.Go(func() {
			if _, err := n.shared[0].Reserve(n.t.Context(), claim, func(_ context.Context, _ auth.BudgetKey, running int, _ *throttle.State) error {
				enter()
				<-decided
				return note("the first", running)
			}); err != nil {
				n.t.Error(err)
			}
		})
		<-entered
		both.Go(func() {
			if _, err := n.shared[1].Reserve(n.t.Context(), claim, func(_ context.Context, _ auth.BudgetKey, running int, _ *throttle.State) error {
				return note("the second", running)
			}); err != nil {
				n.t.Error(err)
			}
		})
		time.Sleep(200 * time.Millisecond) // in which the second one would look
		close(decided)
		both.Wait()
		if !slices.Contains(order, "the first sees 1") || !slices.Contains(order, "the second sees 2") {
			n.t.Errorf("%v", order)
		}
	})
}
