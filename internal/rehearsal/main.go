// Command rehearsal walks docs/takeover.md: four old login servers, with clients that sign
// in all the time, are taken over by Ostiary step by step, with the commands and the
// settings of that page, and are turned off in the end. It prints what the clients saw.
//
//	go run ./internal/rehearsal        half a minute
//	go run ./internal/rehearsal -v     with what the commands print
//
// The old servers are those of test/legacy, which Node runs; all is on the loopback. It exits
// with 1 if a single request failed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// longest is when a run gives up; the build is not counted.
const longest = 5 * time.Minute

func main() {
	root := flag.String("root", ".", "the `directory` of the repository")
	binary := flag.String("binary", "", "take over with this `file` instead of building the server")
	verbose := flag.Bool("v", false, "show what the commands print")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, *root, *binary, *verbose); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "rehearsal:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, root, binary string, verbose bool) (err error) {
	w, err := newWorld(ctx, root, binary)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	ctx, cancel := context.WithTimeoutCause(ctx, longest, fmt.Errorf("not done after %v", longest))
	defer cancel()
	w.ctx = ctx
	if verbose {
		w.shown = out
	}
	return w.walk(out)
}
