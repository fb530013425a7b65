package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ostiary/ostiary/internal/store"
)

// few is how many accounts and sessions more are compared with.
const few = 1000

// grown is a server with so many accounts.
type grown struct {
	*bench
	engine string
	n      int
	file   string // of SQLite
	open   func(ctx context.Context) (*store.Store, error)
	size   func(ctx context.Context) (int64, error)
	drawn
}

func (g *grown) name() string { return fmt.Sprintf("%s, %d accounts", g.engine, g.n) }

// growth measures servers with a thousand, a tenth of many, and many accounts, and as many
// sessions: what it takes to serve one of them must not grow with their number. Clients use
// any account, and up to two thousand sessions of a kind, which are spread over all.
func (b *bench) growth(ctx context.Context) error {
	var all []*grown
	for _, n := range []int{few, b.many / 10, b.many} {
		g, err := b.grow(ctx, n)
		if err != nil {
			return err
		}
		began := time.Now()
		if err := errors.Join(fillSessions(ctx, g.file), g.draw(ctx)); err != nil {
			return err
		}
		progress("  %d sessions in %.0f s", n, time.Since(began).Seconds())
		all = append(all, g)
	}
	var c curves
	if err := c.weigh(ctx, all); err != nil {
		return err
	}
	if err := c.rest(ctx, all); err != nil {
		return err
	}
	for _, k := range []struct {
		name string
		row  func(*grown, context.Context) (*row, error)
	}{{"logins nomic", (*grown).logins}, {"refreshes ES256", (*grown).refreshingDrawn}, {"verifications opaque", (*grown).verifyingDrawn}, {"introspections opaque", (*grown).introspectingDrawn}} {
		if err := b.compare(ctx, &c, k.name, all, k.row); err != nil {
			return err
		}
	}
	if err := c.search(ctx, all); err != nil {
		return err
	}
	if err := c.audited(ctx, all[len(all)-1]); err != nil {
		return err
	}
	return c.publish(b)
}

// begin makes the store, with the accounts and the two sessions that are real.
func (b *bench) begin(ctx context.Context) error {
	if _, err := b.server.start(ctx); err != nil {
		return err
	}
	for i := range accounts {
		if err := b.server.createAccount(ctx, username(i)); err != nil {
			return err
		}
	}
	for _, kind := range []string{"ES256", "opaque"} {
		if _, err := b.bearer(ctx, kind); err != nil {
			return err
		}
	}
	return b.server.stop()
}

// grow makes a store in SQLite with so many accounts, which all have the same password.
func (b *bench) grow(ctx context.Context, n int) (*grown, error) {
	other, err := b.another(fmt.Sprintf("grown-%d", n))
	if err != nil {
		return nil, err
	}
	if err := other.begin(ctx); err != nil {
		return nil, err
	}
	file := filepath.Join(other.dir, "data", store.DatabaseFile)
	g := &grown{
		bench: other, engine: "SQLite", n: n, file: file,
		open: func(ctx context.Context) (*store.Store, error) { return store.OpenFile(ctx, file) },
		size: func(context.Context) (int64, error) {
			info, err := os.Stat(file)
			if err != nil {
				return 0, err
			}
			return info.Size(), nil
		},
	}
	st, err := g.open(ctx)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := errors.Join(fillAccounts(ctx, st, n), st.Close()); err != nil {
		return nil, err
	}
	progress("  %d accounts in %.0f s", n, time.Since(began).Seconds())
	return g, nil
}

// compare measures one thing at all sizes, in turn: the smallest is the limit of the others.
func (b *bench) compare(ctx context.Context, c *curves, name string, all []*grown, work func(*grown, context.Context) (*row, error)) error {
	var rows []*row
	for _, g := range all {
		r, err := work(g, ctx)
		if err != nil {
			return err
		}
		r.name = fmt.Sprintf("%s, %d clients, %d accounts and sessions", name, clients, g.n)
		if len(rows) > 0 {
			r.limit, r.share = rows[0], 1
		}
		rows = append(rows, r)
	}
	if err := interleave(ctx, rows, b.rounds, b.slice); err != nil {
		return err
	}
	b.table.add(rows...)
	f := curve{name: name, unit: "/s"}
	for i, r := range rows {
		f.at(all[i].n, r.rate())
	}
	*c = append(*c, f)
	return nil
}

func (g *grown) logins(ctx context.Context) (*row, error) {
	r := &row{unit: "/s", pid: g.server.target().pid}
	for range clients {
		c, err := g.connect(ctx, g.server.address)
		if err != nil {
			return nil, err
		}
		r.workers = append(r.workers, g.anyone(c))
	}
	return r, nil
}

func (g *grown) refreshing(ctx context.Context) (*row, error) {
	r := &row{unit: "/s", pid: g.server.target().pid}
	for i := range clients {
		work, err := g.refresher(ctx, prefix("ES256"), i)
		if err != nil {
			return nil, err
		}
		r.workers = append(r.workers, work)
	}
	return r, nil
}

func (g *grown) verifying(ctx context.Context) (*row, error) {
	bearer, err := g.bearer(ctx, "opaque")
	if err != nil {
		return nil, err
	}
	return g.asking(ctx, "", g.server.target(), question{method: "GET", path: "/ostiary/verify", authorization: "Bearer " + bearer})
}

func (g *grown) anyone(c *client) worker {
	return func() error {
		basic := base64.StdEncoding.EncodeToString([]byte(grownName(rand.IntN(g.n)) + ":" + secret)) //nolint:gosec // any will do
		_, err := c.ok(fmt.Appendf(nil, "POST /api/auth/token HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAuthorization: Basic %s\r\nContent-Length: 0\r\n\r\n",
			g.server.address, basic))
		return err
	}
}

// search asks each in turn for what begins with some letters, as "account list --prefix" does,
// and tells how long each answer took, the quickest first. Each is asked twice, and the second
// time counts: where the system keeps little of the files in memory, the first is the disk's.
func search(ctx context.Context, all []*grown) (took [][]time.Duration, err error) {
	var ask []func() error
	took = make([][]time.Duration, len(all))
	for i, g := range all {
		st, err := g.open(ctx)
		if err != nil {
			return nil, err
		}
		defer st.Close()
		realm, err := st.RealmByName(ctx, "default")
		if err != nil {
			return nil, err
		}
		ask = append(ask, func() error {
			prefix := grownName(rand.IntN(g.n))[:9+rand.IntN(4)] //nolint:gosec // any will do
			var last time.Duration
			for range 2 {
				began := time.Now()
				list, err := st.AccountsByPrefix(ctx, realm.ID, "", prefix, "", 50)
				if err != nil {
					return err
				}
				if len(list) == 0 {
					return fmt.Errorf("nobody begins with %s", prefix)
				}
				last = time.Since(began)
			}
			took[i] = append(took[i], last)
			return nil
		})
	}
	for range 500 {
		for _, one := range ask {
			if err := one(); err != nil {
				return nil, err
			}
		}
	}
	for _, list := range took {
		slices.Sort(list)
	}
	return took, nil
}
