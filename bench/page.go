package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// section is a part of the page: what a run writes between the marks of its name.
type section struct{ name, text string }

// section has a part of the page written at the end of the run, below a caption that says
// which command made it, when, and on what machine. Only a run that writes the page does so.
func (b *bench) section(name, text string) {
	b.sections = append(b.sections, section{name, text})
}

// figures is the table and its charts, as a part of the page.
func (b *bench) figures() error {
	var text strings.Builder
	for _, chart := range []struct {
		file, alt string
		draw      func([]*row) string
	}{
		{"ratios.svg", "What was reached of each limit", ratios},
		{"latencies.svg", "p50, p99 and p99.9 of each kind of request", latencies},
	} {
		if err := b.draw(chart.file, chart.draw(b.rows)); err != nil {
			return err
		}
		fmt.Fprintf(&text, "![%s](performance/%s)\n\n", chart.alt, chart.file)
	}
	err := b.table.write(&text)
	b.section("figures", text.String())
	return err
}

// draw writes a chart of the page, if the page is written.
func (b *bench) draw(file, chart string) error {
	if b.docs == "" {
		return nil
	}
	charts := filepath.Join(b.docs, "performance")
	if err := os.MkdirAll(charts, 0o755); err != nil { //nolint:gosec // pages of the repository
		return err
	}
	return os.WriteFile(filepath.Join(charts, file), []byte(chart), 0o644) //nolint:gosec // likewise
}

// writePage writes the sections into the page, each with the caption.
func (b *bench) writePage(caption string) error {
	if b.docs == "" {
		return nil
	}
	for _, s := range b.sections {
		text := fmt.Sprintf("By `make bench BENCHFLAGS=%q`: %s\n\n%s", b.flags(), caption, s.text)
		if err := between(filepath.Join(b.docs, "performance.md"), s.name, text); err != nil {
			return err
		}
	}
	return nil
}

// flags are those that a run was given, but for the files of what it measured.
func (p plan) flags() string {
	var list []string
	if p.short {
		list = append(list, "-short")
	}
	if p.alone && slices.ContainsFunc(groups(), func(g group) bool { return p.has(g.name) }) {
		list = append(list, "-alone")
	}
	if p.only != nil {
		list = append(list, "-only "+strings.Join(p.only, ","))
	}
	if p.many != million {
		list = append(list, fmt.Sprint("-accounts ", p.many))
	}
	return strings.Join(append(list, "-docs ../docs"), " ")
}

// captionOf says on what machine, when and for how long a run measured, and what else the
// machine did meanwhile.
func captionOf(load string, before times, began time.Time) string {
	took := time.Since(began)
	return fmt.Sprintf("%d cores (%s), %s, %s/%s, %s, %.0f s; load average before %s; meanwhile other processes had %s of the cores.",
		runtime.NumCPU(), cpuModel(), runtime.Version(), runtime.GOOS, runtime.GOARCH, began.Format(time.DateOnly), took.Seconds(), load,
		percent(max(0, processorTime().Sub(before).others(took))))
}

// between puts a text between the two marks of its name in a page.
func between(page, name, text string) error {
	old, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	begin, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
	before, rest, found := strings.Cut(string(old), begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		return fmt.Errorf("%s has no marks %q and %q", page, strings.TrimSpace(begin), end)
	}
	return os.WriteFile(page, []byte(before+begin+text+end+after), 0o644) //nolint:gosec // a page of the repository
}
