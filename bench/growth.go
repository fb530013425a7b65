package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/password"
	"github.com/ostiary/ostiary/internal/store"
)

// few is how many accounts many are compared with.
const few = 1000

// grown is a server with so many accounts.
type grown struct {
	*bench
	engine string
	n      int
	open   func(ctx context.Context) (*store.Store, error)
	size   func(ctx context.Context) (int64, error)
}

func (g *grown) name() string { return fmt.Sprintf("%s, %d accounts", g.engine, g.n) }

// growth measures a server with few accounts beside one with many, on both engines.
func (b *bench) growth(ctx context.Context) error {
	var all []*grown
	for _, n := range []int{few, b.many} {
		g, err := b.grow(ctx, n)
		if err != nil {
			return err
		}
		all = append(all, g)
	}
	p, err := b.openPostgres()
	if err != nil {
		return err
	}
	for _, g := range all[:2] {
		url, _, err := p.Database()
		if err != nil {
			return err
		}
		copied, err := b.copied(ctx, g, url)
		if err != nil {
			return err
		}
		all = append(all, copied)
	}
	if err := b.weigh(ctx, all); err != nil {
		return err
	}
	for _, g := range all {
		if _, err := g.server.start(ctx); err != nil {
			return err
		}
	}
	for _, n := range []int{1, clients} {
		if err := b.compareGrown(ctx, all, n); err != nil {
			return err
		}
	}
	for _, g := range all {
		if err := b.search(ctx, g); err != nil {
			return err
		}
		if err := b.export(ctx, g); err != nil {
			return err
		}
	}
	return nil
}

// grow makes a store in SQLite with so many accounts, which all have the same password.
func (b *bench) grow(ctx context.Context, n int) (*grown, error) {
	other, err := b.another(fmt.Sprintf("grown-%d", n))
	if err != nil {
		return nil, err
	}
	if _, err := other.server.start(ctx); err != nil { // it makes the store
		return nil, err
	}
	if err := other.server.stop(); err != nil {
		return nil, err
	}
	file := filepath.Join(other.dir, "data", store.DatabaseFile)
	g := &grown{
		bench: other, engine: "SQLite", n: n,
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
	defer st.Close()
	began := time.Now()
	if err := fill(ctx, st, n); err != nil {
		return nil, err
	}
	progress("  %d accounts in %.0f s", n, time.Since(began).Seconds())
	return g, nil
}

func grownName(i int) string { return fmt.Sprintf("person%07d", i) }

func fill(ctx context.Context, st *store.Store, n int) error {
	realm, err := st.RealmByName(ctx, "default")
	if err != nil {
		return err
	}
	hash, err := password.New(1, time.Minute).Hash(ctx, secret)
	if err != nil {
		return err
	}
	const batch = 1000
	for first := 0; first < n; first += batch {
		err := st.InTx(ctx, func(tx auth.Tx) error {
			for i := first; i < min(first+batch, n); i++ {
				now := time.Now()
				a := auth.Account{
					ID: uuid.Must(uuid.NewV7()), RealmID: realm.ID, Number: int64(i + 1), Kind: auth.KindPerson, Username: grownName(i),
					Email: grownName(i) + "@example.com", DisplayName: "One of the crowd", Origin: "bench", CreatedAt: now, UpdatedAt: now,
				}
				if err := tx.InsertAccount(ctx, auth.AccountRecord{Account: a, PasswordHash: hash, Version: 1}, []string{a.Username, a.Email}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// copied is the same store in PostgreSQL.
func (b *bench) copied(ctx context.Context, g *grown, url string) (*grown, error) {
	other, err := b.another(fmt.Sprintf("grown-%d-postgres", g.n), "database = \""+url+"\"",
		"master_key_file = \""+filepath.Join(g.dir, "data", "master.key")+"\"")
	if err != nil {
		return nil, err
	}
	began := time.Now()
	cmd := exec.CommandContext(ctx, b.server.binary, "database", "copy", "--from", "sqlite:"+filepath.Join(g.dir, "data", store.DatabaseFile), "--to", url)
	cmd.Env = environment()
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("database copy: %w: %s", err, out)
	}
	took := time.Since(began)
	b.table = append(b.table, line{name: fmt.Sprintf("database copy to PostgreSQL, %d accounts", g.n), measured: number(took.Seconds()) + " s"})
	return &grown{
		bench: other, engine: "PostgreSQL", n: g.n,
		open: func(ctx context.Context) (*store.Store, error) { return store.OpenPostgres(ctx, url, 0) },
		size: func(ctx context.Context) (size int64, err error) {
			out, err := exec.CommandContext(ctx, "psql", "-XAtc", "SELECT pg_database_size(current_database())", url).Output()
			if err == nil {
				_, err = fmt.Sscan(string(out), &size)
			}
			return size, err
		},
	}, nil
}

// weigh tells what an account takes on the disk.
func (b *bench) weigh(ctx context.Context, all []*grown) error {
	for i := 0; i < len(all); i += 2 {
		small, err := all[i].size(ctx)
		if err != nil {
			return err
		}
		large, err := all[i+1].size(ctx)
		if err != nil {
			return err
		}
		b.table = append(b.table, line{name: "disk for an account, " + all[i].engine, measured: fmt.Sprintf("%d B", (large-small)/int64(all[i+1].n-all[i].n))})
	}
	return nil
}

// compareGrown signs in as accounts that are chosen by chance: few are the limit of many.
func (b *bench) compareGrown(ctx context.Context, all []*grown, clients int) error {
	var rows []*row
	for _, g := range all {
		r := &row{name: fmt.Sprintf("logins nomic, %s, %d clients", g.name(), clients), unit: "/s", pid: g.server.target().pid}
		for range clients {
			c, err := g.connect(ctx, g.server.address)
			if err != nil {
				return err
			}
			r.workers = append(r.workers, g.anyone(c))
		}
		if len(rows)%2 == 1 {
			r.limit, r.share = rows[len(rows)-1], 1
		}
		rows = append(rows, r)
	}
	if err := interleave(ctx, rows, 2*b.rounds, b.slice); err != nil {
		return err
	}
	b.table.add(rows...)
	return nil
}

func (g *grown) anyone(c *client) worker {
	return func() error {
		basic := base64.StdEncoding.EncodeToString([]byte(grownName(rand.IntN(g.n)) + ":" + secret)) //nolint:gosec // any will do
		_, err := c.ok(fmt.Appendf(nil, "POST /api/auth/token HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAuthorization: Basic %s\r\nContent-Length: 0\r\n\r\n",
			g.server.address, basic))
		return err
	}
}

// search asks for what begins with some letters, as "account list --prefix" does.
func (b *bench) search(ctx context.Context, g *grown) error {
	st, err := g.open(ctx)
	if err != nil {
		return err
	}
	defer st.Close()
	realm, err := st.RealmByName(ctx, "default")
	if err != nil {
		return err
	}
	var took []time.Duration
	for range 500 {
		prefix := grownName(rand.IntN(g.n))[:9+rand.IntN(4)] //nolint:gosec // any will do
		began := time.Now()
		list, err := st.AccountsByPrefix(ctx, realm.ID, prefix, "", 50)
		if err != nil || len(list) == 0 {
			return fmt.Errorf("nobody begins with %s: %w", prefix, err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.table = append(b.table, line{name: "search by prefix, " + g.name(), measured: "", limit: "aim < 20 ms", p50: latency(took[len(took)/2]), p99: latency(took[len(took)*99/100])})
	return nil
}

// export writes all accounts, and tells how long that takes and how much memory.
func (b *bench) export(ctx context.Context, g *grown) error {
	file := filepath.Join(g.dir, "accounts.jsonl")
	cmd := exec.CommandContext(ctx, b.server.binary, "account", "export", file, "--config", g.server.config)
	cmd.Env = environment()
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	peak, stop := watch(ctx, func() (float64, error) { return residentOf(cmd.Process.Pid) })
	err := cmd.Wait()
	stop()
	if err != nil {
		return fmt.Errorf("account export: %w", err)
	}
	text := number(time.Since(began).Seconds()) + " s, " + number(*peak) + " MB"
	b.table = append(b.table, line{name: "account export, " + g.name(), measured: text})
	return os.Remove(file)
}
