// Package recent is a bounded memory for what was used lately.
package recent

import "sync"

const (
	// size is how many entries a generation has at most, and room how much they weigh
	// together: so many bytes, if weights are told in bytes. A Map has two generations.
	size = 4096
	room = 8 << 20
	// heaviest is what an entry may weigh to be remembered: one must not take the place
	// of all others.
	heaviest = room / 8
)

// Map remembers the entries that were used last. It is safe for concurrent use; the
// zero Map is ready.
type Map[K comparable, V any] struct {
	mu sync.RWMutex
	// When recent is full, it becomes older, and what is not used again is forgotten.
	recent, older map[K]entry[V]
	weight        int // of recent
}

type entry[V any] struct {
	value  V
	weight int
}

// Get finds an entry, which counts as a use of it.
func (m *Map[K, V]) Get(key K) (value V, ok bool) {
	m.mu.RLock()
	e, ok := m.recent[key]
	aging := false
	if !ok {
		e, aging = m.older[key]
	}
	m.mu.RUnlock()
	if aging {
		m.renew(key)
	}
	return e.value, ok || aging
}

// renew moves an entry from older to recent, if it is still there.
func (m *Map[K, V]) renew(key K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, there := m.older[key]; there {
		m.put(key, e)
	}
}

// Put remembers an entry in place of an earlier one; or only forgets that, if the new one
// weighs too much.
func (m *Map[K, V]) Put(key K, value V, weight int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(key, entry[V]{value, weight})
}

func (m *Map[K, V]) put(key K, e entry[V]) {
	m.weight -= m.recent[key].weight // 0 if it is not there
	delete(m.recent, key)
	delete(m.older, key)
	if e.weight > heaviest {
		return
	}
	if m.recent == nil || len(m.recent) >= size || m.weight+e.weight > room {
		m.older, m.recent, m.weight = m.recent, make(map[K]entry[V]), 0
	}
	m.recent[key] = e
	m.weight += e.weight
}
