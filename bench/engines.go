package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/ostiary/ostiary/internal/pgtest"
)

// openPostgres starts a PostgreSQL on the same machine, that waits for its disk as SQLite does.
func (b *bench) openPostgres() (*pgtest.Server, error) {
	p, err := pgtest.Open(pgtest.Options{Durable: true, Settings: []string{"shared_buffers=256MB", "max_wal_size=4GB"}})
	if err == nil {
		b.closers = append(b.closers, p.Close)
	}
	return p, err
}

// another is a bench like this one, of a server with a data directory or database of its own; it is stopped with this one.
func (b *bench) another(name string, settings ...string) (*bench, error) {
	dir := filepath.Join(b.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s, err := configure(b.server.binary, dir, settings...)
	if err != nil {
		return nil, err
	}
	other := &bench{plan: b.plan, server: s, dir: dir}
	b.closers = append(b.closers, other.close)
	return other, nil
}

// engines measures a server on PostgreSQL beside one on SQLite: what the one does is the limit of what the other does.
func (b *bench) engines(ctx context.Context) error {
	p, err := b.openPostgres()
	if err != nil {
		return err
	}
	url, _, err := p.Database()
	if err != nil {
		return err
	}
	other, err := b.another("postgres", "database = \""+url+"\"")
	if err != nil {
		return err
	}
	if _, err := other.server.start(ctx); err != nil {
		return err
	}
	for i := range accounts {
		if err := other.server.createAccount(ctx, username(i)); err != nil {
			return err
		}
	}
	kinds := []struct {
		name string
		work func(b *bench, c *client, i int) (worker, error)
	}{
		{"logins mikrocloud", byClient((*bench).mikrocloud)}, {"logins nomic", byClient((*bench).nomic)}, {"logins senmo", byClient((*bench).senmo)},
		{"refreshes RS256", func(b *bench, c *client, i int) (worker, error) { return b.refresherOf(c, prefix("RS256"), i) }},
		{"refreshes ES256", func(b *bench, c *client, i int) (worker, error) { return b.refresherOf(c, prefix("ES256"), i) }},
	}
	for _, k := range kinds {
		var pair [2]*row
		for i, on := range []*bench{b, other} {
			r := &row{name: fmt.Sprintf("%s, %s, %d clients", k.name, []string{"SQLite", "PostgreSQL"}[i], clients), unit: "/s", pid: on.server.target().pid}
			if i == 1 {
				r.port = portOf(p)
			}
			for n := range clients {
				c, err := on.connect(ctx, on.server.address)
				if err != nil {
					return err
				}
				work, err := k.work(on, c, n)
				if err != nil {
					return err
				}
				r.workers, r.clients = append(r.workers, work), append(r.clients, c)
			}
			pair[i] = r
		}
		pair[1].limit, pair[1].share = pair[0], 1
		if err := interleave(ctx, pair[:], 2*b.rounds, b.slice); err != nil {
			return err
		}
		b.table.add(pair[:]...)
	}
	for _, kind := range []string{"RS256", "opaque"} {
		if err := b.verifyBoth(ctx, kind, other); err != nil {
			return err
		}
	}
	for i, on := range []*bench{b, other} {
		resident, err := on.server.resident()
		if err != nil {
			return err
		}
		b.table = append(b.table, line{name: "resident memory, after the load, " + []string{"SQLite", "PostgreSQL"}[i], measured: number(resident) + " MB"})
	}
	return nil
}

func portOf(p *pgtest.Server) string {
	_, port, _ := net.SplitHostPort(p.Address())
	return port
}

// byClient is for workers that need nothing before.
func byClient(login func(*bench, *client, int) worker) func(*bench, *client, int) (worker, error) {
	return func(b *bench, c *client, i int) (worker, error) { return login(b, c, i), nil }
}

func (b *bench) verifyBoth(ctx context.Context, kind string, other *bench) error {
	var pair [2]*row
	for i, on := range []*bench{b, other} {
		q, err := on.verification(ctx, kind)
		if err != nil {
			return err
		}
		if pair[i], err = on.asking(ctx, "verifications "+kind+", "+[]string{"SQLite", "PostgreSQL"}[i], on.server.target(), q); err != nil {
			return err
		}
	}
	pair[1].limit, pair[1].share = pair[0], 1
	if err := interleave(ctx, pair[:], b.rounds, b.slice); err != nil {
		return err
	}
	b.table.add(pair[:]...)
	return nil
}

// settingsOf are the lines of a configuration that stand before its tables.
func settingsOf(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}
