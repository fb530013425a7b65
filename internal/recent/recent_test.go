package recent

import (
	"sync"
	"testing"
)

func TestMap_Bounded(t *testing.T) {
	var m Map[int, string]
	for i := range 3*size + 10 {
		m.Put(i, "x", 1)
		if _, ok := m.Get(0); !ok {
			t.Fatalf("what is in use was forgotten after %d", i)
		}
	}
	if len(m.recent) > size || len(m.older) > size {
		t.Errorf("%d and %d remembered", len(m.recent), len(m.older))
	}
	if _, ok := m.Get(1); ok {
		t.Error("what was not used is not forgotten")
	}
}

func TestMap_Replaced(t *testing.T) {
	var m Map[string, int]
	if v, ok := m.Get("a"); ok || v != 0 {
		t.Errorf("of nothing: %d %v", v, ok)
	}
	m.Put("a", 1, 1)
	m.Put("a", 2, 1)
	if v, ok := m.Get("a"); !ok || v != 2 {
		t.Errorf("%d %v", v, ok)
	}
	m.Put("a", 3, heaviest+1)
	if v, ok := m.Get("a"); ok {
		t.Errorf("in place of what is too heavy to be kept: %d", v)
	}
}

// weigh adds up a generation, and sees that no more is in both than there is room for.
func (m *Map[K, V]) weigh(t *testing.T) {
	t.Helper()
	sum := func(all map[K]entry[V]) (n int) {
		for _, e := range all {
			n += e.weight
		}
		return n
	}
	if recent, older := sum(m.recent), sum(m.older); recent != m.weight || recent > room || older > room {
		t.Fatalf("they weigh %d and %d, and %d are counted", recent, older, m.weight)
	}
}

func TestMap_BoundedByWeight(t *testing.T) {
	var m Map[int, string]
	const heavy = 76 << 10
	for i := range 2000 {
		m.Put(i, "x", heavy)
		m.Put(i/2, "y", heavy*(i%3)) // in place of another, or again
		m.Put(-1-i, "z", heaviest+i%2)
		if _, ok := m.Get(0); !ok {
			t.Fatalf("what is in use was forgotten after %d", i)
		}
		m.weigh(t)
	}
	var light Map[int, string]
	for i := range size {
		light.Put(i, "x", room/size)
	}
	light.weigh(t)
	if len(light.recent) != size {
		t.Errorf("%d light ones are kept", len(light.recent))
	}
	light.Put(0, "x", room/size)
	if len(light.recent) != size {
		t.Errorf("what takes its own place starts a new generation of %d", len(light.recent))
	}
}

func TestMap_Concurrent(t *testing.T) {
	var m Map[int, int]
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i := range 2 * size {
				m.Put(i, i, 1)
				if v, ok := m.Get(i); ok && v != i {
					t.Errorf("%d has %d", i, v)
				}
			}
		})
	}
	group.Wait()
}
