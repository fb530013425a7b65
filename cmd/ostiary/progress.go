package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ostiary/ostiary/internal/backup"
)

// progress says on standard error how far something is that takes long: as a bar that moves
// if that is a terminal, else by a line now and then.
type progress struct {
	mu      sync.Mutex
	to      io.Writer
	bar     bool
	what    string
	total   int64 // rows, or bytes
	done    int64
	lines   int64 // where the total is bytes; -1: it is rows
	began   time.Time
	shown   time.Time
	printed bool
}

const (
	barEvery  = 200 * time.Millisecond
	lineEvery = 30 * time.Second
	barWidth  = 24
)

func (a *app) progress() *progress {
	return &progress{to: a.err, bar: isTerminal(a.err)}
}

// isTerminal tells whether somebody sits in front of it.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 || os.Getenv("TERM") == "dumb" {
		return false
	}
	for _, other := range []string{os.DevNull, "/dev/full"} { // where there is one
		if of, err := os.Stat(other); err == nil && os.SameFile(info, of) {
			return false
		}
	}
	return true
}

// start begins something of so many rows.
func (p *progress) start(what string, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.what, p.total, p.done, p.lines, p.began, p.shown = what, total, 0, -1, now, now
}

// startLines begins to read a file of so many bytes by its lines.
func (p *progress) startLines(what string, size int64) {
	p.start(what, size)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = 0
}

// step is a store.Step.
func (p *progress) step(t backup.Table, rows int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += int64(rows)
	p.show("  " + t.Name)
}

// stepLines says that lines have been read.
func (p *progress) stepLines(lines int, size int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += size
	p.lines += int64(lines)
	p.show("")
}

// show shows how far it is, if that was not shown a moment ago.
func (p *progress) show(where string) {
	now, every := time.Now(), lineEvery
	if p.bar {
		every = barEvery
	}
	if now.Sub(p.shown) < every {
		return
	}
	p.shown, p.printed = now, true
	line := p.line(now) + where
	if p.bar {
		fmt.Fprintf(p.to, "\r\x1b[K%s", line)
	} else {
		fmt.Fprintf(p.to, "ostiary: %s\n", line)
	}
}

func (p *progress) line(now time.Time) string {
	share := 1.0
	if p.total > 0 {
		share = min(1, float64(p.done)/float64(p.total))
	}
	rate := float64(p.done) / max(now.Sub(p.began).Seconds(), 0.001)
	text := fmt.Sprintf("%3.0f %%  %s of %s rows  %s/s", 100*share, grouped(p.done), grouped(p.total), grouped(int64(rate)))
	if p.lines >= 0 {
		perSecond := float64(p.lines) / max(now.Sub(p.began).Seconds(), 0.001)
		text = fmt.Sprintf("%3.0f %%  %s lines  %s/s", 100*share, grouped(p.lines), grouped(int64(perSecond)))
	}
	if left := p.total - p.done; left > 0 && rate >= 1 {
		text += fmt.Sprintf("  %s left", (time.Duration(float64(left)/rate) * time.Second).Round(time.Second))
	}
	if p.bar {
		full := int(share * barWidth)
		text = "[" + strings.Repeat("#", full) + strings.Repeat(".", barWidth-full) + "] " + text
	}
	return p.what + "  " + text
}

// end takes the bar away.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar && p.printed {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
	p.printed = false
}

// grouped is a number with its thousands apart.
func grouped(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// plural is a number of things.
func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + many
}

// interruptible has a signal end what the command does, so that it can tidy up.
func (a *app) interruptible() (stop func()) {
	ctx, stop := signal.NotifyContext(a.Context, syscall.SIGINT, syscall.SIGTERM)
	a.Context = ctx
	return stop
}

// stopped is the error of what a signal has ended, or the one that it is.
func stopped(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("interrupted")
	}
	return err
}
