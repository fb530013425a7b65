package main

import (
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/processtest"
	"github.com/ostiary/ostiary/internal/store"
)

// turnOf is what a process logs when its turn has come.
var turnOf = regexp.MustCompile(`this process has its turn" turn=(\S+)`)

// turns are those that a process has had, in order.
func (p *process) turns() (names []string) {
	for _, m := range turnOf.FindAllStringSubmatch(p.err.String(), -1) {
		names = append(names, m[1])
	}
	slices.Sort(names)
	return names
}

// hasTurns waits until a process has had both turns, and says how long that took.
func (p *process) hasTurns(t *testing.T, within time.Duration) time.Duration {
	t.Helper()
	start := time.Now()
	for len(p.turns()) < 2 {
		if time.Since(start) > within {
			t.Fatalf("not its turn after %s:\n%s", within, p.err.String())
		}
		time.Sleep(20 * time.Millisecond)
	}
	return time.Since(start)
}

// Of the processes on a database one tidies up, and another one goes on: at once when that
// one stops, and within 30 s when it is killed.
func TestServe_TurnsAmongProcesses(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	debug := []string{"--log-level", "debug"}
	one := serve(t, data, debug...)
	one.hasTurns(t, 20*time.Second)
	two := serve(t, data, debug...)
	three := serve(t, data, debug...)
	must(t, "", "doctor", "--data", data)
	if had := append(two.turns(), three.turns()...); len(had) > 0 {
		t.Fatalf("two processes at once: %v", had)
	}
	if err := one.Stop(); err != nil {
		t.Fatal(err)
	}
	stopped := time.Now()
	for len(two.turns())+len(three.turns()) < 2 {
		if time.Since(stopped) > 15*time.Second { // each asks every five
			t.Fatal("nobody went on")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if len(two.turns()) < len(three.turns()) {
		two, three = three, two
	}
	killed := time.Now()
	two.Kill()
	three.hasTurns(t, 30*time.Second)
	t.Logf("after a kill it took %s", time.Since(killed).Round(time.Second))
}

// A node whose clock is behind that of the one that has the turn says so, once an hour.
func TestTurn_Clock(t *testing.T) {
	st, err := store.Create(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for ahead, warns := range map[time.Duration]bool{-time.Minute: false, 0: false, 3 * time.Second: false, 30 * time.Second: true} {
		other := time.Now().Add(ahead)
		if taken, err := st.TakeLease(t.Context(), tidyTurn, "another", other, other.Add(turnLife)); err != nil || !taken {
			t.Fatal(taken, err)
		}
		var log processtest.Log
		one := newTurn(st, slog.New(slog.NewTextHandler(&log, nil)), func() string { return tidyTurn })
		for range 3 {
			one.take(t.Context())
		}
		if n := strings.Count(log.String(), "the clock of this machine is behind"); n > 1 || n == 1 != warns {
			t.Errorf("%s ahead: %s", ahead, log.String())
		}
		one.leave(t.Context(), "")
		if err := st.EndLease(t.Context(), tidyTurn, "another"); err != nil {
			t.Fatal(err)
		}
	}
}

// A turn is one's own until it is left, and follows its name.
func TestTurn(t *testing.T) {
	st, err := store.Create(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	name := "a"
	log := slog.New(slog.DiscardHandler)
	one := newTurn(st, log, func() string { return name })
	two := newTurn(st, log, func() string { return "a" })
	check := func(what string, first, second bool) {
		t.Helper()
		one.take(t.Context())
		two.take(t.Context())
		if one.mine() != first || two.mine() != second {
			t.Errorf("%s: %v and %v", what, one.mine(), two.mine())
		}
	}
	check("the first", true, false)
	check("it stays so", true, false)
	one.leave(t.Context(), "")
	two.take(t.Context())
	check("left to the second", false, true)
	name = "b"
	check("another name", true, true)
	name = "c"
	if one.mine() {
		t.Error("a name that it does not have yet")
	}
	check("and again", true, true)
	if taken, err := st.TakeLease(t.Context(), "b", "x", time.Now(), time.Now()); err != nil || !taken {
		t.Errorf("the name before was not given back: %v, %v", taken, err)
	}
	if len(two.taken) != 1 {
		t.Error("nobody was woken")
	}
}
