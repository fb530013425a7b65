package fault_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/audit"
)

const (
	maxFailover   = 30 * time.Second
	maxSwitchover = 5 * time.Second
)

// TestThreat66_FailOver kills the primary under load, with two nodes behind HAProxy: nothing that was acknowledged is
// lost, nothing is used twice, and the service is back soon. Then an operator has the other database lead, and etcd is
// killed, without which the primary goes on.
func TestThreat66_FailOver(t *testing.T) {
	if !long {
		t.Skip("takes minutes; set TEST_FAULT=1 to run this test")
	}
	c := startCluster(t)
	s := newSite(t, engine{name: "PostgreSQL", url: c.makeDatabase()}, settings)
	f := openFarm(t, s)
	l := &ledger{t: t, site: s, entries: map[entry]*tally{}, counted: map[entry]int{}, secrets: map[string]bool{}}
	for i := range workers {
		l.workers = append(l.workers, l.hire(i))
	}
	p := &probe{load: load{t: t, client: newClient(), name: "probe"}}
	p.url = f.url
	p.id, p.secret = s.service(p.name)
	l.expect(done, entry{audit.AccountCreated, p.id, "service"})
	t.Run("Kill", func(t *testing.T) {
		for range 3 {
			c.inStep()
			killed := c.leader()
			gap := f.under(l, p, killed.kill)
			t.Logf("%s was killed: the service was away for %s", killed.name, gap.Round(10*time.Millisecond))
			if gap > maxFailover {
				t.Errorf("away for %s", gap)
			}
			killed.start(c.t) // for longer than this part
		}
	})
	t.Run("Switchover", func(t *testing.T) {
		for range 3 {
			c.inStep()
			from := c.leader()
			gap := f.under(l, p, c.switchover)
			t.Logf("from %s to %s: the service was away for %s", from.name, c.leader().name, gap.Round(10*time.Millisecond))
			if gap > maxSwitchover {
				t.Errorf("away for %s", gap)
			}
		}
	})
	t.Run("WithoutEtcd", func(t *testing.T) {
		c.inStep()
		gap := f.under(l, p, c.withoutEtcd)
		t.Logf("etcd was away for half a minute: the service was away for %s", gap.Round(10*time.Millisecond))
		if gap > maxSwitchover {
			t.Errorf("away for %s", gap)
		}
	})
	t.Logf("%d changes acknowledged, %d without an answer, of which %d had been made; %d logins of the probe; %s",
		l.changes, l.unknown, l.settled, p.count, c.history())
}

// under does something to the database while clients work, and audits what they were told. It returns for how long no
// login went through.
func (f *farm) under(l *ledger, p *probe, do func()) time.Duration {
	ctx, cancel := context.WithCancel(f.t.Context())
	defer cancel()
	stop, over := make(chan struct{}), make(chan struct{})
	var clients, all sync.WaitGroup
	all.Go(func() { p.watch(l, over) })
	for _, w := range l.workers {
		w.url = f.url
		clients.Go(func() {
			for w.work(ctx, stop); w.lost != nil; w.work(ctx, stop) { // there was no answer
				f.ready()
				time.Sleep(lag) // what a node knows of a session may be as old
				w.settle(always)
			}
		})
	}
	time.Sleep(3 * time.Second)
	p.forget()
	do()
	time.Sleep(time.Second)
	f.ready()
	time.Sleep(3 * time.Second)
	close(stop)
	clients.Wait()
	close(over)
	all.Wait()
	for _, n := range f.nodes {
		l.logged(n)
	}
	l.audit(&node{url: f.url}, true)
	return p.longest
}

// probe signs in all the time.
type probe struct {
	load
	id      string
	mu      sync.Mutex
	last    time.Time // that it was let in
	longest time.Duration
	count   int
}

func (p *probe) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.longest = 0
}

func (p *probe) watch(l *ledger, over <-chan struct{}) {
	p.last = time.Now()
	for {
		select {
		case <-over:
			return
		case <-time.After(20 * time.Millisecond):
		}
		a := p.login(always, nomic, p.name, p.secret)
		p.mu.Lock()
		l.expect(a.outcome(), entry{audit.SignedIn, p.id, ""})
		switch a.status {
		case http.StatusOK:
			p.count++
			p.longest, p.last = max(p.longest, time.Since(p.last)), time.Now()
		case 0, http.StatusServiceUnavailable: // away, and says so
		default:
			p.t.Errorf("I5: a good credential is answered %s", a)
		}
		p.mu.Unlock()
	}
}
