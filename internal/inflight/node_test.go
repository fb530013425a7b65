package inflight

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

func claimOf(realm uuid.UUID, subjects ...string) (all []auth.Claim) {
	for _, s := range subjects {
		all = append(all, auth.Claim{Key: auth.BudgetKey{Realm: realm, Kind: auth.BudgetAccount, Subject: s}, Most: 10})
	}
	return all
}

func reserveOne(ctx context.Context, r *Redis, realm uuid.UUID, subjects ...string) error {
	_, err := r.Reserve(ctx, claimOf(realm, subjects...), nobody)
	return err
}

// until waits for a guess to pass.
func until(t *testing.T, r *Redis, realm uuid.UUID) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		err := reserveOne(t.Context(), r, realm, "x")
		if err == nil {
			return
		}
		if time.Since(begun) > 30*time.Second {
			t.Fatal(err)
		}
	}
}

// The connections that a Redis has left behind fail no guess of the next one.
func TestRedis_Restart(t *testing.T) {
	p := startRedis(t)
	r := client(t, false, p)
	for range 3 {
		if err := reserveOne(t.Context(), r, uuid.New(), "x"); err != nil {
			t.Fatal(err)
		}
		p.kill()
		if err := reserveOne(t.Context(), r, uuid.New(), "x"); auth.CodeOf(err) != auth.CodeUnavailable {
			t.Fatalf("without a server: %v", err)
		}
		p.run(t)
	}
}

// Guesses that all give up on a frozen server at once are told so, as are those that wait as
// long as they may; and when it is back, they pass again.
func TestRedis_Frozen(t *testing.T) {
	p := startRedis(t)
	r := client(t, false, p)
	thaw := p.freeze(t)
	begun := time.Now()
	var all sync.WaitGroup
	for i := range 600 { // some on the connection that there is, some while it is given up, and some on the next one
		ctx, cancel := context.WithTimeout(t.Context(), within+time.Duration(i-200)*time.Millisecond/10)
		defer cancel()
		all.Go(func() {
			if err := reserveOne(ctx, r, uuid.New(), "x"); err == nil || ctx.Err() == nil {
				t.Errorf("from a frozen server: %v", err)
			}
		})
	}
	all.Go(func() {
		if err := reserveOne(t.Context(), r, uuid.New(), "x"); auth.CodeOf(err) != auth.CodeUnavailable {
			t.Errorf("from a frozen server: %v", err)
		}
	})
	all.Wait()
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	thaw()
	until(t, r, uuid.New())
}

// Addresses of a cluster that do not answer hold up nobody.
func TestRedis_AddressesAway(t *testing.T) {
	all := startCluster(t)
	addresses := []string{silent(t), silent(t), all[2].address}
	client(t, true, all...) // waits for the cluster
	r := New(Options{Cluster: true, Addresses: addresses})
	t.Cleanup(func() { _ = r.Close() })
	for range 5 {
		if err := reserveOne(t.Context(), r, uuid.New(), "x"); err != nil {
			t.Fatal(err)
		}
	}
}

// silent is an address that takes connections and says nothing.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// Nor does a node that is frozen, whether the realm has been there before or not.
func TestRedis_NodeFrozen(t *testing.T) {
	all := startCluster(t)
	for _, p := range all { // the others serve on
		p.do(t, "CONFIG", "SET", "cluster-require-full-coverage", "no")
	}
	r := client(t, true, all...)
	var elsewhere []uuid.UUID
	for len(elsewhere) < 5 {
		if id := uuid.New(); home(t, all, id) != all[0] {
			elsewhere = append(elsewhere, id)
		}
	}
	defer all[0].freeze(t)()
	for _, id := range elsewhere {
		begun := time.Now()
		if err := reserveOne(t.Context(), r, id, "x"); err != nil || time.Since(begun) > 1500*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
	}
}

// home is the node of a cluster that has the keys of a realm.
func home(t *testing.T, all []*program, realm uuid.UUID) *program {
	t.Helper()
	for _, p := range all {
		if _, err := tell(p.address, "EXISTS", keyOf(claimOf(realm, "x")[0].Key)); err == nil {
			return p
		}
	}
	t.Fatal("no node has the realm")
	return nil
}

// A server that has become a replica is left for the one that has its name by now.
func TestRedis_Replica(t *testing.T) {
	first, second := startRedis(t), startRedis(t)
	var to atomic.Pointer[program]
	to.Store(first)
	r := New(Options{Addresses: []string{proxy(t, &to)}})
	t.Cleanup(func() { _ = r.Close() })
	if err := reserveOne(t.Context(), r, uuid.New(), "x"); err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(second.address)
	first.do(t, "REPLICAOF", host, port)
	if err := reserveOne(t.Context(), r, uuid.New(), "x"); auth.CodeOf(err) != auth.CodeUnavailable || !strings.Contains(err.Error(), "does not answer as it should") {
		t.Fatalf("of a replica: %v", err)
	}
	to.Store(second)
	if err := reserveOne(t.Context(), r, uuid.New(), "x"); err != nil {
		t.Fatal(err)
	}
}

// proxy passes new connections on to the program that it finds there, and keeps the old ones.
func proxy(t *testing.T, to *atomic.Pointer[program]) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	pass := func(in net.Conn) {
		defer in.Close()
		out, err := net.Dial("tcp", to.Load().address)
		if err != nil {
			return
		}
		defer out.Close()
		go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
		_, _ = io.Copy(out, in)
	}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go pass(in)
		}
	}()
	return l.Addr().String()
}

// A slot that is on its way to another node is asked for there, and then found there. While
// its keys are at both, a guess waits for them.
func TestRedis_SlotOnItsWay(t *testing.T) {
	all := startCluster(t)
	r := client(t, true, all[0])
	realm := uuid.New()
	if err := reserveOne(t.Context(), r, realm, "old"); err != nil {
		t.Fatal(err)
	}
	from := home(t, all, realm)
	to := all[0]
	if to == from {
		to = all[1]
	}
	slot := from.do(t, "CLUSTER", "KEYSLOT", "{"+realm.String()+"}")
	source, target := from.do(t, "CLUSTER", "MYID"), to.do(t, "CLUSTER", "MYID")
	to.do(t, "CLUSTER", "SETSLOT", slot, "IMPORTING", source)
	from.do(t, "CLUSTER", "SETSLOT", slot, "MIGRATING", target)
	for range 2 { // the second one finds the script there
		if err := reserveOne(t.Context(), r, realm, "new"); err != nil {
			t.Fatal(err)
		}
	}
	both := make(chan error)
	go func() { both <- reserveOne(t.Context(), r, realm, "old", "new") }()
	time.Sleep(100 * time.Millisecond)                     // in which it is told to try again
	from.do(t, "DEL", keyOf(claimOf(realm, "old")[0].Key)) // what is there would be sent along
	for _, p := range all {
		p.do(t, "CLUSTER", "SETSLOT", slot, "NODE", target)
	}
	if err := <-both; err != nil {
		t.Errorf("while it was at both: %v", err)
	}
	if err := reserveOne(t.Context(), r, realm, "old"); err != nil {
		t.Error(err)
	}
}
