package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	accounts = 256 // one for each client
	clients  = 16  // where a figure does not say another number
)

// bench is one run.
type bench struct {
	plan
	server   *server
	pocket   *pocket // nil: PocketBase is not measured
	dir      string
	rows     []*row // of the groups of the page
	table    table
	sections []section // of the page
	closers  []func() error
}

func (b *bench) close() (err error) {
	for _, c := range slices.Backward(b.closers) {
		err = errors.Join(err, c())
	}
	return errors.Join(err, b.server.stop())
}

// measure measures everything. Each group is measured with its limits, and no two at once.
func (b *bench) measure(ctx context.Context) error {
	progress("starting on new data directories, and making %d accounts", accounts)
	if err := b.populate(ctx); err != nil {
		return err
	}
	for _, g := range groups() {
		if !b.has(g.name) {
			continue
		}
		progress("%s, load average %s", g.name, loadAverage())
		if err := b.measureGroup(ctx, g); err != nil {
			return err
		}
	}
	for _, g := range []struct {
		name string
		run  func(context.Context) error
	}{{"engines", b.engines}, {"copies", b.copies}, {"growth", b.growth}, {"sweep", b.sweeps}} {
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

func (b *bench) measureGroup(ctx context.Context, g group) error {
	rows, err := b.open(ctx, g.rows)
	if err != nil {
		return err
	}
	values, err := g.run(b, ctx, rows)
	if err != nil {
		return err
	}
	b.rows = append(b.rows, rows...)
	b.table.add(rows...)
	for _, v := range g.values {
		if !b.alone || !strings.HasPrefix(v.name, beside) {
			b.table.value(v.name, v.unit, values[0], v.below)
			values = values[1:]
		}
	}
	return nil
}

// populate makes the accounts, and starts what is measured anew.
func (b *bench) populate(ctx context.Context) error {
	if _, err := b.server.start(ctx); err != nil {
		return err
	}
	for i := range accounts {
		if err := b.server.createAccount(ctx, username(i)); err != nil {
			return err
		}
	}
	if !b.alone {
		if err := b.pocket.populate(ctx); err != nil {
			return err
		}
		b.closers = append(b.closers, b.pocket.stop)
	}
	for _, p := range b.processes() {
		if err := p.stop(); err != nil {
			return err
		}
		if _, err := p.start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// processes are what is measured: Ostiary, and PocketBase unless it is left out.
func (b *bench) processes() []*process {
	list := []*process{&b.server.process}
	if !b.alone {
		list = append(list, &b.pocket.process)
	}
	return list
}

func username(i int) string { return fmt.Sprintf("bench-%d", i%accounts) }

func (b *bench) inTurns(ctx context.Context, rows []*row) ([]float64, error) {
	return nil, interleave(ctx, rows, b.rounds, b.slice*2/3)
}

// residents is the memory of each process.
func (b *bench) residents() (list []float64, err error) {
	for _, p := range b.processes() {
		now, err := p.resident()
		if err != nil {
			return nil, err
		}
		list = append(list, now)
	}
	return list, nil
}

// logins are measured with the memory that they take at the most.
func (b *bench) logins(ctx context.Context, rows []*row) (values []float64, err error) {
	var peaks []*float64
	var stops []func()
	for _, p := range b.processes() {
		peak, stop := watch(ctx, p.resident)
		peaks, stops = append(peaks, peak), append(stops, stop)
	}
	err = interleave(ctx, rows, b.rounds, b.slice)
	for i, stop := range stops {
		stop()
		values = append(values, *peaks[i])
	}
	return values, err
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

func (b *bench) verifications(ctx context.Context, rows []*row) ([]float64, error) {
	if err := interleave(ctx, rows, b.rounds, b.slice*2/3); err != nil {
		return nil, err
	}
	return b.residents()
}

// atRest is how long a server is left alone after its start before it counts as idle: it counts
// the accounts first, which takes a million of them ten seconds and more.
const atRest = 30 * time.Second

// starts measures in turns how long the servers take from their start to their first 200,
// on a database that exists, and then what is resident of them when nobody has asked.
func (b *bench) starts(ctx context.Context, _ []*row) ([]float64, error) {
	processes := b.processes()
	took := make([][]time.Duration, len(processes))
	for range b.plan.starts {
		for i, p := range processes {
			if err := p.stop(); err != nil {
				return nil, err
			}
			d, err := p.start(ctx)
			if err != nil {
				return nil, err
			}
			took[i] = append(took[i], d)
		}
	}
	var values []float64
	for _, list := range took {
		slices.Sort(list)
		values = append(values, float64(list[len(list)/2])/1e6)
	}
	sleep(ctx, atRest)
	idle, err := b.residents()
	if err != nil {
		return nil, err
	}
	values = append(values, idle...)
	for _, p := range processes {
		size, err := p.size()
		if err != nil {
			return nil, err
		}
		values = append(values, size)
	}
	return values, nil
}
