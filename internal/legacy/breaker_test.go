package legacy

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

var (
	fromOne = netip.MustParseAddr("192.0.2.1")
	errAway = errors.New("away")
)

func newBreaker() *breaker { return &breaker{log: slog.New(slog.DiscardHandler)} }

// try makes a call that ends as end says, and tells whether it was let through.
func try(b *breaker, end func(p *pass)) bool {
	p, wait, _ := b.enter(fromOne)
	if p == nil {
		if wait <= 0 {
			panic("a refusal without a time")
		}
		return false
	}
	end(p)
	return true
}

func fails(p *pass) { p.bad(&failure{cause: errAway}, fromOne) }

func succeeds(p *pass) { p.good() }

func TestBreaker_OpensAfterFailuresInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker()
		for range 3 { // what succeeds in between closes the row
			for range maxFailures - 1 {
				if !try(b, fails) {
					t.Fatal("it opens too early")
				}
			}
			try(b, succeeds)
		}
		for range maxFailures {
			try(b, fails)
		}
		_, wait, last := b.enter(fromOne)
		if wait < firstBackoff*3/4 || wait > firstBackoff*5/4 || !errors.Is(last, errAway) {
			t.Errorf("it waits for %v, because of %v", wait, last)
		}
		time.Sleep(wait - time.Millisecond)
		if try(b, succeeds) {
			t.Error("it lets a call through too early")
		}
		time.Sleep(time.Millisecond)
		if !try(b, succeeds) || !try(b, fails) {
			t.Error("it has not closed")
		}
	})
}

func TestBreaker_OneProbeAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker()
		for range maxFailures {
			try(b, fails)
		}
		backoff := firstBackoff
		for range 10 {
			_, wait, _ := b.enter(fromOne)
			if wait < backoff*3/4 || wait > backoff*5/4 {
				t.Errorf("it waits for %v with a back-off of %v", wait, backoff)
			}
			time.Sleep(wait)
			probe, _, _ := b.enter(fromOne)
			if probe == nil || try(b, succeeds) {
				t.Fatal("not one probe")
			}
			probe.drop() // its client has left
			if probe, _, _ = b.enter(fromOne); probe == nil || try(b, succeeds) {
				t.Fatal("not one probe after that")
			}
			fails(probe)
			backoff = min(2*backoff, maxBackoff)
		}
		if backoff != maxBackoff {
			t.Errorf("the back-off ends at %v", backoff)
		}
	})
}

// A call that was under way when the breaker opened changes nothing if it fails, and shows
// that the server lives if it does not.
func TestBreaker_LateAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker()
		one, _, _ := b.enter(fromOne)
		two, _, _ := b.enter(fromOne)
		for range maxFailures {
			try(b, fails)
		}
		_, before, _ := b.enter(fromOne)
		fails(one)
		if _, after, _ := b.enter(fromOne); after != before {
			t.Errorf("a late failure: %v after %v", after, before)
		}
		two.good()
		if !try(b, succeeds) {
			t.Error("a late success has not closed it")
		}
	})
}

func TestBreaker_RetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for asked, want := range map[time.Duration]time.Duration{20 * time.Second: 20 * time.Second, time.Hour: maxHold} {
			b := newBreaker()
			for range maxFailures {
				try(b, func(p *pass) { p.bad(&failure{cause: errAway, retryAfter: asked}, fromOne) })
			}
			if _, wait, _ := b.enter(fromOne); wait != want {
				t.Errorf("asked for %v it waits %v", asked, wait)
			}
		}
	})
}

// What may be one client's own fault counts once for each, however often it comes: nobody
// keeps the others from the server.
func TestBreaker_OneClientCannotOpenIt(t *testing.T) {
	perhaps := func(from string) func(*pass) {
		return func(p *pass) {
			p.bad(&failure{cause: errAway, perhaps: true}, netip.MustParseAddr(from))
		}
	}
	b := newBreaker()
	for i := range 100 {
		if !try(b, perhaps("192.0.2.1")) || !try(b, perhaps("::ffff:192.0.2.1")) || !try(b, perhaps(fmt.Sprintf("2001:db8::%x", i+1))) {
			t.Fatal("one client has opened it")
		}
	}
	for i := range maxFailures - 2 {
		if !try(b, perhaps(fmt.Sprintf("198.51.100.%d", i))) {
			t.Fatal("it opens too early")
		}
	}
	if try(b, succeeds) {
		t.Error("failures of many clients have not opened it")
	}
}

// Once it is open, and the server back, a client whose calls fail by its own fault can't keep
// it open for the others: neither is the wait made longer, nor does it try each time.
func TestBreaker_OneClientCannotKeepItOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker()
		for range maxFailures {
			try(b, fails)
		}
		_, wait, _ := b.enter(fromOne)
		time.Sleep(wait)
		bad := netip.MustParseAddr("198.51.100.7")
		for range 10 {
			p, _, _ := b.enter(bad)
			if p == nil {
				t.Fatal("a client that waited may not try")
			}
			p.bad(&failure{cause: errAway, perhaps: true}, bad)
			if p, wait, _ = b.enter(bad); p != nil || wait <= 0 {
				t.Fatal("it tries again at once")
			}
			p, _, _ = b.enter(fromOne)
			if p == nil {
				t.Fatal("another client is kept from the server")
			}
			p.drop()
			time.Sleep(firstBackoff)
		}
		if !try(b, succeeds) || !try(b, fails) || !try(b, succeeds) {
			t.Error("it has not closed")
		}
	})
}

func TestFloor_FollowsRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &floor{limit: 5 * time.Second}
		if got := f.now(); got != floorUnseen {
			t.Errorf("before any: %v", got)
		}
		for range 50 {
			f.note(100 * time.Millisecond)
		}
		if got := f.now(); got != 100*time.Millisecond {
			t.Errorf("of equal ones: %v", got)
		}
		f.note(900 * time.Millisecond)
		if got := f.now(); got != 900*time.Millisecond {
			t.Errorf("after a slow one: %v", got)
		}
		f.note(100 * time.Millisecond)
		time.Sleep(floorHalfLife)
		if got := f.now(); got < 450*time.Millisecond || got > 600*time.Millisecond {
			t.Errorf("a minute after: %v", got)
		}
		time.Sleep(24 * time.Hour)
		if got := f.now(); got < 100*time.Millisecond || got > 250*time.Millisecond {
			t.Errorf("a day after: %v", got)
		}
		f.note(time.Hour)
		if got := f.now(); got != f.limit {
			t.Errorf("beyond the timeout: %v", got)
		}
	})
}

// What a server that is well finds wrong with requests, of however many clients, is no
// failure of its own.
func TestClient_FaultyRequestsDoNotOpenIt(t *testing.T) {
	var status atomic.Int32
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) })
	c := open(t, Options{URL: s.URL})
	for i, code := range []int{400, 404, 409, 422, 400, 404, 409, 422} {
		status.Store(int32(code))
		q := Question{Path: "/login", Client: auth.Client{Address: netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})}}
		is(t, fmt.Sprint(code), c.Ask(t.Context(), q, Unexpected), auth.CodeUnavailable, fmt.Sprint("the status ", code))
	}
}
