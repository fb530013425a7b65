// Command bench measures Ostiary and prints a table for the README, in one run.
//
// The server is the real binary, built as "make build" does, in a process of its own
// on a loopback port, with a temporary data directory and the default settings, except
// that guess budgets are off. The load comes from this process, on the same cores; that
// of verifications and introspections from wrk, if it is installed.
//
// A figure means little without what the machine can do at best. So each one stands
// beside its limit, measured in the same run and in turn with it, slice by slice: for
// logins the bare hash, for refreshes the bare signature, for verifications a bare
// net/http handler under the same load, whose answers have the same header. What the
// server takes of the processors for each of these is told beside.
//
//	go run .             a minute and a half, after the build
//	go run . -short      half a minute
//	go run . -only login,verify
//	go run . -only engines       PostgreSQL beside SQLite
//	go run . -only copies        the same with a million accounts beside a thousand; ten minutes
//	go run . -only growth        a million accounts and sessions beside fewer; eight minutes
//	go run . -only sweep         with a million old sessions to delete, and without
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// longest is when a run gives up, whatever it is doing; the build is not counted. Filling a
// database takes longer.
const (
	longest       = 3 * time.Minute
	longestFilled = time.Hour
)

// plan says what is measured, and for how long.
type plan struct {
	rounds int           // each row of a group gets this many slices
	slice  time.Duration // of a row, before the next one's turn
	starts int           // of the server, of which the median counts
	binary string        // to be measured; empty: build it
	many   int           // accounts, where few are compared with many
	docs   string        // directory of the page that growth writes; empty: none
	only   map[string]bool
}

// has tells whether a group is measured. What needs PostgreSQL is only if it was asked for.
func (p plan) has(group string) bool {
	return p.only[group] || len(p.only) == 0 && !filled(group)
}

// filled tells whether a group fills databases, or needs another one than SQLite.
func filled(group string) bool {
	return slices.Contains([]string{"engines", "copies", "growth", "sweep"}, group)
}

func (p plan) longest() time.Duration {
	for group := range p.only {
		if filled(group) {
			return longestFilled
		}
	}
	return longest
}

func main() {
	short := flag.Bool("short", false, "a run of half a minute, whose figures are less steady")
	binary := flag.String("binary", "", "measure this `file` instead of building the server")
	only := flag.String("only", "", "measure these `groups` alone: start,login,refresh,verify, or growth,sweep, or engines,copies, which need PostgreSQL")
	many := flag.Int("accounts", 1_000_000, "how many accounts and sessions the groups growth and copies compare with a thousand, and sweep deletes")
	docs := flag.String("docs", "", "write the figures of growth into the page performance.md of this `directory`, with a chart")
	floor := flag.Bool("floor", false, "be the bare net/http server that verifications are compared with")
	flag.Parse()
	if *floor {
		exit(serveFloor(os.Stdin, os.Stdout))
	}
	p := plan{rounds: 4, slice: 1500 * time.Millisecond, starts: 10, binary: *binary, many: *many, docs: *docs}
	if *short {
		p = plan{rounds: 2, slice: time.Second, starts: 5, binary: *binary, many: *many, docs: *docs}
	}
	if *only != "" {
		p.only = map[string]bool{}
		for group := range strings.SplitSeq(*only, ",") {
			p.only[group] = true
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	exit(run(ctx, p))
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
	s, err := newServer(ctx, p.binary, dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, p.longest(), fmt.Errorf("not done after %v", p.longest()))
	defer cancel()
	b := &bench{plan: p, server: s, dir: dir}
	defer func() { err = errors.Join(err, b.close()) }()
	load, before, began := loadAverage(), processorTime(), time.Now()
	if err := b.measure(ctx); err != nil {
		return err
	}
	took := time.Since(began)
	if err := s.stop(); err != nil { // so that its processor time is ours
		return err
	}
	fmt.Printf("%d cores (%s), %s, %s/%s, %.0f s; load average before %s; meanwhile other processes had %s of the cores.\n\n",
		runtime.NumCPU(), cpuModel(), runtime.Version(), runtime.GOOS, runtime.GOARCH, took.Seconds(), load,
		percent(max(0, processorTime().Sub(before).others(took))))
	return b.table.write(os.Stdout)
}

// progress says on standard error what a run is at.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
