package main

import (
	"encoding/xml"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The chart is well-formed, and draws as a multiple of the smallest: a rate upside down.
func TestCurves_Page(t *testing.T) {
	sizes := []int{1000, 100000}
	c := curves{
		{name: "logins", unit: "/s", sizes: sizes, values: []float64{200, 100}},
		{name: "start", unit: "ms", sizes: sizes, values: []float64{10, 15}},
		{name: "start, with entries", unit: "ms", sizes: sizes[1:], values: []float64{16}},
	}
	if c[0].cost(1) != 2 || c[1].cost(1) != 1.5 {
		t.Errorf("%v and %v times as much", c[0].cost(1), c[1].cost(1))
	}
	chart := c.chart()
	if err := xml.Unmarshal([]byte(chart), new(struct{})); err != nil || strings.Count(chart, "<polyline") != 3 {
		t.Errorf("%v: %s", err, chart)
	}
	if want := "| start, with entries |  | 16.0 ms |\n"; !strings.HasSuffix(c.table(), want) {
		t.Errorf("no %q in\n%s", want, c.table())
	}
	dir := t.TempDir()
	page := filepath.Join(dir, "performance.md")
	if err := os.WriteFile(page, []byte("before\n<!-- growth -->\nold\n<!-- /growth -->\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := &bench{plan: plan{docs: dir, only: []string{"growth"}, many: 100000}}
	if err := errors.Join(c.publish(b), b.writePage("one machine")); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(page)
	drawn, _ := os.ReadFile(filepath.Join(dir, "performance", "growth.svg"))
	const begins = "before\n<!-- growth -->\nBy `make bench BENCHFLAGS=\"-only growth -accounts 100000 -docs ../docs\"`: one machine\n\n| accounts"
	if !strings.HasPrefix(string(text), begins) || strings.Contains(string(text), "old") || string(drawn) != chart {
		t.Errorf("%s", text)
	}
}
