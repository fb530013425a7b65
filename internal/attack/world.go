package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ostiary/ostiary/internal/processtest"
)

const (
	passphrase = "marble lantern over quiet water" // of every account
	mistaken   = "copper window under loud rivers" // of nobody
)

// base is what all attacks share: the binary, and a directory that goes with the run.
type base struct{ dir, binary string }

// newBase builds the server as "make build" does, unless it is given a binary.
func newBase(ctx context.Context, binary string) (b *base, err error) {
	b = &base{binary: binary}
	if b.dir, err = os.MkdirTemp("", "ostiary-attack-"); err != nil || binary != "" {
		return b, err
	}
	if b.binary, err = processtest.Build(ctx, b.dir); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

func (b *base) close() error { return os.RemoveAll(b.dir) }

// world is what one attack works with. What it opens, it closes in the end.
type world struct {
	*base
	ctx     context.Context
	full    bool // times decide, too, and crowds are large
	mu      sync.Mutex
	servers []*server
	closers []func() error
}

func (b *base) world(ctx context.Context) *world { return &world{base: b, ctx: ctx} }

// attack runs one threat. An attack that could not be made does not hold.
func (w *world) attack(t threat) (figure string, err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case unprepared:
			err = v.error
		default:
			panic(v)
		}
	}()
	return t.run(w)
}

// unprepared is the panic of what an attack needs and could not get, such as an account.
type unprepared struct{ error }

func (w *world) must(err error) {
	if err != nil {
		panic(unprepared{err})
	}
}

// later has something undone in the end, the last first.
func (w *world) later(undo func() error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closers = append(w.closers, undo)
}

func (w *world) close() error {
	var errs []error
	for _, s := range w.servers {
		s.kill()
	}
	for _, undo := range slices.Backward(w.closers) {
		errs = append(errs, undo())
	}
	return errors.Join(errs...)
}

func (w *world) newDir() string {
	dir, err := os.MkdirTemp(w.dir, "")
	w.must(err)
	return dir
}

// slower says whether something took longer than it may, where times decide.
func (w *world) slower(took, limit time.Duration) bool { return w.full && took > limit }

// crowd is how many of something are at once; in "make test" they are fewer.
func (w *world) crowd(n int) int {
	if w.full {
		return n
	}
	return n / 3
}

func (w *world) logs() string {
	var all strings.Builder
	for _, s := range w.servers {
		text := s.log()
		all.WriteString(text[max(0, len(text)-4000):])
	}
	return all.String()
}

// findings are what does not hold, of one attack.
type findings struct {
	mu   sync.Mutex
	errs []error
}

func (f *findings) addf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errs = append(f.errs, fmt.Errorf(format, args...))
}

// want adds a finding unless the answer has one of these statuses.
func (f *findings) want(what string, a answer, statuses ...int) bool {
	if slices.Contains(statuses, a.status) {
		return true
	}
	f.addf("%s: %v, not %v", what, a, statuses)
	return false
}

// err is the first few findings.
func (f *findings) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	const most = 8
	if more := len(f.errs) - most; more > 0 {
		return errors.Join(append(slices.Clone(f.errs[:most]), fmt.Errorf("and %d more", more))...)
	}
	return errors.Join(f.errs...)
}

// atOnce calls fn n times in parallel, and returns when all have ended.
func atOnce(n int, fn func(i int)) {
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-start
			fn(i)
		})
	}
	close(start)
	all.Wait()
}

// spread calls fn with each item, of which some are worked on at once: failed logins do
// little but wait.
func spread[T any](items []T, fn func(T)) {
	const workers = 12
	var next atomic.Int32
	atOnce(min(workers, len(items)), func(int) {
		for i := int(next.Add(1)) - 1; i < len(items); i = int(next.Add(1)) - 1 {
			fn(items[i])
		}
	})
}
