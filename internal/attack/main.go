// Command attack attacks Ostiary, and prints a line for each threat of docs/threat-model.md that
// can be tried from outside: its number and name there, the verdict, and the figure that decided.
//
// The server is the real binary, started on free ports of the loopback with a new store
// for each threat. It is attacked from outside, by HTTP, by raw sockets and by the command
// line; 127.0.0.0/8 has as many addresses as an attack has sources. Slow clients are
// those of slowhttptest, injections those of sqlmap besides our own, if they are installed.
//
//	go run ./internal/attack               all of them, a few minutes
//	go run ./internal/attack -only 14,60   some of them
//	go run ./internal/attack -fast         those that "make test" runs too
//
// It exits with 1 if one does not hold. What could not be run is said so, and never
// counted as held.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// longest is when a run gives up, whatever it is doing; the build is not counted.
const longest = 8 * time.Minute

// threat is one attack on a server of its own.
type threat struct {
	number int // in docs/threat-model.md
	name   string
	fast   bool // run in "make test" too
	run    func(*world) (figure string, err error)
}

// errNotRun is wrapped by the error of an attack that this machine can't run.
var errNotRun = errors.New("not run")

func main() {
	only := flag.String("only", "", "run these `numbers` alone: 14,60")
	fast := flag.Bool("fast", false, `run the attacks of "make test" alone`)
	binary := flag.String("binary", "", "attack this `file` instead of building the server")
	verbose := flag.Bool("v", false, "tell how long each took, and show the end of the server's log where an attack does not hold")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	chosen, err := choose(catalogue, *only, *fast)
	if err == nil {
		err = run(ctx, os.Stdout, *binary, *verbose, chosen)
	}
	if err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "attack:", err)
		os.Exit(1)
	}
}

// last is the last number of the threat model.
const last = 70

// choose returns the threats that were asked for, in order of their numbers.
func choose(all []threat, only string, fast bool) (chosen []threat, err error) {
	wanted := map[int]bool{}
	for field := range strings.SplitSeq(only, ",") {
		if only == "" {
			break
		}
		n, err := strconv.Atoi(field)
		if err != nil || n < 1 || n > last {
			return nil, fmt.Errorf("-only: %q is no number of docs/threat-model.md, which has 1 to %d", field, last)
		}
		if !slices.ContainsFunc(all, func(t threat) bool { return t.number == n }) {
			return nil, fmt.Errorf(`-only: %d is not tried from outside: docs/threat-model.md names its tests, which "make test" runs`, n)
		}
		wanted[n] = true
	}
	for _, t := range all {
		if (only == "" || wanted[t.number]) && (t.fast || !fast) {
			chosen = append(chosen, t)
		}
	}
	slices.SortFunc(chosen, func(a, b threat) int { return cmp.Compare(a.number, b.number) })
	return chosen, nil
}

// run makes the attacks, one after the other since some take times, and says how many
// do not hold.
func run(ctx context.Context, out io.Writer, binary string, verbose bool, threats []threat) (err error) {
	b, err := newBase(ctx, binary)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	ctx, cancel := context.WithTimeoutCause(ctx, longest, fmt.Errorf("not done after %v", longest))
	defer cancel()
	began, held, broken, omitted := time.Now(), 0, 0, 0
	for _, t := range threats {
		w := b.world(ctx)
		w.full = true
		start := time.Now()
		figure, err := w.attack(t)
		verdict := "held"
		switch {
		case errors.Is(err, errNotRun):
			verdict, figure = "not run", err.Error()
			omitted++
		case err != nil:
			verdict, figure = "BROKEN", err.Error()
			broken++
		default:
			held++
		}
		fmt.Fprintf(out, "%2d  %-32s %-8s %s\n", t.number, t.name, verdict, strings.ReplaceAll(figure, "\n", "\n    "))
		if verbose {
			fmt.Fprintf(out, "    in %.1f s\n", time.Since(start).Seconds())
			if verdict == "BROKEN" {
				fmt.Fprintln(out, w.logs())
			}
		}
		if err := errors.Join(w.close(), context.Cause(ctx)); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "\n%d held, %d broken, %d not run, in %.0f s\n", held, broken, omitted, time.Since(began).Seconds())
	if broken > 0 {
		return fmt.Errorf("%d of %d do not hold", broken, len(threats))
	}
	return nil
}
