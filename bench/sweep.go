package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ostiary/ostiary/internal/store"
)

// sweep is a kind of rows that a server deletes because of their age.
type sweep struct {
	what     string
	settings []string
	fill     func(ctx context.Context, dir string, n int, old bool) error
	left     string // counts those that are still to be deleted
	beside   []load
}

// load is what clients ask meanwhile.
type load struct {
	name string
	row  func(*grown, context.Context) (*row, error) // nil: nothing
}

func toSweep() []sweep {
	refreshes := load{"refreshes ES256", (*grown).refreshing}
	return []sweep{
		{
			"sessions", nil, fillOldSessions, "SELECT COUNT(*) FROM session WHERE expires_at < (unixepoch() - 7 * 86400) * 1000000",
			[]load{{name: "nothing"}, refreshes, {"logins nomic", (*grown).logins}, {"verifications opaque", (*grown).verifying}},
		},
		{
			"audit entries", []string{`audit_keep = "24h"`}, fillOldLog, "SELECT COUNT(*) FROM audit_event WHERE at < (unixepoch() - 86400) * 1000000",
			[]load{{name: "nothing"}, refreshes},
		},
	}
}

// sweeps measures servers that delete what is old, of which there is much, from the beginning
// until nothing is left, beside ones that have as much that is not old.
func (b *bench) sweeps(ctx context.Context) error {
	var page strings.Builder
	page.WriteString("| deleted | beside | deleted | p99 without | p99 with | moved | its first third | second | last |\n| --- | --- |" + strings.Repeat(" ---: |", 7) + "\n")
	for _, s := range toSweep() {
		if err := b.sweep(ctx, s, &page); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
	}
	b.section("sweep", page.String())
	return nil
}

func (b *bench) sweep(ctx context.Context, s sweep, page *strings.Builder) error {
	var pair [2]*grown
	for i := range pair {
		g, err := b.swept(ctx, s, i == 1)
		if err != nil {
			return err
		}
		pair[i] = g
	}
	var all []*meanwhile
	for _, l := range s.beside {
		m := &meanwhile{load: l}
		for i, g := range pair {
			if l.row == nil {
				continue
			}
			r, err := l.row(g, ctx)
			if err != nil {
				return err
			}
			r.name = fmt.Sprintf("%s, %s", l.name, g.engine)
			m.rows[i] = r
			if _, err := r.work(ctx, b.slice/4); err != nil { // what they do at first does not count
				return err
			}
		}
		all = append(all, m)
	}
	progress("  %d old %s", b.many, s.what)
	// Deletions rest after one in which the server stood still: in long slices that is little.
	if err := untilOver(ctx, s, pair, all, 5*b.slice); err != nil {
		return err
	}
	for _, m := range all {
		m.tell(b, s, page)
	}
	return nil
}

// swept is a server on SQLite with a thousand accounts and many rows, which are old or not.
func (b *bench) swept(ctx context.Context, s sweep, old bool) (*grown, error) {
	engine, name := "without a sweep", "young-"
	if old {
		engine, name = "with a sweep", "old-"
	}
	other, err := b.another(name+strings.ReplaceAll(s.what, " ", "-"), s.settings...)
	if err != nil {
		return nil, err
	}
	if err := other.begin(ctx); err != nil {
		return nil, err
	}
	data := filepath.Join(other.dir, "data")
	g := &grown{bench: other, engine: engine, n: few, file: filepath.Join(data, store.DatabaseFile)}
	st, err := store.OpenFile(ctx, g.file)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(fillAccounts(ctx, st, few), st.Close()); err != nil {
		return nil, err
	}
	began := time.Now()
	if err := s.fill(ctx, data, b.many, old); err != nil {
		return nil, err
	}
	progress("  %d %s in %.0f s", b.many, s.what, time.Since(began).Seconds())
	_, err = other.server.start(ctx)
	return g, err
}

// meanwhile is what was measured under one load.
type meanwhile struct {
	load
	rows    [2]*row // without a sweep, and with it
	slices  [2][]sample
	deleted int
	took    time.Duration // of the sweep under this load
}

// untilOver measures all loads in turn until nothing is left to delete, each without and then
// with the sweep. A server whose turn it isn't stands still.
func untilOver(ctx context.Context, s sweep, pair [2]*grown, all []*meanwhile, slice time.Duration) (err error) {
	for _, g := range pair {
		if err := g.server.Process.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, g.server.Process.Signal(syscall.SIGCONT)) }()
	}
	left, err := count(ctx, pair[1].file, s.left)
	for round := 1; err == nil && left > 0; round++ {
		for _, m := range all {
			if m.row != nil {
				err = m.measure(ctx, 0, pair[0], slice)
			}
			if err == nil {
				began := time.Now()
				err = m.measure(ctx, 1, pair[1], slice)
				m.took += time.Since(began)
			}
			if err != nil {
				return err
			}
			was := left
			if left, err = count(ctx, pair[1].file, s.left); err != nil {
				return err
			}
			m.deleted += was - left
		}
		progress("  round %d: %d left", round, left)
	}
	return err
}

func (m *meanwhile) measure(ctx context.Context, i int, g *grown, slice time.Duration) error {
	if err := g.server.Process.Signal(syscall.SIGCONT); err != nil {
		return err
	}
	if r := m.rows[i]; r == nil {
		sleep(ctx, slice)
	} else {
		before := r.sum
		r.sum = sample{}
		if err := r.measure(ctx, slice); err != nil {
			return err
		}
		m.slices[i] = append(m.slices[i], r.sum)
		before.add(r.sum)
		r.sum = before
	}
	return g.server.Process.Signal(syscall.SIGSTOP)
}

// moved tells how much higher the p99 with the sweep is than that without, in some slices of all.
func (m *meanwhile) moved(from, to int) float64 {
	var p99 [2]float64
	for i := range p99 {
		part := &row{}
		for _, s := range m.slices[i][from:to] {
			part.sum.add(s)
		}
		p99[i] = float64(part.quantile(0.99))
	}
	return p99[1]/p99[0] - 1
}

// tell adds what was measured to the table of the run, and a line to that of the page.
func (m *meanwhile) tell(b *bench, s sweep, page *strings.Builder) {
	rate := number(float64(m.deleted)/m.took.Seconds()) + " /s"
	fmt.Fprintf(page, "| %d %s | %s | %s |", b.many, s.what, m.name, rate)
	b.table = append(b.table, line{name: fmt.Sprintf("%s deleted beside %s", s.what, m.name), measured: rate})
	if m.row == nil {
		page.WriteString(strings.Repeat(" |", 6) + "\n")
		return
	}
	m.rows[1].limit, m.rows[1].share = m.rows[0], 1
	b.table.add(m.rows[:]...)
	n := len(m.slices[0])
	aim := "< 20 %"
	moved := m.moved(0, n)
	thirds := fmt.Sprintf("%s | %s | %s", percent(m.moved(0, (n+2)/3)), percent(m.moved(n/3, (2*n+2)/3)), percent(m.moved(2*n/3, n)))
	b.table = append(b.table, line{name: fmt.Sprintf("%s: a sweep of %s moves p99 by", m.name, s.what), measured: percent(moved), aim: verdict(moved < 0.2, aim)})
	b.table = append(b.table, line{name: fmt.Sprintf("%s: in its first, second and last third", m.name), measured: strings.ReplaceAll(thirds, " | ", ", ")})
	fmt.Fprintf(page, " %s | %s | %s | %s |\n", latency(m.rows[0].quantile(0.99)), latency(m.rows[1].quantile(0.99)), percent(moved), thirds)
}

func count(ctx context.Context, file, query string) (n int, err error) {
	db, err := sql.Open("sqlite", "file:"+file+"?mode=ro")
	if err != nil {
		return 0, err
	}
	err = db.QueryRowContext(ctx, query).Scan(&n)
	return n, errors.Join(err, db.Close())
}
