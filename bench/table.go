package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// line is a row as text.
type line struct {
	name, measured, limit, ratio, aim, processor, mallocs string
	p50, p99, p999                                        string
}

func (r *row) line() line {
	l := line{
		name: r.name, measured: number(r.rate()) + " " + r.unit, aim: r.aim.told(r),
		p50: latency(r.quantile(0.5)), p99: latency(r.quantile(0.99)), p999: latency(r.quantile(0.999)),
	}
	if r.sum.refused > 0 {
		l.measured += fmt.Sprintf(", **%d refused**", r.sum.refused)
	}
	if r.limit != nil {
		l.limit, l.ratio = number(r.bound())+" "+r.unit, percent(r.ratio())
	}
	if r.pid != 0 {
		l.processor = number(float64(r.sum.processor)/float64(r.sum.done)/1e3) + " µs"
	}
	if r.mallocs != nil {
		l.mallocs = number(r.sum.mallocs / float64(r.sum.done))
	}
	return l
}

// aim is what the design promises of a row. What is 0 is not promised.
type aim struct {
	ratio  float64 // at least this part of the limit
	rate   float64 // at least so many a second
	spread float64 // p99 at most so many times p50
	like   *row    // no fewer a second than here
}

// asMany is the part of another row's rate that is as many: the rest is noise.
const asMany = 0.97

// told says for each part of an aim whether it was met.
func (a aim) told(r *row) string {
	var parts []string
	tell := func(met bool, format string, args ...any) {
		parts = append(parts, verdict(met, fmt.Sprintf(format, args...)))
	}
	if a.ratio > 0 {
		tell(r.ratio() >= a.ratio, "≥ %s", percent(a.ratio))
	}
	if a.rate > 0 {
		tell(r.rate() >= a.rate, "≥ %s %s", number(a.rate), r.unit)
	}
	if a.like != nil {
		tell(r.rate() >= asMany*a.like.rate() && r.sum.refused == 0, "as many")
	}
	if a.spread > 0 {
		tell(float64(r.quantile(0.99)) <= a.spread*float64(r.quantile(0.5)), "p99 ≤ %.3g × p50", a.spread)
	}
	return strings.Join(parts, ", ")
}

func verdict(met bool, aim string) string {
	if met {
		return aim + ": met"
	}
	return aim + ": **missed**"
}

// table is all lines.
type table []line

func (t *table) add(rows ...*row) {
	for _, r := range rows {
		*t = append(*t, r.line())
	}
}

// value adds a figure that is not of a row, with the most that it should be, or 0.
func (t *table) value(name, unit string, measured, below float64) {
	l := line{name: name, measured: number(measured) + " " + unit}
	if below > 0 {
		l.aim = verdict(measured < below, "< "+number(below)+" "+unit)
	}
	*t = append(*t, l)
}

// write prints the table as Markdown, with columns that line up.
func (t table) write(w io.Writer) error {
	lines := append(table{
		{"what", "measured", "limit", "ratio", "aim", "CPU", "mallocs", "p50", "p99", "p99.9"},
		{"---", "---:", "---:", "---:", "---", "---:", "---:", "---:", "---:", "---:"},
	}, t...)
	var widths [10]int
	for _, l := range lines {
		for i, cell := range l.cells() {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for _, l := range lines {
		var text strings.Builder
		for i, cell := range l.cells() {
			left := i == 0 || i == 4
			if left {
				fmt.Fprintf(&text, "| %-*s ", widths[i], cell)
			} else {
				fmt.Fprintf(&text, "| %*s ", widths[i], cell)
			}
		}
		if _, err := fmt.Fprintf(w, "%s|\n", text.String()); err != nil {
			return err
		}
	}
	return nil
}

func (l line) cells() [10]string {
	return [...]string{l.name, l.measured, l.limit, l.ratio, l.aim, l.processor, l.mallocs, l.p50, l.p99, l.p999}
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
