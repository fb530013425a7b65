package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// curve is a figure at several sizes: a rate (in /s), or what something takes.
type curve struct {
	name, unit string
	sizes      []int
	values     []float64
}

func (c *curve) at(n int, value float64) {
	c.sizes, c.values = append(c.sizes, n), append(c.values, value)
}

// cost is what one takes, compared with the smallest size.
func (c *curve) cost(i int) float64 {
	if c.unit == "/s" {
		return c.values[0] / c.values[i]
	}
	return c.values[i] / c.values[0]
}

type curves []curve

// weigh tells what all takes on the disk: the only thing that may grow with it.
func (c *curves) weigh(ctx context.Context, all []*grown) error {
	f := curve{name: "disk for an account and its session", unit: "B"}
	for _, g := range all {
		size, err := g.size(ctx)
		if err != nil {
			return err
		}
		f.at(g.n, float64(size)/float64(g.n))
	}
	*c = append(*c, f)
	return nil
}

// rest measures starts and memory, and leaves the servers running.
func (c *curves) rest(ctx context.Context, all []*grown) error {
	start, idle := curve{name: "start to the first 200", unit: "ms"}, curve{name: "memory, idle", unit: "MB"}
	took, err := started(ctx, all)
	if err != nil {
		return err
	}
	for i, g := range all {
		start.at(g.n, float64(took[i])/1e6)
		if _, err := g.server.start(ctx); err != nil {
			return err
		}
	}
	sleep(ctx, atRest)
	for _, g := range all {
		resident, err := g.server.resident()
		if err != nil {
			return err
		}
		idle.at(g.n, resident)
	}
	*c = append(*c, start, idle)
	return nil
}

// started are the medians of several starts, in turn, of servers that then don't run.
func started(ctx context.Context, all []*grown) ([]time.Duration, error) {
	took := make([][]time.Duration, len(all))
	for range all[0].plan.starts {
		for i, g := range all {
			d, err := g.server.start(ctx)
			if err := errors.Join(err, g.server.stop()); err != nil {
				return nil, err
			}
			took[i] = append(took[i], d)
		}
	}
	medians := make([]time.Duration, len(all))
	for i, list := range took {
		slices.Sort(list)
		medians[i] = list[len(list)/2]
	}
	return medians, nil
}

func (c *curves) search(ctx context.Context, all []*grown) error {
	f := curve{name: "search by prefix", unit: "ms"}
	took, err := search(ctx, all)
	if err != nil {
		return err
	}
	for i, g := range all {
		f.at(g.n, float64(took[i][len(took[i])/2])/1e6)
	}
	*c = append(*c, f)
	return nil
}

// audited measures the start of the largest again, with ten entries of the audit log for each account.
func (c *curves) audited(ctx context.Context, g *grown) error {
	if err := g.server.stop(); err != nil {
		return err
	}
	began := time.Now()
	if err := fillAudit(ctx, g.file, 10*g.n); err != nil {
		return err
	}
	progress("  %d audit entries in %.0f s", 10*g.n, time.Since(began).Seconds())
	took, err := started(ctx, []*grown{g})
	if err != nil {
		return err
	}
	*c = append(*c, curve{name: fmt.Sprintf("start, with %d audit entries", 10*g.n), unit: "ms", sizes: []int{g.n}, values: []float64{float64(took[0]) / 1e6}})
	return nil
}

// table is the figures in Markdown, a column for each size.
func (c curves) table() string {
	var b strings.Builder
	sizes := c[0].sizes
	b.WriteString("| accounts, and as many sessions |")
	for _, n := range sizes {
		fmt.Fprintf(&b, " %d |", n)
	}
	b.WriteString("\n| --- |" + strings.Repeat(" ---: |", len(sizes)) + "\n")
	for _, f := range c {
		b.WriteString("| " + f.name + " |")
		for _, n := range sizes {
			cell := ""
			if i := slices.Index(f.sizes, n); i >= 0 {
				cell = number(f.values[i]) + " " + f.unit
			}
			b.WriteString(" " + cell + " |")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// colours of the lines, which differ for those who see few colours, too.
var colours = []string{"#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#777777", "#000000"}

const chartTop = 2.5 // times the smallest size's

// chart draws what one operation takes at each size, as a multiple of the smallest, beside log n.
func (c curves) chart() string {
	const left, top, width, height = 60, 40, 440, 300
	sizes := c[0].sizes
	first, last := math.Log10(float64(sizes[0])), math.Log10(float64(sizes[len(sizes)-1]))
	x := func(n int) float64 { return left + width*(math.Log10(float64(n))-first)/(last-first) }
	y := func(cost float64) float64 { return top + height*(1-min(cost, chartTop)/chartTop) }
	var b strings.Builder
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 390" font-family="sans-serif" font-size="12">
<rect width="800" height="390" fill="#ffffff"/>
<text x="60" y="22" font-size="14">What one takes, as a multiple of what it takes with the fewest accounts and sessions</text>
`)
	for cost := 0.0; cost <= chartTop; cost += 0.5 {
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#dddddd"/><text x="%d" y="%.1f" text-anchor="end">%.1f ×</text>`+"\n",
			left, left+width, y(cost), y(cost), left-8, y(cost)+4, cost)
	}
	for _, n := range sizes {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%d</text>`+"\n", x(n), top+height+20, n)
	}
	logn := curve{name: "log n", unit: "steps", sizes: sizes}
	for _, n := range sizes {
		logn.values = append(logn.values, math.Log10(float64(n)))
	}
	drawn := 0
	for _, f := range append(slices.Clone(c), logn) {
		if len(f.sizes) < len(sizes) {
			continue
		}
		colour, dash := colours[drawn%len(colours)], ""
		if f.name == logn.name {
			colour, dash = "#000000", ` stroke-dasharray="6 4"`
		}
		var points []string
		for i, n := range f.sizes {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(n), y(f.cost(i))))
		}
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"%s/>`+"\n", strings.Join(points, " "), colour, dash)
		row := top + 20 + 22*drawn
		fmt.Fprintf(&b, `<line x1="520" x2="545" y1="%d" y2="%d" stroke="%s" stroke-width="2"%s/><text x="552" y="%d">%s</text>`+"\n", row, row, colour, dash, row+4, f.name)
		drawn++
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// publish adds the figures to the table of the run, and to the page.
func (c curves) publish(b *bench) error {
	for _, f := range c {
		for i, n := range f.sizes {
			if f.unit != "/s" {
				b.table = append(b.table, line{name: fmt.Sprintf("%s, %d accounts and sessions", f.name, n), measured: number(f.values[i]) + " " + f.unit, ratio: percent(f.cost(i))})
			}
		}
	}
	b.section("growth", c.table()+"\n![What one takes at each size](performance/growth.svg)\n")
	return b.draw("growth.svg", c.chart())
}
