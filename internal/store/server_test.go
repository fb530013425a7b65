package store

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/pgtest"
)

// What the server says of itself is what it was told, as the user of the URL sees it.
func TestServer_Facts(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{Durable: true, Settings: []string{"max_connections=40", "superuser_reserved_connections=5", "synchronous_commit=local"}})
	url := server.URL(t)
	s := createPostgresAt(t, url)
	got, err := s.Server(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.Fsync != "on" || got.FullPageWrites != "on" || got.SynchronousCommit != "local" || got.Standbys != "" || got.Connections != 35 || got.Used < 1 ||
		len(got.Forbidden) > 0 || got.Foreign != 0 || got.Ahead.Abs() > time.Second {
		t.Errorf("%+v", got)
	}

	// A user with fewer rights and connections, for whom the database says otherwise.
	admin := strings.Replace(url, "ostiary@", "postgres@", 1)
	for _, sql := range []string{
		"CREATE ROLE guest LOGIN CONNECTION LIMIT 7", "ALTER ROLE guest SET synchronous_commit = off",
		"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO guest", "REVOKE DELETE ON session FROM guest",
	} {
		if err := pgtest.Exec(admin, sql); err != nil {
			t.Fatal(err)
		}
	}
	other, err := OpenPostgres(t.Context(), strings.Replace(url, "ostiary@", "guest@", 1), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	got, err = other.Server(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.SynchronousCommit != "off" || got.Connections != 7 || got.Used < 1 || got.Used > 6 || !slices.Equal(got.Forbidden, []string{"session"}) || got.Foreign < 20 {
		t.Errorf("%+v", got)
	}
}

// A server that has no connection left says so, and not that a process has the file of SQLite.
func TestServer_NoConnectionLeft(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{})
	url := server.URL(t)
	s := createPostgresAt(t, url)
	if err := pgtest.Exec(strings.Replace(url, "ostiary@", "postgres@", 1), "CREATE ROLE crowd LOGIN CONNECTION LIMIT 0"); err != nil {
		t.Fatal(err)
	}
	_, err := OpenPostgres(t.Context(), strings.Replace(url, "ostiary@", "crowd@", 1), 0)
	if err == nil {
		t.Fatal("a connection that there is not")
	}
	if cause := auth.AsError(err).Cause.Error(); !strings.HasPrefix(cause, s.info.Path+": store: the database has no connection left: raise max_connections") {
		t.Errorf("%v", cause)
	}
	for _, code := range []string{"57014", "55P03", "53200"} {
		if do := remedyOf(&pgconn.PgError{Code: code}); !strings.Contains(do, "pg_stat_activity") {
			t.Errorf("%s: %s", code, do)
		}
	}
}
