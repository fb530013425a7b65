package store

import (
	"testing"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/store/storetest"
)

// create makes a new store that the test closes.
func create(t testing.TB) *Store {
	t.Helper()
	return createIn(t, t.TempDir())
}

func createIn(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Create(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) auth.Store { return create(t) })
}
