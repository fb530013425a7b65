package fault_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestThreat68_RollingRestart stops and starts two nodes in turns, under load: no client notices.
func TestThreat68_RollingRestart(t *testing.T) {
	peer(t, "haproxy")
	onEngines(t, func(t *testing.T, e engine) {
		s := newSite(t, e, settings)
		f := openFarm(t, s)
		var asked, failed atomic.Int64
		stop := make(chan struct{})
		var all sync.WaitGroup
		for i := range 6 {
			name := fmt.Sprintf("service%d", i)
			l := &load{t: t, client: newClient(), name: name}
			l.url = f.url
			_, l.secret = s.service(name)
			all.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					n, ok := l.round()
					asked.Add(int64(n))
					if !ok {
						failed.Add(1)
						return
					}
				}
			})
		}
		began := time.Now()
		for range count(1, 5) {
			for i, n := range f.nodes {
				if err := n.Stop(); err != nil {
					t.Error(err)
				}
				f.nodes[i] = f.start(i)
				time.Sleep(1500 * time.Millisecond) // until HAProxy has seen that it is back
			}
		}
		close(stop)
		all.Wait()
		if n := asked.Load(); failed.Load() > 0 || n < 100 {
			t.Errorf("%d failed of %d", failed.Load(), n)
		}
		t.Logf("%d requests in %s of %d rolling restarts, %d failed", asked.Load(), time.Since(began).Round(time.Second), count(1, 5), failed.Load())
	})
}

// load is one client that signs in, refreshes, and asks who it is.
type load struct {
	*client
	t            testing.TB
	name, secret string
}

// round is the life of one session; each of its requests must succeed.
func (l *load) round() (asked int, ok bool) {
	must := func(what string, want int, a answer) bool {
		asked++
		if a.status != want {
			l.t.Errorf("%s of %s: %s", what, l.name, a)
		}
		return a.status == want
	}
	in := l.login(always, senmo, l.name, l.secret)
	if !must("a login", http.StatusOK, in) {
		return asked, false
	}
	for range 10 {
		if who := l.whoami(always, bearer(senmo, in)); !must("whoami", http.StatusOK, who) || who.text("username") != l.name {
			return asked, false
		}
		next := l.refresh(always, in.text("tokens", "refreshToken"))
		if !must("a refresh", http.StatusOK, next) {
			return asked, false
		}
		in = next
	}
	return asked, must("a logout", http.StatusNoContent, l.ask(always, "POST", "/ostiary/logout", "", bearer(senmo, in)...))
}
