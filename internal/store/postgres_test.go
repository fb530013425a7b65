package store

import (
	"testing"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/pgtest"
	"github.com/ostiary/ostiary/internal/store/storetest"
)

// createPostgres makes a new store that the test closes.
func createPostgres(t testing.TB) *Store {
	t.Helper()
	return createPostgresAt(t, pgtest.URL(t))
}

func createPostgresAt(t testing.TB, url string) *Store {
	t.Helper()
	s, err := CreatePostgres(t.Context(), url, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestPostgres_Serializable runs the suites as they would run on an engine that knows no other level.
func TestPostgres_Serializable(t *testing.T) {
	storetest.Run(t, func(t *testing.T) auth.Store {
		s := createPostgres(t)
		s.committer.(*lanes).isolation = "SERIALIZABLE"
		return s
	})
}
