package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

const (
	accounts = 16
	clients  = 16 // of refreshes and verifications
)

// What the design aims at, where no limit can be measured.
const (
	aimStart  = 50 // ms
	aimIdle   = 25 // MB
	aimLogin  = 80 // MB
	aimBinary = 25 // MB
)

// bench is one run.
type bench struct {
	plan
	server  *server
	dir     string
	table   table
	closers []func() error
}

func (b *bench) close() (err error) {
	for _, c := range slices.Backward(b.closers) {
		err = errors.Join(err, c())
	}
	return errors.Join(err, b.server.stop())
}

// measure measures everything. Each group is measured with its limits, and no two at once.
func (b *bench) measure(ctx context.Context) error {
	progress("starting on a new data directory, %d accounts", accounts)
	if _, err := b.server.start(ctx); err != nil {
		return err
	}
	for i := range accounts {
		if err := b.server.createAccount(ctx, username(i)); err != nil {
			return err
		}
	}
	if err := b.restart(ctx); err != nil {
		return err
	}
	groups := []struct {
		name string
		run  func(context.Context) error
	}{{"login", b.logins}, {"refresh", b.refreshes}, {"verify", b.verifications}, {"start", b.starts}, {"engines", b.engines}, {"copies", b.copies}, {"growth", b.growth}, {"sweep", b.sweeps}}
	for _, g := range groups {
		if !b.has(g.name) {
			continue
		}
		progress("%s, load average %s", g.name, loadAverage())
		if err := g.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) restart(ctx context.Context) error {
	if err := b.server.stop(); err != nil {
		return err
	}
	_, err := b.server.start(ctx)
	return err
}

func username(i int) string { return fmt.Sprintf("bench-%d", i%accounts) }

// logins measures logins against the bare hash: mikrocloud's, in two requests and without
// a JWT, nomic's with one, and senmo's with two, whose signatures cost so much that they
// have a limit of their own.
func (b *bench) logins(ctx context.Context) error {
	limit, signed, err := hashLimits()
	if err != nil {
		return err
	}
	rows := []*row{limit}
	for _, kind := range []struct {
		name  string
		login func(c *client, i int) worker
		limit *row
	}{{"mikrocloud", b.mikrocloud, limit}, {"nomic", b.nomic, limit}, {"senmo", b.senmo, signed}} {
		if kind.limit != rows[0] {
			rows = append(rows, kind.limit)
		}
		for _, n := range []int{16, 64} {
			r := &row{name: fmt.Sprintf("logins %s, %d clients", kind.name, n), unit: "/s", limit: kind.limit, share: 1}
			for i := range n {
				c, err := b.connect(ctx, b.server.address)
				if err != nil {
					return err
				}
				r.workers = append(r.workers, kind.login(c, i))
			}
			rows = append(rows, r)
		}
	}
	// The limit goes first, and leaves the server alone for a while.
	if err := limit.measure(ctx, b.slice); err != nil {
		return err
	}
	idle, err := b.server.resident()
	if err != nil {
		return err
	}
	peak, stop := watch(ctx, b.server.resident)
	err = interleave(ctx, rows, b.rounds, b.slice)
	stop()
	if err != nil {
		return err
	}
	b.table.add(rows...)
	b.table.value("resident memory, idle", "MB", idle, aimIdle)
	b.table.value("resident memory, most under logins", "MB", *peak, aimLogin)
	return nil
}

// watch looks at a process's memory ten times a second, until stop.
func watch(ctx context.Context, resident func() (float64, error)) (peak *float64, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	peak, done := new(float64), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			if now, err := resident(); err == nil {
				*peak = max(*peak, now)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}()
	return peak, func() { cancel(); <-done }
}

// refreshes measures refreshes (senmo, two JWTs) against half the bare signatures.
func (b *bench) refreshes(ctx context.Context) error {
	var rows []*row
	for _, algorithm := range []string{"RS256", "ES256"} {
		limit, err := signLimit(algorithm)
		if err != nil {
			return err
		}
		r := &row{name: fmt.Sprintf("refreshes %s, %d clients", algorithm, clients), unit: "/s", limit: limit, share: 0.5}
		for i := range clients {
			work, err := b.refresher(ctx, prefix(algorithm), i)
			if err != nil {
				return err
			}
			r.workers = append(r.workers, work)
		}
		rows = append(rows, limit, r)
	}
	commits, closeStore, err := commitLimit(ctx, filepath.Join(b.dir, "commits"), clients)
	if err != nil {
		return err
	}
	b.closers = append(b.closers, closeStore)
	rows = append(rows, commits)
	if err := interleave(ctx, rows, b.rounds, b.slice*2/3); err != nil {
		return err
	}
	b.table.add(rows...)
	return nil
}

// verifications measures /ostiary/verify, and introspection, against a bare handler that
// is sent the same as the first and answers with the same header.
func (b *bench) verifications(ctx context.Context) (err error) {
	var questions []question
	kinds := []string{"RS256", "ES256", "opaque"}
	for _, kind := range kinds {
		bearer, err := b.bearer(ctx, kind)
		if err != nil {
			return err
		}
		questions = append(questions, question{method: "GET", path: "/ostiary/verify", authorization: "Bearer " + bearer})
	}
	header, err := b.answerOf(ctx, b.server.target(), questions[0])
	if err != nil {
		return err
	}
	header.Del("Date") // net/http adds it
	floor, stopFloor, err := startFloor(ctx, header)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopFloor()) }()
	limit, err := b.asking(ctx, "limit: bare net/http", floor, questions[0])
	if err != nil {
		return err
	}
	rows := []*row{limit}
	for i, kind := range kinds {
		r, err := b.asking(ctx, "verifications "+kind, b.server.target(), questions[i])
		if err != nil {
			return err
		}
		rows = append(rows, r)
	}
	introspection, err := b.introspecting(ctx)
	if err != nil {
		return err
	}
	rows = append(rows, introspection)
	for _, r := range rows[1:] {
		r.limit, r.share = limit, 1
	}
	if err := interleave(ctx, rows, b.rounds, b.slice*2/3); err != nil {
		return err
	}
	b.table.add(rows...)
	after, err := b.server.resident()
	if err != nil {
		return err
	}
	b.table = append(b.table, line{name: "resident memory, after the load", measured: number(after) + " MB"})
	return nil
}

// starts measures how long the server takes from its start to its first 200, on a database that exists.
func (b *bench) starts(ctx context.Context) error {
	var took []time.Duration
	for range b.plan.starts {
		if err := b.server.stop(); err != nil {
			return err
		}
		d, err := b.server.start(ctx)
		if err != nil {
			return err
		}
		took = append(took, d)
	}
	slices.Sort(took)
	size, err := b.server.size()
	if err != nil {
		return err
	}
	b.table.value(fmt.Sprintf("start to the first 200, median of %d", len(took)), "ms", float64(took[len(took)/2])/1e6, aimStart)
	b.table.value("size of the binary", "MB", size, aimBinary)
	return nil
}
