package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// writeFigures writes the table and its charts into the page.
func (b *bench) writeFigures(caption string) error {
	charts := filepath.Join(b.docs, "performance")
	if err := os.MkdirAll(charts, 0o755); err != nil { //nolint:gosec // pages of the repository
		return err
	}
	var text strings.Builder
	flags := "-docs ../docs"
	if b.short {
		flags = "-short " + flags
	}
	fmt.Fprintf(&text, "By `make bench BENCHFLAGS=%q`: %s\n\n", flags, caption)
	for _, chart := range []struct {
		file, alt string
		draw      func([]*row) string
	}{
		{"ratios.svg", "What was reached of each limit", ratios},
		{"latencies.svg", "p50, p99 and p99.9 of each kind of request", latencies},
	} {
		if err := os.WriteFile(filepath.Join(charts, chart.file), []byte(chart.draw(b.rows)), 0o644); err != nil { //nolint:gosec // likewise
			return err
		}
		fmt.Fprintf(&text, "![%s](performance/%s)\n\n", chart.alt, chart.file)
	}
	if err := b.table.write(&text); err != nil {
		return err
	}
	return between(filepath.Join(b.docs, "performance.md"), "figures", text.String())
}
