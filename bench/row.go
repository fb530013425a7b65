package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// worker does one operation: a request, or what a limit is made of.
type worker func() error

// row is a line of the table that is measured by doing something over and over.
type row struct {
	name    string
	unit    string
	workers []worker
	clients []*client // the workers'; they are connected while it is this row's turn
	limit   *row      // what this is compared with
	share   float64   // of the limit: 0.5 where an operation takes two of the limit's
	other   *row      // that bounds this one, too; nil: none does
	others  float64   // the share of it
	aim     aim
	wrk     *wrk                    // does what is counted in the workers' place, if it is there
	pid     int                     // of the server, if its processor time is told
	port    string                  // of the PostgreSQL whose processor time counts as the server's; "": none
	mallocs func() (float64, error) // how often who works has allocated memory so far; nil: not told

	sum sample
}

// sample is what has been measured of a row.
type sample struct {
	done      int // operations
	refused   int // with 503, for overload
	took      time.Duration
	processor time.Duration // of the server
	mallocs   float64       // of the server, or of a limit's own process
	latency   []time.Duration
}

func (s *sample) add(other sample) {
	s.done += other.done
	s.refused += other.refused
	s.took += other.took
	s.processor += other.processor
	s.mallocs += other.mallocs
	s.latency = append(s.latency, other.latency...)
}

// measure does the row's operations for a while, and adds what that took.
func (r *row) measure(ctx context.Context, d time.Duration) error {
	work := r.work
	if r.wrk != nil {
		work = r.askWrk
	}
	defer r.hangUp()
	s, err := work(ctx, d)
	if err != nil {
		return fmt.Errorf("%s: %w", r.name, err)
	}
	r.sum.add(s)
	return nil
}

func (r *row) hangUp() {
	for _, c := range r.clients {
		c.hangUp()
	}
}

// loadThreads is how many threads wrk has: one for four cores.
func loadThreads() int { return max(1, runtime.NumCPU()/4) }

func (r *row) processorTime() (time.Duration, error) {
	t, err := processorTimeOf(r.pid)
	if err == nil && r.port != "" {
		t += processorTimeOfPostgres(r.port)
	}
	return t, err
}

// counted calls during, and says what was spent meanwhile. To ask for the allocations
// takes processor time, and is done around the rest.
func (r *row) counted(during func() error) (s sample, err error) {
	if r.mallocs != nil {
		if s.mallocs, err = r.mallocs(); err != nil {
			return s, err
		}
	}
	before, err := r.processorTime()
	if err != nil {
		return s, err
	}
	began := time.Now()
	if err := during(); err != nil {
		return s, err
	}
	s.took = time.Since(began)
	after, err := r.processorTime()
	s.processor = after - before
	if err == nil && r.mallocs != nil {
		var now float64
		now, err = r.mallocs()
		s.mallocs = now - s.mallocs
	}
	return s, err
}

func (r *row) askWrk(ctx context.Context, d time.Duration) (asked sample, err error) {
	spent, err := r.counted(func() error { asked, err = r.wrk.run(ctx, d); return err })
	asked.processor, asked.mallocs = spent.processor, spent.mallocs
	return asked, err
}

// What workers are at.
const (
	warming = iota
	counting
	over
)

// warmUp is how long workers work at the least before they are counted.
const warmUp = 100 * time.Millisecond

// afterRefusal is how long a client rests that the server is too busy for.
const afterRefusal = 100 * time.Millisecond

// work lets all workers work, one operation after another. They are counted for a while
// that begins when each has done one, so that a queue has its length by then, and ends
// while all are at work. An operation counts if its end is within.
func (r *row) work(ctx context.Context, d time.Duration) (sample, error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var stage, refused atomic.Int32
	var warm, all sync.WaitGroup
	latency := make([][]time.Duration, len(r.workers))
	for i, work := range r.workers {
		warm.Add(1)
		all.Go(func() {
			ready := sync.OnceFunc(warm.Done)
			defer ready()
			list := make([]time.Duration, 0, 4096)
			for now := time.Now(); stage.Load() != over; {
				err := work()
				if err != nil && !errors.Is(err, errRefused) {
					fail(err)
					break
				}
				ready()
				if err != nil {
					refused.Add(1)
					sleep(ctx, afterRefusal)
				}
				done := time.Now()
				if err == nil && stage.Load() == counting {
					list = append(list, done.Sub(now))
				}
				now = done
			}
			latency[i] = list
		})
	}
	sleep(ctx, warmUp)
	warm.Wait()
	s, err := r.counted(func() error {
		stage.Store(counting)
		sleep(ctx, d)
		stage.Store(over)
		return context.Cause(ctx)
	})
	stage.Store(over)
	all.Wait()
	s.latency = slices.Concat(latency...)
	s.done, s.refused = len(s.latency), int(refused.Load())
	return s, err
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// interleave gives each row its slices in turn, so that whatever else the machine does
// is spread over all of them. A limit has one more right before each row that it bounds.
func interleave(ctx context.Context, rows []*row, rounds int, slice time.Duration) error {
	for i := range rounds {
		began := time.Now()
		var last *row
		for _, r := range rows {
			if r.limit != nil && r.limit != last {
				if err := r.limit.measure(ctx, slice); err != nil {
					return err
				}
			}
			if err := r.measure(ctx, slice); err != nil {
				return err
			}
			last = r
		}
		progress("  round %d of %d, %d rows, %.0f s", i+1, rounds, len(rows), time.Since(began).Seconds())
	}
	for _, r := range rows {
		if r.sum.done == 0 {
			return errors.New(r.name + ": nothing was done")
		}
		progress("  %s: %.1f %s", r.name, r.rate(), r.unit)
	}
	return nil
}

// rate is operations a second.
func (r *row) rate() float64 { return float64(r.sum.done) / r.sum.took.Seconds() }

// bound is the rate that the limit allows, or the lower of both.
func (r *row) bound() float64 {
	bound := r.limit.rate() * r.share
	if r.other != nil {
		bound = min(bound, r.other.rate()*r.others)
	}
	return bound
}

// ratio is the rate as a part of the bound.
func (r *row) ratio() float64 { return r.rate() / r.bound() }

// quantile is the latency that a part of the operations did not exceed.
func (r *row) quantile(part float64) time.Duration {
	list := r.sum.latency
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[min(int(part*float64(len(list))), len(list)-1)]
}
