// Command bench measures Ostiary, and PocketBase beside it, and prints a table, in one run.
//
// The servers are real binaries, built as "make build" does, each in a process of its own
// on a loopback port, with a temporary data directory and the default settings, except
// that Ostiary's budgets for guesses and for one address are off, as PocketBase's are by
// default. The load comes
// from this process, on the same cores; that of verifications and introspections from
// wrk, if it is installed.
//
// A figure means little without what the machine can do at best. So each one stands
// beside its limit, measured in the same run and in turn with it, slice by slice: for
// logins the bare hash and signatures, for refreshes the bare signatures and commits, for
// verifications a bare net/http handler under the same load, whose answers have the same
// header. What the server takes of the processors and how often it allocates memory for
// each of these is told beside.
//
//	go run .                     some ten minutes, after the builds
//	go run . -docs ../docs       and writes the page performance.md there
//	go run . -short              two and a half
//	go run . -only login,verify
//	go run . -only engines       PostgreSQL beside SQLite
//	go run . -only copies        the same with a million accounts beside a thousand; ten minutes
//	go run . -only growth        a million accounts and sessions beside fewer; eight minutes
//	go run . -only sweep         with a million old sessions to delete, and without; most of an hour
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// longest is when a run gives up, whatever it is doing; the build is not counted. Filling a
// database takes longer.
const (
	longest       = 20 * time.Minute
	longestFilled = 2 * time.Hour
)

// million is how many accounts few are compared with, if nothing else is said.
const million = 1_000_000

// plan says what is measured, and for how long.
type plan struct {
	short      bool          // its figures are less steady
	rounds     int           // each row of a group gets this many slices
	slice      time.Duration // of a row, before the next one's turn
	starts     int           // of the server, of which the median counts
	binary     string        // to be measured; empty: build it
	pocketbase string        // the same
	alone      bool          // PocketBase is left out
	docs       string        // directory of the page that is written; empty: none
	many       int           // accounts, where few are compared with many
	only       []string      // groups; nil: those of the page's table
}

// has tells whether a group is measured. What needs PostgreSQL is only if it was asked for.
func (p plan) has(group string) bool {
	return slices.Contains(p.only, group) || p.only == nil && !filled(group)
}

// fillers are the groups that fill databases, or need another one than SQLite.
var fillers = []string{"engines", "copies", "growth", "sweep"}

func filled(group string) bool {
	return slices.Contains(fillers, group)
}

// page tells whether this is all that the page's table is made of.
func (p plan) page() bool { return p.only == nil && !p.alone }

func (p plan) longest() time.Duration {
	if slices.ContainsFunc(p.only, filled) {
		return longestFilled
	}
	return longest
}

func main() {
	var p plan
	short := flag.Bool("short", false, "a run of two and a half minutes, whose figures are less steady")
	flag.StringVar(&p.binary, "binary", "", "measure this `file` instead of building the server")
	flag.StringVar(&p.pocketbase, "pocketbase", "", "measure this `file` instead of building PocketBase")
	flag.BoolVar(&p.alone, "alone", false, "measure without PocketBase")
	flag.StringVar(&p.docs, "docs", "", "write what is measured, with charts, into the page performance.md of this `directory`: what a whole run measures, growth, sweep, and engines")
	only := flag.String("only", "", "measure these `groups` alone: start,login,refresh,verify, or growth,sweep, or engines,copies, which need PostgreSQL")
	flag.IntVar(&p.many, "accounts", million, "how many accounts and sessions the groups growth and copies compare with a thousand, and sweep deletes")
	floor := flag.Bool("floor", false, "be the bare net/http server that verifications are compared with")
	flag.Parse()
	if *floor {
		exit(serveFloor(os.Stdin, os.Stdout))
	}
	p.rounds, p.slice, p.starts = 5, 2*time.Second, 20
	if p.short = *short; p.short {
		p.rounds, p.slice, p.starts = 2, 700*time.Millisecond, 5
	}
	if *only != "" {
		p.only = strings.Split(*only, ",")
	}
	if err := p.check(flag.Args()); err != nil {
		exit(err)
	}
	if !slices.ContainsFunc(groups(), func(g group) bool { return p.has(g.name) }) {
		p.alone = true
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	exit(run(ctx, p))
}

// check refuses what would be passed over.
func (p plan) check(rest []string) error {
	known := slices.Clone(fillers)
	for _, g := range groups() {
		known = append(known, g.name)
	}
	for _, name := range p.only {
		if !slices.Contains(known, name) {
			return fmt.Errorf("-only %s: there are %s", name, strings.Join(known, ", "))
		}
	}
	if len(rest) > 0 {
		return fmt.Errorf("%q is no flag: what follows would not be read", rest[0])
	}
	if p.docs != "" {
		if _, err := os.Stat(filepath.Join(p.docs, "performance.md")); err != nil {
			return fmt.Errorf("-docs: %w", err)
		}
	}
	return nil
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(ctx context.Context, p plan) (err error) {
	dir, err := os.MkdirTemp("", "ostiary-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := onDisk(dir); err != nil {
		return err
	}
	b := &bench{plan: p, dir: dir}
	if b.server, err = newServer(ctx, p.binary, dir); err != nil {
		return err
	}
	if !p.alone {
		if b.pocket, err = newPocket(ctx, p.pocketbase, dir); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, p.longest(), fmt.Errorf("not done after %v", p.longest()))
	defer cancel()
	load, before, began := loadAverage(), processorTime(), time.Now()
	err = b.measure(ctx)
	closed := b.close() // before the caption, so that their processor time is ours
	if err != nil {
		return errors.Join(err, closed)
	}
	defer func() { err = errors.Join(err, closed) }() // what was measured is not lost by it
	caption := captionOf(load, before, began)
	fmt.Printf("%s\n\n", caption)
	if err := b.table.write(os.Stdout); err != nil {
		return err
	}
	if p.page() {
		if err := b.figures(); err != nil {
			return err
		}
	}
	return b.writePage(caption)
}

// progress says on standard error what a run is at.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
