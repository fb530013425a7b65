package inflight

import (
	"testing"

	"github.com/gomodule/redigo/redis"
	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

func claimOf(realm uuid.UUID, subject string) []auth.Claim {
	return []auth.Claim{{Key: auth.BudgetKey{Realm: realm, Kind: auth.BudgetAccount, Subject: subject}, Most: 10}}
}

// The connections that a Redis has left behind fail no guess of the next one.
func TestRedis_Restart(t *testing.T) {
	p := startRedis(t)
	r := client(t, false, p)
	for range 3 {
		if _, err := r.Reserve(t.Context(), claimOf(uuid.New(), "x"), nobody); err != nil {
			t.Fatal(err)
		}
		p.kill()
		if _, err := r.Reserve(t.Context(), claimOf(uuid.New(), "x"), nobody); auth.CodeOf(err) != auth.CodeUnavailable {
			t.Fatalf("without a server: %v", err)
		}
		p.run(t)
	}
}

// A slot that is on its way to another node is asked for there, and then found there.
func TestRedis_SlotOnItsWay(t *testing.T) {
	all := startCluster(t)
	r := client(t, true, all[0])
	realm := uuid.New()
	if _, err := r.Reserve(t.Context(), claimOf(realm, "old"), nobody); err != nil {
		t.Fatal(err)
	}
	from, _ := r.home(realm.String())
	to := all[0].address
	if to == from {
		to = all[1].address
	}
	do := func(address, command string, args ...any) any {
		t.Helper()
		c, err := redis.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		reply, err := c.Do(command, args...)
		if err != nil {
			t.Fatal(err)
		}
		return reply
	}
	slot := do(from, "CLUSTER", "KEYSLOT", "{"+realm.String()+"}")
	source, target := do(from, "CLUSTER", "MYID"), do(to, "CLUSTER", "MYID")
	do(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", source)
	do(from, "CLUSTER", "SETSLOT", slot, "MIGRATING", target)
	for range 2 { // the second one finds the script there
		if _, err := r.Reserve(t.Context(), claimOf(realm, "new"), nobody); err != nil {
			t.Fatal(err)
		}
	}
	if home, _ := r.home(realm.String()); home != from {
		t.Errorf("home is %s while the slot is on its way, not %s", home, from)
	}
	do(from, "DEL", keyOf(claimOf(realm, "old")[0].Key)) // what is there would be sent along
	for _, p := range all {
		do(p.address, "CLUSTER", "SETSLOT", slot, "NODE", target)
	}
	if _, err := r.Reserve(t.Context(), claimOf(realm, "old"), nobody); err != nil {
		t.Fatal(err)
	}
	if home, _ := r.home(realm.String()); home != to {
		t.Errorf("home is %s, not %s", home, to)
	}
}

func TestRedirected(t *testing.T) {
	for text, want := range map[string][2]string{
		"MOVED 3999 127.0.0.1:6381": {"MOVED", "127.0.0.1:6381"},
		"ASK 3999 :6381":            {"ASK", "192.0.2.1:6381"},
		"MOVED 3999 ?:6381":         {"MOVED", "192.0.2.1:6381"},
		"MOVED 3999 2001:db8::1:7":  {"MOVED", "[2001:db8::1]:7"},
		"MOVED 3999 nowhere":        {},
		"ERR 3999 127.0.0.1:6381":   {},
		"":                          {},
	} {
		if kind, to := redirected(text, "192.0.2.1:6379"); kind != want[0] || to != want[1] {
			t.Errorf("%q: %q %q", text, kind, to)
		}
	}
}
