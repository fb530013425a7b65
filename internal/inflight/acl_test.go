package inflight

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

// rulesOf reads from the documentation what a user of Redis needs.
func rulesOf(t *testing.T) (alone, cluster, database []string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/budgets.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^ACL SETUSER ostiary on >PASSWORD (.*)$`).FindAllStringSubmatch(string(page), -1)
	if len(lines) != 2 {
		t.Fatalf("%d lines in docs/budgets.md", len(lines))
	}
	number := regexp.MustCompile("`(\\+select)`").FindStringSubmatch(string(page))
	if number == nil {
		t.Fatal("it says nothing of a numbered database")
	}
	return strings.Fields(lines[0][1]), strings.Fields(lines[1][1]), number[1:]
}

// as gives all of these servers a user with these rules, and nothing that was refused before.
func as(t *testing.T, rules []string, all ...*program) {
	t.Helper()
	for _, p := range all {
		_, _ = tell(p.address, "ACL", "DELUSER", "ostiary")
		p.do(t, append([]string{"ACL", "SETUSER", "ostiary", "on", ">secret"}, rules...)...)
		p.do(t, "ACL", "LOG", "RESET")
	}
}

// refusals are what the user was refused, which is a string for each.
func refusals(t *testing.T, all ...*program) (list []string) {
	t.Helper()
	for _, p := range all {
		c := open(t, p.address)
		entries, err := c.Do(t.Context(), c.B().Arbitrary("ACL", "LOG").Build()).ToArray()
		c.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			m, err := e.AsMap()
			if err != nil {
				t.Fatal(err)
			}
			object, reason := m["object"], m["reason"]
			what, _ := object.ToString()
			why, _ := reason.ToString()
			list = append(list, why+" "+what)
		}
	}
	return list
}

// work is all that a node does with a Redis, silence included.
func work(t *testing.T, o Options) error {
	t.Helper()
	o.User, o.Password = "ostiary", "secret"
	r := New(o)
	defer r.Close()
	if err := r.Ping(t.Context()); err != nil {
		return err
	}
	p, err := r.Reserve(t.Context(), claimOf(uuid.New(), "x"), nobody)
	if err != nil {
		return err
	}
	time.Sleep(2500 * time.Millisecond) // it asks a silent connection each second
	return p.Leave(t.Context())
}

// A user with the rules of the documentation is refused nothing, and one that lacks any of
// them is refused something.
func TestRedis_ACL(t *testing.T) {
	rules, _, database := rulesOf(t)
	for i, left := range append([]string{""}, rules...) {
		t.Run("without "+left, func(t *testing.T) {
			t.Parallel()
			p := startRedis(t)
			as(t, slices.DeleteFunc(slices.Clone(rules), func(s string) bool { return s == left }), p)
			err := work(t, Options{Addresses: []string{p.address}})
			refused := refusals(t, p)
			switch {
			case i == 0 && (err != nil || len(refused) > 0):
				t.Errorf("%v, refused: %q", err, refused)
			case i > 0 && err == nil && len(refused) == 0:
				t.Error("it is not needed")
			case err != nil && (auth.CodeOf(err) != auth.CodeUnavailable || !strings.Contains(err.Error(), "docs/budgets.md")):
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("unknown", func(t *testing.T) {
		t.Parallel()
		err := work(t, Options{Addresses: []string{startRedis(t).address}})
		if auth.CodeOf(err) != auth.CodeUnavailable || !strings.Contains(err.Error(), "docs/budgets.md") {
			t.Errorf("%v", err)
		}
	})
	t.Run("numbered", func(t *testing.T) {
		t.Parallel()
		p := startRedis(t)
		o := Options{Addresses: []string{p.address}, Database: 3}
		as(t, rules, p)
		if err := work(t, o); err == nil || !strings.Contains(err.Error(), "docs/budgets.md") {
			t.Errorf("it is not needed: %v", err)
		}
		as(t, append(database, rules...), p)
		if err := work(t, o); err != nil || len(refusals(t, p)) > 0 {
			t.Errorf("%v, refused: %q", err, refusals(t, p))
		}
	})
}

func TestRedis_ClusterACL(t *testing.T) {
	alone, rules, _ := rulesOf(t)
	all := startCluster(t)
	client(t, true, all...) // waits for the cluster
	o := Options{Addresses: []string{all[0].address}, Cluster: true, User: "ostiary", Password: "secret"}
	if got := slices.DeleteFunc(slices.Clone(rules), func(s string) bool { return slices.Contains(alone, s) }); !slices.Equal(got, []string{"+asking", "+cluster|slots", "+cluster|shards"}) {
		t.Fatalf("more than alone: %q", got) // the last one is for Redis 8, in place of the one before
	}
	for _, left := range []string{"", "+asking", "+cluster|slots"} {
		as(t, slices.DeleteFunc(slices.Clone(rules), func(s string) bool { return s == left }), all...)
		err := work(t, o)
		if err == nil {
			err = asked(t, o, all)
		}
		refused := refusals(t, all...)
		if left == "" && (err != nil || len(refused) > 0) || left != "" && err == nil && len(refused) == 0 {
			t.Errorf("without %q: %v, refused: %q", left, err, refused)
		}
	}
}

// asked makes a guess whose slot is on its way to another node, and lets it stay.
func asked(t *testing.T, o Options, all []*program) error {
	t.Helper()
	r := New(o)
	defer r.Close()
	realm := uuid.New()
	if err := reserveOne(t.Context(), r, realm, "old"); err != nil {
		return err
	}
	from := home(t, all, realm)
	to := all[0]
	if to == from {
		to = all[1]
	}
	slot := from.do(t, "CLUSTER", "KEYSLOT", "{"+realm.String()+"}")
	to.do(t, "CLUSTER", "SETSLOT", slot, "IMPORTING", from.do(t, "CLUSTER", "MYID"))
	from.do(t, "CLUSTER", "SETSLOT", slot, "MIGRATING", to.do(t, "CLUSTER", "MYID"))
	defer func() {
		for _, p := range all {
			p.do(t, "CLUSTER", "SETSLOT", slot, "STABLE")
		}
	}()
	return reserveOne(t.Context(), r, realm, "new")
}
