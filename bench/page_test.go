package main

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// names are those of all figures of the page, in their order.
func names() (list []string) {
	for _, g := range groups() {
		for _, s := range g.rows {
			list = append(list, s.name)
		}
		for _, v := range g.values {
			list = append(list, v.name)
		}
	}
	return list
}

// wellFormed says what is wrong with a chart.
func wellFormed(text string) error {
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// The page has what the program measures, and the charts that it names.
func TestPage_AsMeasured(t *testing.T) {
	text, err := os.ReadFile("../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "<!-- figures -->\n")
	inside, _, closed := strings.Cut(rest, "<!-- /figures -->")
	if !found || !closed {
		t.Fatal("the page has no figures")
	}
	var rows []string
	for line := range strings.Lines(inside) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			rows = append(rows, strings.TrimSpace(cells[1]))
		}
	}
	if want := append([]string{"what", "---"}, names()...); len(rows) > 0 && !slices.Equal(rows, want) {
		t.Errorf("the page has the rows\n%q\nand make bench makes\n%q", rows, want)
	}
	for _, match := range regexp.MustCompile(`\]\((performance/[^)]*\.svg)\)`).FindAllStringSubmatch(string(text), -1) {
		chart, err := os.ReadFile(filepath.Join("../docs", match[1]))
		if err == nil {
			err = wellFormed(string(chart))
		}
		if err != nil {
			t.Errorf("%s: %v", match[1], err)
		}
	}
}

// Each row has the limit that it names, and the first row of its kind to be as many as.
func TestGroups_NameWhatStandsBefore(t *testing.T) {
	for _, g := range groups() {
		for i, s := range g.rows {
			for _, name := range []string{s.limit, s.other, s.like} {
				if name != "" && !slices.ContainsFunc(g.rows[:i], func(s spec) bool { return s.name == name }) {
					t.Errorf("%s: there is no %q before it", s.name, name)
				}
			}
			if s.aim.ratio > 0 && s.limit == "" {
				t.Errorf("%s is to be a part of no limit", s.name)
			}
		}
	}
	if list := names(); len(list) < 30 || len(slices.Compact(slices.Sorted(slices.Values(list)))) != len(list) {
		t.Errorf("%d names, or some of them twice", len(list))
	}
}

// A run writes its table and its charts into the page, and leaves the rest of it.
func TestPage_Written(t *testing.T) {
	sum := sample{done: 3, took: time.Second, latency: []time.Duration{time.Millisecond, time.Millisecond, time.Second}}
	limit := &row{name: "limit: all <there> is", unit: "/s", sum: sum}
	r := &row{name: "half & half", unit: "/s", pid: 1, limit: limit, share: 1, aim: aim{ratio: 0.5}, sum: sum}
	b := &bench{plan: plan{docs: t.TempDir()}, rows: []*row{limit, r}}
	b.table.add(b.rows...)
	page := filepath.Join(b.docs, "performance.md")
	if err := os.WriteFile(page, []byte("before\n<!-- figures -->\nold\n<!-- /figures -->\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.figures(), b.writePage("one machine")); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(page)
	for _, want := range []string{"before\n<!-- figures -->\nBy `make bench", "one machine", "| half & half ", "(performance/ratios.svg)", "<!-- /figures -->\nafter\n"} {
		if !strings.Contains(string(text), want) || strings.Contains(string(text), "old") {
			t.Errorf("no %q, or what was there before, in\n%s", want, text)
		}
	}
	for _, file := range []string{"ratios.svg", "latencies.svg"} {
		chart, err := os.ReadFile(filepath.Join(b.docs, "performance", file))
		if err == nil {
			err = wellFormed(string(chart))
		}
		if err != nil || !strings.Contains(string(chart), "half &amp; half") || strings.Contains(string(chart), "NaN") {
			t.Errorf("%s: %v\n%s", file, err, chart)
		}
	}
}

// The page says which command made a part of it.
func TestPlan_Flags(t *testing.T) {
	for want, p := range map[string]plan{
		"-docs ../docs":                                     {many: million},
		"-short -alone -docs ../docs":                       {many: million, short: true, alone: true, binary: "ostiary"},
		"-only growth,sweep -accounts 200000 -docs ../docs": {many: 200_000, alone: true, only: []string{"growth", "sweep"}},
	} {
		if got := p.flags(); got != want {
			t.Errorf("%q in place of %q", got, want)
		}
	}
}

// PocketBase is built, makes accounts, signs them in, and checks what it is asked with.
func TestPocket_Serves(t *testing.T) {
	ctx := context.WithoutCancel(t.Context())
	p, err := newPocket(ctx, "", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.populate(ctx); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.stop(); err != nil {
			t.Error(err)
		}
	}()
	b := &bench{pocket: p}
	for _, open := range []func(context.Context, *bench, *row) error{
		pocketClients(1, (*pocket).login), pocketClients(1, (*pocket).refresh),
	} {
		r := new(row)
		if err := open(ctx, b, r); err != nil {
			t.Fatal(err)
		}
		if err := r.workers[0](); err != nil {
			t.Error(err)
		}
		r.hangUp()
	}
	c, err := dial(ctx, p.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.conn.Close()
	token, err := p.token(c, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ok(get(p.address, "/check", token)); err != nil {
		t.Error(err)
	}
	if status, _, err := c.do(get(p.address, "/check", token[:len(token)-1])); err != nil || status != 401 {
		t.Error("a token that was cut is answered", status, err)
	}
	if n, err := mallocsOf(p.counter)(); err != nil || n <= 0 {
		t.Error(n, err)
	}
}
