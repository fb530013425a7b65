package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/ostiary/ostiary/internal/store"
)

// copies measures a server with few accounts beside one with many, on both engines.
func (b *bench) copies(ctx context.Context) error {
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
	searched, err := search(ctx, all)
	if err != nil {
		return err
	}
	for i, g := range all {
		took := searched[i]
		b.table = append(b.table, line{name: "search by prefix, " + g.name(), limit: "aim < 20 ms", p50: latency(took[len(took)/2]), p99: latency(took[len(took)*99/100])})
		if err := b.export(ctx, g); err != nil {
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
