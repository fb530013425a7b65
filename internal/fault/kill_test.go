package fault_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// settings keep the ledger's own wrong guesses from having to wait, or from being
// forgotten, and leave time for a retry after a start on a busy machine.
const settings = `
guess_source = 0
guess_account = 100000
guess_known = 100000
guess_wall = 0
guess_decay = "3650d"
guess_factor = 1000
guess_factor_window = "3650d"
[[mount]]
dialect = "cloudio"
[[mount]]
dialect = "mikrocloud"
[[mount]]
dialect = "nomic"
[[mount]]
dialect = "senmo"
refresh_retry = "10m"
`

const workers = 4

// What was acknowledged before a SIGKILL is there after it, what was not is whole or
// absent, and one-time values stay spent.
func TestThreat63_Kill(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		audited(t, engine{name: "SQLite"}, count(8, 200))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		audited(t, durable(t), count(4, 50))
	})
}

// audited lets clients work, kills, and audits, so many times.
func audited(t *testing.T, e engine, kills int) {
	s := newSite(t, e, settings)
	n := s.serve()
	l := &ledger{t: t, site: s, entries: map[entry]*tally{}, counted: map[entry]int{}, secrets: map[string]bool{}}
	for i := range workers {
		l.workers = append(l.workers, l.hire(i))
	}
	rng := dice(1000)
	began := time.Now()
	for round := range kills {
		work := time.Duration(50+rng.IntN(700)) * time.Millisecond
		theirs := rng.IntN(2) == 0 // the commands are killed, too
		again := rng.IntN(4) == 0  // and the server once more, while it starts
		database := e.server != nil && round%3 == 1
		ctx, cancel := context.WithCancel(t.Context())
		stop := make(chan struct{})
		var all sync.WaitGroup
		for _, w := range l.workers {
			w.url = n.url
			all.Go(func() { w.work(ctx, stop) })
		}
		time.Sleep(work)
		if theirs {
			cancel()
		}
		if database {
			e.server.Stop(t, syscall.SIGKILL) // and the server goes on
		} else {
			n.Kill()
		}
		close(stop)
		all.Wait()
		cancel()
		if database {
			l.workers[0].awayIsNoAnswer()
			e.server.Run(t)
			if err := n.ready(); err != nil {
				t.Fatal(err)
			}
		} else {
			l.logged(n)
			if again {
				starting := s.launch()
				time.Sleep(time.Duration(rng.IntN(60)) * time.Millisecond)
				starting.Kill()
			}
			n = s.serve()
		}
		l.audit(n, round == kills-1 || round%10 == 9)
		if t.Failed() {
			t.Fatalf("after kill %d of %d", round+1, kills)
		}
	}
	l.logged(n)
	if l.changes < 2*kills {
		t.Errorf("only %d changes were acknowledged", l.changes)
	}
	if out, _, err := s.command(t.Context(), "", "doctor", "--listen", "127.0.0.1:0"); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	t.Logf("%d kills in %s: %d changes acknowledged, %d without an answer, of which %d had been made; %d entries of the log",
		kills, time.Since(began).Round(time.Second), l.changes, l.unknown, l.settled, l.read)
}

// audit compares the ledger with the server that came after.
func (l *ledger) audit(n *node, thorough bool) {
	var all sync.WaitGroup
	each := func(do func(w *worker)) {
		for _, w := range l.workers {
			all.Go(func() { do(w) })
		}
		all.Wait()
	}
	each(func(w *worker) {
		w.url = n.url
		w.settle(always)
	})
	now := l.look()
	each(func(w *worker) {
		w.ackedIsVisible(now)
		w.countersStand(now)
		w.spentStaysSpent(always)
		w.endedStaysEnded()
		w.oneChain(always)
		w.tickets, w.codes, w.ended = last(w.tickets, recent), last(w.codes, recent), last(w.ended, recent)
	})
	l.logIsExact()
	if thorough {
		l.site.must("", "audit", "verify")
	}
	clear(l.secrets)
}

var trouble = regexp.MustCompile(`(?m)^.*(level=ERROR|panic|goroutine ).*$`)

// logged looks through what a server has printed: no secret, and no fault of its own.
func (l *ledger) logged(n *node) {
	text := n.Log.String()
	l.noSecret("the server's log", []byte(text))
	for _, line := range trouble.FindAllString(text, -1) {
		if !strings.Contains(line, "status=503") {
			l.t.Errorf("the server's log has: %s", line)
		}
	}
}

// storeAway tells whether a command failed since the database was not there.
func storeAway(err error) bool {
	return regexp.MustCompile(`store|database|connect`).MatchString(fmt.Sprint(err))
}
