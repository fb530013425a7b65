package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// rounds are what every device does in a step at least, behind its commands.
const rounds = 2

// traffic is the devices at work.
type traffic struct {
	devices []*device
	done    []atomic.Int64 // rounds of each
	all     sync.WaitGroup
}

// walk takes the steps of the page one after the other, with the clients at work, and says
// what they saw.
func (w *world) walk(out io.Writer) error {
	steps, err := readPage(w.root)
	if err != nil {
		return err
	}
	w.tallies = make([]tally, len(steps)+1)
	ctx, stop := context.WithCancel(w.ctx)
	defer stop()
	t := w.open(ctx)
	defer t.all.Wait()
	defer stop()
	if err := t.settle(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "%-44s %8s %7s %9s\n", "step", "requests", "failed", "slowest")
	w.say(out, "before")
	for i, s := range steps {
		w.place.Store(int32(i + 1))
		if err := w.take(ctx, s, t); err != nil {
			w.tell(out)
			return fmt.Errorf("%s: %w", s.title, err)
		}
		w.say(out, s.title)
	}
	stop()
	t.all.Wait()
	return w.conclude(out)
}

// take takes a step.
func (w *world) take(ctx context.Context, s step, t *traffic) error {
	if s.settings != "" {
		if err := w.configure(s.settings); err != nil {
			return err
		}
		if err := w.reload(); err != nil {
			return err
		}
		w.through.Store(true)
		if err := t.settle(ctx); err != nil { // whoever asked an old server has his answer
			return err
		}
	}
	if s.settings != "" && !strings.Contains(s.settings, "legacy") {
		for _, p := range w.old {
			_ = p.Stop() // a signal is how it ends
		}
		clear(w.old)
	}
	if err := w.export(); err != nil {
		return err
	}
	if err := w.command(s.commands); err != nil {
		return err
	}
	return t.settle(ctx)
}

// open starts the devices: three of each person.
func (w *world) open(ctx context.Context) *traffic {
	t := &traffic{}
	for _, p := range w.people {
		for _, h := range []habit{signsIn, keeps, sleeps} {
			if h == signsIn || !p.late {
				t.devices = append(t.devices, &device{person: p, w: w, habit: h})
			}
		}
	}
	t.done = make([]atomic.Int64, len(t.devices))
	for i, d := range t.devices {
		t.all.Go(func() {
			for ctx.Err() == nil {
				_ = d.act(ctx) // what fails is counted
				t.done[i].Add(1)
				pause(ctx, 50*time.Millisecond)
			}
		})
	}
	return t
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// settle waits until each device has begun and ended so many more rounds.
func (t *traffic) settle(ctx context.Context) error {
	until := make([]int64, len(t.done))
	for i := range t.done {
		until[i] = t.done[i].Load() + rounds + 1
	}
	for i := range t.done {
		for t.done[i].Load() < until[i] {
			if err := ctx.Err(); err != nil {
				return errors.Join(err, context.Cause(ctx))
			}
			pause(ctx, 10*time.Millisecond)
		}
	}
	return nil
}

// say prints what clients have seen of a step so far.
func (w *world) say(out io.Writer, title string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.tallies[w.now()]
	fmt.Fprintf(out, "%-44s %8d %7d %6d ms\n", title, t.requests, t.failed, t.slowest.Milliseconds())
}

// most failures are told in full.
const most = 10

func (w *world) tell(out io.Writer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, err := range w.failures[:min(most, len(w.failures))] {
		fmt.Fprintln(out, err)
	}
}

func (w *world) conclude(out io.Writer) error {
	all := tally{}
	for _, t := range w.tallies {
		all.requests, all.failed = all.requests+t.requests, all.failed+t.failed
	}
	fmt.Fprintf(out, "\n%d requests, %d failed\n", all.requests, all.failed)
	if all.failed == 0 {
		return nil
	}
	w.tell(out)
	return fmt.Errorf("%d of %d requests failed", all.failed, all.requests)
}
