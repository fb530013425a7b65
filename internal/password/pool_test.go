package password

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ostiary/ostiary/internal/argon2"
)

// sleep is a job of one second of the bubble's time.
func sleep(*argon2.Buffer) error {
	time.Sleep(time.Second)
	return nil
}

func TestPool_FIFO(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(1, time.Hour)
		var mu sync.Mutex
		var order []int
		for i := range 20 {
			go p.do(t.Context(), func(b *argon2.Buffer) error {
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				return sleep(b)
			})
			synctest.Wait()
		}
		if got, want := p.stats(), (Stats{Waiting: 19, Running: 1, Slots: 1}); got != want {
			t.Errorf("stats = %+v, want %+v", got, want)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(order) != 20 || !slices.IsSorted(order) {
			t.Errorf("order = %v", order)
		}
		if got, want := p.stats(), (Stats{Slots: 1}); got != want {
			t.Errorf("stats = %+v, want %+v", got, want)
		}
	})
}

func TestPool_Deadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(2, 500*time.Millisecond)
		for range 2 {
			go p.do(t.Context(), sleep)
		}
		synctest.Wait()
		start := time.Now()
		took, err := p.do(t.Context(), sleep)
		busy, ok := errors.AsType[*ErrBusy](err)
		if !ok || busy.RetryAfter < time.Second || took != 0 {
			t.Fatalf("do = %v, %v", took, err)
		}
		if waited := time.Since(start); waited != 500*time.Millisecond {
			t.Errorf("waited %v", waited)
		}
		if got, want := p.stats(), (Stats{Running: 2, Slots: 2}); got != want {
			t.Errorf("stats = %+v, want %+v", got, want)
		}
		time.Sleep(time.Second)
		if took, err := p.do(t.Context(), sleep); err != nil || took != time.Second {
			t.Errorf("do = %v, %v", took, err)
		}
	})
}

// Who can't be served in time is told at once, and the estimate follows the cost.
func TestPool_RejectsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(2, 10200*time.Millisecond)
		for range 40 { // the average settles at a second
			_, _ = p.do(t.Context(), sleep)
		}
		start := time.Now()
		var mu sync.Mutex
		var done, rejected int
		var waits []time.Duration
		for range 50 {
			go func() {
				_, err := p.do(t.Context(), sleep)
				mu.Lock()
				defer mu.Unlock()
				if busy, ok := errors.AsType[*ErrBusy](err); ok {
					rejected++
					waits = append(waits, busy.RetryAfter)
					if time.Since(start) != 0 {
						t.Errorf("rejected after %v", time.Since(start))
					}
				} else if err == nil {
					done++
				}
			}()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		// 2 run, and 20 wait: the last for 10 seconds.
		if done != 22 || done+rejected != 50 {
			t.Errorf("%d done, %d rejected", done, rejected)
		}
		for _, w := range waits {
			if w < 9*time.Second || w > 12*time.Second {
				t.Errorf("RetryAfter = %v", w)
			}
		}
	})
}

func TestPool_CancelLeavesQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(1, time.Hour)
		go p.do(t.Context(), sleep)
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		ran := false
		result := make(chan error, 1)
		go func() {
			_, err := p.do(ctx, func(*argon2.Buffer) error { ran = true; return nil })
			result <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Errorf("do: %v", err)
		}
		if got := p.stats(); got.Waiting != 0 {
			t.Errorf("stats = %+v", got)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if ran {
			t.Error("a cancelled job ran")
		}
	})
}

// A slot that is handed to one who leaves in the same moment is not lost.
func TestPool_NoSlotLost(t *testing.T) {
	p := newPool(2, 2*time.Millisecond)
	var wg sync.WaitGroup
	for i := range 2000 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%40)*50*time.Microsecond)
			defer cancel()
			_, _ = p.do(ctx, func(*argon2.Buffer) error { time.Sleep(100 * time.Microsecond); return nil })
		})
	}
	wg.Wait()
	if got, want := p.stats(), (Stats{Slots: 2}); got != want || len(p.idle) != 2 {
		t.Errorf("stats = %+v with %d free slots, want %+v", got, len(p.idle), want)
	}
}

func TestPool_Panic(t *testing.T) {
	p := newPool(1, time.Second)
	before := argon2.Mapped()
	_, err := p.do(t.Context(), func(b *argon2.Buffer) error {
		if _, err := b.Key(nil, nil, 1, 256, 1, 32); err != nil {
			return err
		}
		panic("out of the blue")
	})
	if !errors.Is(err, errPanic) {
		t.Errorf("do: %v", err)
	}
	if n := argon2.Mapped() - before; n != 0 {
		t.Errorf("%d bytes of the slot are not given back", n)
	}
	if _, err := p.do(t.Context(), func(*argon2.Buffer) error { return nil }); err != nil {
		t.Errorf("the slot is lost: %v", err)
	}
}

// rude is an observer that panics.
type rude struct {
	nobody
	waited, hashed bool
}

func (r rude) HashWaited(time.Duration) {
	if r.waited {
		panic("waited")
	}
}

func (r rude) Hashed(time.Duration) {
	if r.hashed {
		panic("hashed")
	}
}

func TestPool_PanicOfTheObserver(t *testing.T) {
	p := newPool(1, time.Second)
	for _, o := range []Observer{rude{waited: true}, rude{hashed: true}} {
		p.observer = o
		if _, err := p.do(t.Context(), func(*argon2.Buffer) error { return nil }); !errors.Is(err, errPanic) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	p.observer = nobody{}
	if _, err := p.do(t.Context(), func(*argon2.Buffer) error { return nil }); err != nil {
		t.Errorf("the slot is lost: %v", err)
	}
}

// Who has gone gets no slot, even if he has not left the queue yet.
func TestPool_PassesOverWhoHasGone(t *testing.T) {
	p := newPool(1, time.Hour)
	slot := p.idle[0]
	p.idle, p.running = nil, 1
	gone, leave := context.WithCancel(t.Context())
	leave()
	first, second, last := &turn{ctx: gone}, &turn{ctx: t.Context()}, &turn{ctx: gone}
	for _, w := range []*turn{first, second, last} {
		w.place = p.queue.PushBack(w)
	}
	if next := p.next(slot, 0); next != second || second.place != nil || first.place == nil {
		t.Errorf("next: %+v", next)
	}
	if next := p.next(slot, 0); next != nil || p.queue.Len() != 0 || len(p.idle) != 1 || p.running != 0 {
		t.Errorf("next: %+v, with %d in the queue", next, p.queue.Len())
	}
}

func TestPool_IdleGivesMemoryBack(t *testing.T) {
	p := newPool(2, time.Second)
	key := func(memory uint32) {
		if _, err := p.do(t.Context(), func(b *argon2.Buffer) error {
			_, err := b.Key([]byte("password"), []byte("somesalt"), 1, memory, 1, 32)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	before := heap()
	key(Default.Memory)
	if used := heap() - before; used < 18<<20 {
		t.Errorf("the slot did not keep its memory: %d", used)
	}
	p.dropBuffers()
	if used := heap() - before; used > 2<<20 {
		t.Errorf("an idle pool keeps %d bytes", used)
	}
	key(Default.Memory)
}

func TestPool_IdleTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(1, time.Second)
		for range 3 { // never idle for 30 seconds
			time.Sleep(idleAfter - 2*time.Second)
			_, _ = p.do(t.Context(), sleep)
		}
		if !p.shrink.Stop() {
			t.Error("the timer is not running after use")
		}
	})
}

// 200 logins at once, half of which give up: the memory stays bounded, and a later login works.
func TestThreat11_MemoryExhaustion(t *testing.T) {
	h := New(2, 5*time.Minute)
	phc, err := h.Hash(t.Context(), horse)
	if err != nil {
		t.Fatal(err)
	}
	before := heap()
	peak := make(chan uint64, 1)
	stop := make(chan struct{})
	go func() {
		var most uint64
		for {
			select {
			case <-stop:
				peak <- most
				return
			case <-time.After(5 * time.Millisecond):
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc+uint64(argon2.Mapped()))
			}
		}
	}()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var ok, cancelled int
	for i := range 200 {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i%2 == 1 {
				time.AfterFunc(time.Duration(i)*time.Millisecond/2, cancel)
			}
			res, err := h.Verify(ctx, phc, horse)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil && res.OK:
				ok++
			case i%2 == 1 && errors.Is(err, context.Canceled):
				cancelled++
			default:
				t.Errorf("login %d: %+v, %v", i, res, err)
			}
		})
	}
	wg.Wait()
	close(stop)
	if most := int64(<-peak) - before; most > 2*20<<20+8<<20 {
		t.Errorf("the heap grew by %d KiB over two slots", most>>10)
	}
	if ok < 100 || cancelled == 0 {
		t.Errorf("%d succeeded and %d were cancelled", ok, cancelled)
	}
	if got, want := h.Stats(), (Stats{Slots: 2}); got != want {
		t.Errorf("stats = %+v, want %+v", got, want)
	}
	if !verify(t, h, phc, horse).OK {
		t.Error("a later login fails")
	}
}

// heap is the memory in use, that of hashes beside the Go heap included.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) + argon2.Mapped()
}

// A slot that has jobs goes from one to the next, and says how long it has work for.
func TestPool_SlotGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(1, time.Hour)
		var ran []string
		for range 3 {
			go p.do(t.Context(), func(b *argon2.Buffer) error {
				stack := make([]byte, 64)
				stack = stack[:runtime.Stack(stack, false)]
				ran = append(ran, string(stack[:bytes.IndexByte(stack, '[')])) // the goroutine's number
				return sleep(b)
			})
		}
		synctest.Wait()
		if got, want := p.backlog(), 2*firstGuess; got != want {
			t.Errorf("backlog = %v, want %v", got, want)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(ran) != 3 || ran[0] != ran[1] || ran[0] != ran[2] {
			t.Errorf("ran in %q", ran)
		}
		if got := p.backlog(); got != 0 {
			t.Errorf("backlog = %v of an idle pool", got)
		}
	})
}
