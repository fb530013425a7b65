package main

import (
	"encoding/xml"
	"fmt"
	"math"
	"strings"
)

// drawing is an SVG in the making.
type drawing struct {
	width, height float64
	body          strings.Builder
}

// style are the colours on a page that is light, and on one that is dark; the ground is
// drawn too, since the page may be another than the reader's system.
const style = `<style>
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 14px }
.faint { fill: #59636e }
.ground { fill: #ffffff; stroke: #d1d9e0 }
.grid { stroke: #d1d9e0 }
.own { fill: #0969da; stroke: #0969da }
.other { fill: #8c959f; stroke: #8c959f }
.aim { stroke: #cf222e; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc }
.faint { fill: #9198a1 }
.ground { fill: #0d1117; stroke: #3d444d }
.grid { stroke: #3d444d }
.own { fill: #4493f8; stroke: #4493f8 }
.other { fill: #7d8590; stroke: #7d8590 }
.aim { stroke: #f85149 }
}
</style>
`

func newDrawing(width, height float64, title string) *drawing {
	d := &drawing{width: width, height: height}
	d.add(`<rect class="ground" x="0.5" y="0.5" width="%.1f" height="%.1f" rx="6"/>`, width-1, height-1)
	d.text("title", "start", 16, 26, title)
	return d
}

func (d *drawing) add(format string, args ...any) { fmt.Fprintf(&d.body, format+"\n", args...) }

func (d *drawing) rect(class string, x, y, width, height float64) {
	d.add(`<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, class, x, y, width, height)
}

func (d *drawing) line(class string, x1, y1, x2, y2 float64) {
	d.add(`<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, class, x1, y1, x2, y2)
}

func (d *drawing) dot(class string, x, y, radius float64) {
	d.add(`<circle class="%s" cx="%.1f" cy="%.1f" r="%.1f"/>`, class, x, y, radius)
}

// text stands at a point with its "start", "middle" or "end".
func (d *drawing) text(class, anchor string, x, y float64, text string) {
	var escaped strings.Builder
	_ = xml.EscapeText(&escaped, []byte(text))
	d.add(`<text class="%s" x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, class, x, y, anchor, escaped.String())
}

func (d *drawing) String() string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" role="img">`+"\n",
		d.width, d.height, d.width, d.height) + style + d.body.String() + "</svg>\n"
}

// The charts of rows have the names on the left, and a line of text below.
const (
	rowsWidth = 930.0
	rowsLeft  = 320.0
	rowsRight = 860.0
	rowsTop   = 44.0
	rowsStep  = 22.0
)

func newChart(title, below string, rows int) (d *drawing, bottom float64) {
	bottom = rowsTop + float64(rows)*rowsStep
	d = newDrawing(rowsWidth, bottom+52, title)
	d.text("faint", "start", 16, bottom+42, below)
	return d, bottom
}

func classOf(r *row) string {
	if strings.HasPrefix(r.name, beside) {
		return "other"
	}
	return "own"
}

// ratios draws each row that has a limit as a part of it.
func ratios(rows []*row) string {
	rows = keep(rows, func(r *row) bool { return r.limit != nil && !strings.HasPrefix(r.name, "limit:") })
	d, bottom := newChart("Of what the machine can do at best", "A mark is what was aimed at. Grey is PocketBase, whose limits are others.", len(rows))
	at := func(ratio float64) float64 { return rowsLeft + (rowsRight-rowsLeft)*min(ratio, 1.05)/1.05 }
	for part := 0.0; part <= 1; part += 0.25 {
		d.line("grid", at(part), rowsTop-6, at(part), bottom)
		d.text("faint", "middle", at(part), bottom+16, percent(part))
	}
	for i, r := range rows {
		y := rowsTop + float64(i)*rowsStep
		d.text("", "end", rowsLeft-8, y+12, r.name)
		d.rect(classOf(r), rowsLeft, y+1, at(r.ratio())-rowsLeft, rowsStep-8)
		d.text("", "start", rowsRight+8, y+12, percent(r.ratio()))
		if r.aim.ratio > 0 {
			d.line("aim", at(r.aim.ratio), y-1, at(r.aim.ratio), y+rowsStep-5)
		}
	}
	return d.String()
}

// latencies draws for each row that asks a server the median, and what one of a hundred
// and one of a thousand answers exceeded, each tenfold as far as the last.
func latencies(rows []*row) string {
	rows = keep(rows, func(r *row) bool { return r.pid != 0 })
	d, bottom := newChart("How long an answer takes", "Dots, from large to small: p50, p99, p99.9. Grey is PocketBase, and bare net/http.", len(rows))
	least, most := math.Inf(1), math.Inf(-1)
	for _, r := range rows {
		least, most = min(least, millis(r, 0.5)), max(most, millis(r, 0.999))
	}
	low, high := math.Floor(math.Log10(least)), math.Ceil(math.Log10(most))
	at := func(ms float64) float64 {
		return rowsLeft + (rowsRight-rowsLeft)*(math.Log10(ms)-low)/(high-low)
	}
	for power := low; power <= high; power++ {
		x := at(math.Pow(10, power))
		d.line("grid", x, rowsTop-6, x, bottom)
		d.text("faint", "middle", x, bottom+16, fmt.Sprintf("%g ms", math.Pow(10, power)))
	}
	for i, r := range rows {
		y, class := rowsTop+float64(i)*rowsStep+8, classOf(r)
		if strings.HasPrefix(r.name, "limit:") {
			class = "other"
		}
		d.text("", "end", rowsLeft-8, y+4, r.name)
		d.line(class, at(millis(r, 0.5)), y, at(millis(r, 0.999)), y)
		d.dot(class, at(millis(r, 0.5)), y, 5)
		d.dot(class, at(millis(r, 0.99)), y, 3.5)
		d.dot(class, at(millis(r, 0.999)), y, 2)
	}
	return d.String()
}

// millis is a quantile as a number whose logarithm can be drawn.
func millis(r *row, part float64) float64 { return max(float64(r.quantile(part))/1e6, 0.001) }

func keep(rows []*row, want func(*row) bool) (kept []*row) {
	for _, r := range rows {
		if want(r) {
			kept = append(kept, r)
		}
	}
	return kept
}
