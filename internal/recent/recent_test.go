package recent

import (
	"sync"
	"testing"
)

func TestMap_Bounded(t *testing.T) {
	var m Map[int, string]
	for i := range 3*size + 10 {
		m.Put(i, "x")
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
	m.Put("a", 1)
	m.Put("a", 2)
	if v, ok := m.Get("a"); !ok || v != 2 {
		t.Errorf("%d %v", v, ok)
	}
}

func TestMap_Concurrent(t *testing.T) {
	var m Map[int, int]
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i := range 2 * size {
				m.Put(i, i)
				if v, ok := m.Get(i); ok && v != i {
					t.Errorf("%d has %d", i, v)
				}
			}
		})
	}
	group.Wait()
}
