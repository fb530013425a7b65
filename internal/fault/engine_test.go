package fault_test

import (
	"testing"

	"github.com/ostiary/ostiary/internal/pgtest"
)

// engine is what keeps the store.
type engine struct {
	name   string
	url    string         // empty: SQLite in the site's directory
	server *pgtest.Server // of a store that the test may kill
}

// onEngines runs a test on a new, empty store of each engine.
func onEngines(t *testing.T, run func(t *testing.T, e engine)) {
	t.Run("SQLite", func(t *testing.T) { run(t, engine{name: "SQLite"}) })
	t.Run("PostgreSQL", func(t *testing.T) { run(t, engine{name: "PostgreSQL", url: pgtest.URL(t)}) })
}

// another is a new, empty store of the same engine.
func (e engine) another(t *testing.T) engine {
	if e.url != "" {
		e.url = pgtest.URL(t)
	}
	return e
}

// durable is a PostgreSQL of the test's own, which waits for its disk.
func durable(t *testing.T) engine {
	s := pgtest.Start(t, pgtest.Options{Durable: true})
	return engine{name: "PostgreSQL", url: s.URL(t), server: s}
}
