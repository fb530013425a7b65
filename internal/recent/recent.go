// Package recent is a bounded memory for what was used lately.
package recent

import "sync"

// size is how many entries a Map remembers at least; at most it is twice as many.
const size = 4096

// Map remembers the entries that were used last. It is safe for concurrent use; the
// zero Map is ready.
type Map[K comparable, V any] struct {
	mu sync.RWMutex
	// When recent is full, it becomes older, and what is not used again is forgotten.
	recent, older map[K]V
}

// Get finds an entry, which counts as a use of it.
func (m *Map[K, V]) Get(key K) (value V, ok bool) {
	m.mu.RLock()
	value, ok = m.recent[key]
	aging := false
	if !ok {
		value, aging = m.older[key]
	}
	m.mu.RUnlock()
	if aging {
		m.Put(key, value)
	}
	return value, ok || aging
}

// Put remembers an entry in place of an earlier one.
func (m *Map[K, V]) Put(key K, value V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.recent) >= size || m.recent == nil {
		m.older, m.recent = m.recent, make(map[K]V)
	}
	m.recent[key] = value
}
