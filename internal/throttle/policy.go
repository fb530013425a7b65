// Package throttle holds the rules of guess budgets: how many failures are free, how
// the delay grows, and how guesses in flight wait for each other.
//
// The counters themselves are in the store, where they survive a crash.
package throttle

import "time"

// Policy says how many failures a budget forgives.
type Policy struct {
	Free  int           // failures without a consequence; 0 turns the budget off
	First time.Duration // the delay after the last free failure; doubles with each one more
	Max   time.Duration // the longest delay
	Decay time.Duration // one failure is forgotten in this time; longer than Max, or the wall is never reached
	Wall  int           // failures after which only an operator helps; 0: none

	// Window counts differently: Free failures in one window, then nothing until it ends.
	Window time.Duration
}

// The budgets of the wire contract.
var (
	Account = Policy{Free: 5, First: time.Second, Max: 15 * time.Minute, Decay: time.Hour, Wall: 100}
	Known   = Policy{Free: 5, First: time.Second, Max: 15 * time.Minute, Decay: time.Hour, Wall: 100}
	Source  = Policy{Free: 60, Window: 10 * time.Minute}
	Factor  = Policy{Free: 10, First: time.Second, Max: 15 * time.Minute, Decay: 6 * time.Minute}
)

// State is a counter as the store keeps it.
type State struct {
	Failures int
	FirstAt  time.Time // of the window
	LastAt   time.Time
}

// Skew is how far two clocks may differ that count the same failures.
const Skew = 5 * time.Second

// Ahead tells whether the counter is from the future: the clock was set back.
func (s State) Ahead(now time.Time) bool { return s.LastAt.After(now.Add(Skew)) }

// Rebased is a counter whose last failure is at the given time. A wait that began before
// the clock was set back then takes as long as it would have taken.
func (s State) Rebased(now time.Time) State {
	if s.Failures == 0 {
		return s
	}
	return State{Failures: s.Failures, FirstAt: s.FirstAt.Add(now.Sub(s.LastAt)), LastAt: now}
}

// Failures is what is left of the counter at a time.
func (p Policy) Failures(s State, now time.Time) int {
	switch {
	case s.Failures == 0, p.Free == 0:
		return 0
	case p.Window > 0:
		if now.Sub(s.FirstAt) >= p.Window {
			return 0
		}
		return s.Failures
	case p.Wall > 0 && s.Failures >= p.Wall:
		return s.Failures
	default:
		return max(0, s.Failures-int(max(0, now.Sub(s.LastAt))/p.Decay))
	}
}

// Room is how many guesses may run at once, if one may: no more than could fail.
func (p Policy) Room(s State, now time.Time) int { return max(1, p.Free-p.Failures(s, now)) }

// Until is when the next guess is allowed; a time that is not after now means at once.
func (p Policy) Until(s State, now time.Time) time.Time {
	n := p.Failures(s, now)
	switch {
	case p.Free == 0 || n < p.Free:
		return time.Time{}
	case p.Window > 0:
		return earlier(s.FirstAt.Add(p.Window), now.Add(p.Window))
	case p.Walled(s):
		return now.Add(p.Max)
	}
	delay := p.First
	for ; n > p.Free && delay < p.Max; n-- {
		delay *= 2
	}
	delay = min(delay, p.Max)
	return earlier(s.LastAt.Add(delay), now.Add(delay))
}

// earlier keeps a clock that was set back from making a wait longer than it can be.
func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// Spent tells whether a counter that has just been charged begins to make guesses wait, or
// has come to its wall: the two changes that somebody should hear of.
func (p Policy) Spent(s State) bool { return s.Failures == p.Free || s.Failures == p.Wall }

// Walled tells whether only an operator can help.
func (p Policy) Walled(s State) bool { return p.Wall > 0 && s.Failures >= p.Wall }
