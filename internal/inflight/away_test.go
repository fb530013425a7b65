package inflight

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

// While nothing listens where Redis was, a guess is refused soon; what is refused is asked
// for by one goroutine, and guesses pass once there is a server.
func TestRedis_AwayIsSoonSaid(t *testing.T) {
	p := startRedis(t)
	r := client(t, false, p)
	p.kill()
	begun := time.Now()
	for range 5 {
		if err := reserveOne(t.Context(), r, uuid.New(), "x"); auth.CodeOf(err) != auth.CodeUnavailable {
			t.Fatalf("without a server: %v", err)
		}
	}
	if took := time.Since(begun) / 5; took > time.Second { // not the 1.55 s of all tries
		t.Errorf("a refusal took %v", took)
	}
	p.run(t)
	until(t, r, uuid.New())
}

// So it is while it accepts connections and says nothing, but for the first guesses.
func TestRedis_FrozenIsSoonSaid(t *testing.T) {
	p := startRedis(t)
	r := client(t, false, p)
	thaw := p.freeze(t)
	defer thaw()
	refused := func() {
		if err := reserveOne(t.Context(), r, uuid.New(), "x"); auth.CodeOf(err) != auth.CodeUnavailable {
			t.Fatalf("of a frozen server: %v", err)
		}
	}
	refused()
	begun := time.Now()
	for range 4 {
		refused()
	}
	if took := time.Since(begun) / 4; took > within/2 {
		t.Errorf("a refusal took %v", took)
	}
	thaw()
	until(t, r, uuid.New())
}

// goroutines are the stacks of those that this package or its library has.
func goroutines() (all []string) {
	buf := make([]byte, 1<<20)
	for _, stack := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, "rueidis") || strings.Contains(stack, "inflight.(*Redis)") {
			all = append(all, stack)
		}
	}
	return all
}

// A dial that fails, or that is ended, leaves neither goroutine nor connection.
func TestRedis_FailedDialLeavesNothing(t *testing.T) {
	alone, other := startRedis(t), startRedis(t) // not of a cluster
	slow := startRedis(t)
	for name, o := range map[string]Options{
		"nobody there":           {Addresses: []string{"127.0.0.1:1"}},
		"a cluster, nobody":      {Addresses: []string{"127.0.0.1:1", "127.0.0.1:2"}, Cluster: true},
		"no answer":              {Addresses: []string{silent(t)}},
		"a wrong password":       {Addresses: []string{alone.address}, User: "nobody", Password: "x"},
		"no database":            {Addresses: []string{alone.address}, Database: 99},
		"no cluster":             {Addresses: []string{alone.address, other.address}, Cluster: true},
		"no cluster, and silent": {Addresses: []string{alone.address, silent(t)}, Cluster: true},
		"one is late":            {Addresses: []string{alone.address, slow.address}, Cluster: true},
	} {
		t.Run(name, func(t *testing.T) {
			thaw := func() {}
			if name == "one is late" {
				thaw = slow.freeze(t)
			}
			r := New(o)
			for range 3 {
				if err := reserveOne(t.Context(), r, uuid.New(), "x"); auth.CodeOf(err) != auth.CodeUnavailable {
					t.Errorf("%v", err)
				}
			}
			_ = r.Close()
			thaw()
			for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
				left := goroutines()
				if len(left) == 0 {
					break
				}
				if time.Since(begun) > 15*time.Second {
					t.Fatalf("%d are left, such as\n%s", len(left), left[0])
				}
			}
			for _, p := range []*program{alone, other, slow} {
				if list := p.do(t, "CLIENT", "LIST"); strings.Contains(list, "name=ostiary") {
					t.Errorf("connected still: %s", list)
				}
			}
		})
	}
}
