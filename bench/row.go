package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// worker does one operation: a request, or what a limit is made of.
type worker func() error

// row is a line of the table that is measured by doing something over and over.
type row struct {
	name    string
	unit    string
	workers []worker
	limit   *row    // what this is compared with
	share   float64 // of the limit: 0.5 where an operation takes two of the limit's
	wrk     *wrk    // does what is counted in the workers' place, if it is there
	pid     int     // of the server, if its processor time is told
	port    string  // of the PostgreSQL whose processor time counts as the server's; "": none

	sum sample
}

// sample is what has been measured of a row.
type sample struct {
	done      int // operations
	took      time.Duration
	processor time.Duration // of the server
	latency   []time.Duration
}

func (s *sample) add(other sample) {
	s.done += other.done
	s.took += other.took
	s.processor += other.processor
	s.latency = append(s.latency, other.latency...)
}

// measure does the row's operations for a while, and adds what that took.
func (r *row) measure(ctx context.Context, d time.Duration) error {
	work := r.work
	if r.wrk != nil {
		work = r.wrk.run
	}
	before, err := r.processorTime()
	if err != nil {
		return err
	}
	s, err := work(ctx, d)
	if err != nil {
		return fmt.Errorf("%s: %w", r.name, err)
	}
	after, err := r.processorTime()
	s.processor = after - before
	r.sum.add(s)
	return err
}

func (r *row) processorTime() (time.Duration, error) {
	t, err := processorTimeOf(r.pid)
	if err == nil && r.port != "" {
		t += processorTimeOfPostgres(r.port)
	}
	return t, err
}

// work lets all workers work for a while, one operation after another, and waits for the last.
func (r *row) work(ctx context.Context, d time.Duration) (sample, error) {
	latency := make([][]time.Duration, len(r.workers))
	failed := make([]error, len(r.workers))
	start := time.Now()
	end := start.Add(d)
	var all sync.WaitGroup
	for i, work := range r.workers {
		all.Go(func() {
			list := make([]time.Duration, 0, 4096)
			for now := time.Now(); now.Before(end) && ctx.Err() == nil; {
				if failed[i] = work(); failed[i] != nil {
					break
				}
				done := time.Now()
				list = append(list, done.Sub(now))
				now = done
			}
			latency[i] = list
		})
	}
	all.Wait()
	s := sample{took: time.Since(start), latency: slices.Concat(latency...)}
	s.done = len(s.latency)
	if err := errors.Join(failed...); err != nil {
		return s, err
	}
	return s, context.Cause(ctx)
}

// interleave gives each row its slices in turn, so that whatever else the machine does
// is spread over all of them. What their workers do before the first is not counted.
func interleave(ctx context.Context, rows []*row, rounds int, slice time.Duration) error {
	for _, r := range rows {
		if _, err := r.work(ctx, slice/8); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	for range rounds {
		for _, r := range rows {
			if err := r.measure(ctx, slice); err != nil {
				return err
			}
		}
	}
	for _, r := range rows {
		progress("  %s: %.1f %s", r.name, r.rate(), r.unit)
	}
	return nil
}

// rate is operations a second.
func (r *row) rate() float64 { return float64(r.sum.done) / r.sum.took.Seconds() }

// quantile is the latency that a part of the operations did not exceed.
func (r *row) quantile(part float64) time.Duration {
	list := r.sum.latency
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[min(int(part*float64(len(list))), len(list)-1)]
}

// line is a row as text.
type line struct{ name, measured, limit, ratio, processor, p50, p99 string }

func (r *row) line() line {
	l := line{name: r.name, measured: number(r.rate()) + " " + r.unit, p50: latency(r.quantile(0.5)), p99: latency(r.quantile(0.99))}
	if r.limit != nil {
		limit := r.limit.rate() * r.share
		l.limit, l.ratio = number(limit)+" "+r.unit, percent(r.rate()/limit)
	}
	if r.pid != 0 && r.sum.done > 0 {
		l.processor = number(float64(r.sum.processor)/float64(r.sum.done)/1e3) + " µs"
	}
	return l
}

// table is all lines.
type table []line

func (t *table) add(rows ...*row) {
	for _, r := range rows {
		*t = append(*t, r.line())
	}
}

// value adds a figure that has an aim instead of a limit.
func (t *table) value(name, unit string, measured, aim float64) {
	*t = append(*t, line{name: name, measured: number(measured) + " " + unit, limit: "aim < " + number(aim) + " " + unit, ratio: percent(measured / aim)})
}

// write prints the table as Markdown, with columns that line up.
func (t table) write(w io.Writer) error {
	lines := append(table{
		{"what", "measured", "limit", "ratio", "server CPU", "p50", "p99"},
		{"---", "---:", "---:", "---:", "---:", "---:", "---:"},
	}, t...)
	var widths [7]int
	for _, l := range lines {
		for i, cell := range l.cells() {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for _, l := range lines {
		c := l.cells()
		if _, err := fmt.Fprintf(w, "| %-*s | %*s | %*s | %*s | %*s | %*s | %*s |\n", widths[0], c[0], widths[1], c[1],
			widths[2], c[2], widths[3], c[3], widths[4], c[4], widths[5], c[5], widths[6], c[6]); err != nil {
			return err
		}
	}
	return nil
}

func (l line) cells() [7]string {
	return [7]string{l.name, l.measured, l.limit, l.ratio, l.processor, l.p50, l.p99}
}

// number has three digits that mean something.
func number(x float64) string {
	switch {
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

func percent(x float64) string { return fmt.Sprintf("%.0f %%", 100*x) }

func latency(d time.Duration) string { return number(float64(d)/float64(time.Millisecond)) + " ms" }
