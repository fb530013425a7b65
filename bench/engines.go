package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

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

// pair is the same on SQLite and on PostgreSQL.
type pair struct {
	rows [2]*row
	own  float64 // PostgreSQL's part of the second's processor time
}

var engineNames = [...]string{"SQLite", "PostgreSQL"}

// measure measures both in turns, and adds them to the table of the run.
func (p *pair) measure(ctx context.Context, b *bench, slice time.Duration) error {
	second := p.rows[1]
	second.limit, second.share = p.rows[0], 1
	own := processorTimeOfPostgres(second.port)
	server, err := processorTimeOf(second.pid)
	if err != nil {
		return err
	}
	if err := interleave(ctx, p.rows[:], b.rounds, slice); err != nil {
		return err
	}
	after, err := processorTimeOf(second.pid)
	own, server = processorTimeOfPostgres(second.port)-own, after-server
	p.own = float64(own) / float64(own+server)
	b.table.add(p.rows[:]...)
	return err
}

// cells are the pair as a line of the page.
func (p *pair) cells() []string {
	first, second := p.rows[0].line(), p.rows[1].line()
	name, _, _ := strings.Cut(first.name, ", ")
	return []string{name, first.measured, second.measured, second.ratio, first.p50, second.p50, first.p99, second.p99, first.processor, second.processor, percent(p.own)}
}

// engines measures a server on PostgreSQL beside one on SQLite: what the one does is the limit of what the other does.
func (b *bench) engines(ctx context.Context) error {
	p, err := b.openPostgres()
	if err != nil {
		return err
	}
	var pairs []*pair
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
		{"logins mikrocloud", byClient((*bench).mikrocloud)}, {"logins nomic", byClient((*bench).nomic)},
		{"refreshes RS256", func(b *bench, c *client, i int) (worker, error) { return b.refresherOf(c, prefix("RS256"), i) }},
		{"refreshes ES256", func(b *bench, c *client, i int) (worker, error) { return b.refresherOf(c, prefix("ES256"), i) }},
	}
	for _, k := range kinds {
		both := new(pair)
		for i, on := range []*bench{b, other} {
			r := &row{name: fmt.Sprintf("%s, %s, %d clients", k.name, engineNames[i], clients), unit: "/s", pid: on.server.target().pid}
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
			both.rows[i] = r
		}
		if err := both.measure(ctx, b, b.slice); err != nil {
			return err
		}
		pairs = append(pairs, both)
	}
	for _, kind := range []string{"RS256", "opaque"} {
		both, err := b.verifyBoth(ctx, kind, other, portOf(p))
		if err != nil {
			return err
		}
		pairs = append(pairs, both)
	}
	b.section("engines", enginesTable(pairs))
	for i, on := range []*bench{b, other} {
		resident, err := on.server.resident()
		if err != nil {
			return err
		}
		b.table = append(b.table, line{name: "resident memory, after the load, " + engineNames[i], measured: number(resident) + " MB"})
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

// enginesTable is the pairs in Markdown.
func enginesTable(pairs []*pair) string {
	var b strings.Builder
	lines := [][]string{
		{"what", "SQLite", "PostgreSQL", "of it", "p50, SQLite", "PostgreSQL", "p99, SQLite", "PostgreSQL", "CPU, SQLite", "CPU, PostgreSQL", "its own part"},
		append([]string{"---"}, slices.Repeat([]string{"---:"}, 10)...),
	}
	for _, p := range pairs {
		lines = append(lines, p.cells())
	}
	for _, cells := range lines {
		b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	return b.String()
}

func (b *bench) verifyBoth(ctx context.Context, kind string, other *bench, port string) (*pair, error) {
	both := new(pair)
	for i, on := range []*bench{b, other} {
		q, err := on.verification(ctx, kind)
		if err != nil {
			return nil, err
		}
		if both.rows[i], err = on.asking(ctx, "verifications "+kind+", "+engineNames[i], on.server.target(), q); err != nil {
			return nil, err
		}
	}
	both.rows[1].port = port
	return both, both.measure(ctx, b, b.slice*2/3)
}

// settingsOf are the lines of a configuration that stand before its tables.
func settingsOf(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}
