package inflight

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/pgtest"
	"github.com/ostiary/ostiary/internal/store"
	"github.com/ostiary/ostiary/internal/throttle"
)

// Logins of many accounts from one address, at two nodes, pass over a way to the database
// that takes some milliseconds.
func TestReserver_OneSourceFarAway(t *testing.T) {
	p, url := pgtest.NewProxy(t, pgtest.URL(t))
	n := build(t, func() (*store.Store, error) { return store.CreatePostgres(t.Context(), url, 0) },
		func(_ int, st *store.Store) auth.Reserver { return auth.ReserveIn(st, nil) })
	names := make([]string, 12)
	for i := range names {
		names[i] = fmt.Sprintf("user%d", i)
		if _, _, err := n.all[0].CreateAccount(t.Context(), n.realm.ID, auth.NewAccount{Username: names[i], Password: pass}, auth.Client{}); err != nil {
			t.Fatal(err)
		}
	}
	p.SetDelay(8 * time.Millisecond)
	start := time.Now()
	codes := n.parallel(100, func(i int) error {
		time.Sleep(time.Duration(i) * 50 * time.Millisecond)
		_, err := n.all[i%2].SignIn(t.Context(), n.mount, auth.Credentials{Name: names[i%12], Password: pass}, from("192.0.2.1"))
		return err
	})
	if codes[""] != 100 {
		t.Errorf("got %v", codes)
	}
	t.Logf("100 logins in 5 s were done after %v", time.Since(start))
	for range 2 { // the second one would write
		p.SetDelay(20 * time.Second)
		start = time.Now()
		err := n.all[0].Ready(t.Context())
		if took := time.Since(start); auth.CodeOf(err) != auth.CodeUnavailable || took > 4*time.Second {
			t.Errorf("ready: %v after %v", err, took)
		}
	}
}

// The places of a node that was killed hold a login up for some seconds, after which it is
// told when to come back, and others in its place are told so too.
func TestThreat03_KilledNode(t *testing.T) {
	each(t, func(n *nodes) {
		n.t.Parallel()
		if err := n.signIn(n.t.Context(), 1, pass, from("192.0.2.1")); err != nil { // whose source is known from now on
			n.t.Fatal(err)
		}
		claim := []auth.Claim{{Key: auth.BudgetKey{Realm: n.realm.ID, Kind: auth.BudgetKnown, Subject: n.ada.ID.String(), Source: "192.0.2.1"}, Most: 100}}
		for range 5 { // and never gives them back
			if _, err := n.shared[0].Reserve(n.t.Context(), claim, nobody); err != nil {
				n.t.Fatal(err)
			}
		}
		killed := time.Now()
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				err := n.signIn(n.t.Context(), 1, pass, from("192.0.2.1"))
				if took := time.Since(killed); auth.CodeOf(err) != auth.CodeUnavailable || took > 15*time.Second {
					n.t.Errorf("%v after %v", err, took)
				}
			})
		}
		all.Wait()
		told := time.Since(killed)
		for n.signIn(n.t.Context(), 1, pass, from("192.0.2.1")) != nil {
			if time.Since(killed) > time.Minute {
				n.t.Fatal("it goes on")
			}
			time.Sleep(100 * time.Millisecond)
		}
		n.t.Logf("told after %v, over after %v", told, time.Since(killed))
	})
}

// nobody refuses no guess.
func nobody(context.Context, auth.BudgetKey, int, *throttle.State) error { return nil }
