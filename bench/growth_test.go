package main

import (
	"encoding/xml"
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
	b := &bench{plan: plan{docs: dir}}
	if err := c.publish(b); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(page)
	drawn, _ := os.ReadFile(filepath.Join(dir, "performance", "growth.svg"))
	if !strings.HasPrefix(string(text), "before\n<!-- growth -->\n| accounts") || strings.Contains(string(text), "old") || string(drawn) != chart {
		t.Errorf("%s", text)
	}
}
