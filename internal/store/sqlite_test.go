package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/auth"
)

func TestOpen_NoStore(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Join(dir, "missing")} {
		if _, err := Open(t.Context(), d); !errors.Is(err, ErrNoStore) {
			t.Fatalf("%s: got %v", d, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "empty.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFile(t.Context(), filepath.Join(dir, "empty.db")); !errors.Is(err, ErrNoStore) {
		t.Fatalf("an empty file: got %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("opening what is not there left %v, %v", entries, err)
	}
}

func TestOpen_NotADatabase(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, DatabaseFile), []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func(context.Context, string) (*Store, error){"Open": Open, "Create": Create} {
		if _, err := open(t.Context(), dir); err == nil || errors.Is(err, ErrNoStore) {
			t.Fatalf("%s: got %v", name, err)
		}
	}
}

func TestOpen_StrangeNames(t *testing.T) {
	for _, name := range []string{"a b", "a?b", "a#b", "a%20b", "ä&mode=memory"} {
		dir := filepath.Join(t.TempDir(), name)
		if err := createIn(t, dir).SetValue(t.Context(), "k", name); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, DatabaseFile)); err != nil {
			t.Fatal(err)
		}
		s, err := Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if got, err := s.Value(t.Context(), "k"); err != nil || got != name {
			t.Fatalf("%s: got %q, %v", name, got, err)
		}
	}
}

// TestOpen_Durable looks at every connection: each must sync at each commit.
func TestOpen_Durable(t *testing.T) {
	s := create(t)
	want := map[string]string{"journal_mode": "wal", "synchronous": "2", "busy_timeout": "10000", "trusted_schema": "0"}
	err := s.InTx(t.Context(), func(tx auth.Tx) error {
		for name, value := range want {
			if name == "busy_timeout" {
				value = "250" // it waits by itself, and for all that wait at once
			}
			var got string
			if err := own(tx).row(t.Context(), "PRAGMA "+name).Scan(&got); err != nil || got != value {
				t.Errorf("the writer's %s is %q, %v", name, got, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	readers := s.db.Stats().MaxOpenConnections - 1
	for i := range readers {
		conn, err := s.db.Conn(t.Context()) // held, so that each is another one
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for name, value := range want {
			var got string
			if err := conn.QueryRowContext(t.Context(), "PRAGMA "+name).Scan(&got); err != nil || got != value {
				t.Errorf("reader %d: %s is %q, %v", i, name, got, err)
			}
		}
	}
	if readers < 4 {
		t.Fatalf("only %d readers", readers)
	}
}

func TestOpen_Version(t *testing.T) {
	s := create(t)
	engine := s.Info().Engine
	if !strings.HasPrefix(engine, "SQLite 3.") || versionNumber(strings.TrimPrefix(engine, "SQLite ")) < versionNumber("3.51.3") {
		t.Fatalf("got %q", engine)
	}
	for _, c := range []struct {
		version string
		enough  bool
	}{{"3.51.2", false}, {"3.50.99", false}, {"3.9.100", false}, {"2.99.99", false}, {"", false}, {"3.51.3", true}, {"3.52.0", true}, {"3.100.0", true}, {"4.0.0", true}} {
		if got := versionNumber(c.version) >= versionNumber(minSQLite); got != c.enough {
			t.Errorf("%s: %v", c.version, got)
		}
	}
}

// setSchema makes a database of what migrations ran in it, without running any.
func setSchema(t *testing.T, dir, change string) {
	t.Helper()
	s := createIn(t, dir)
	if _, err := s.db.ExecContext(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpen_NewerSchema(t *testing.T) {
	dir := t.TempDir()
	setSchema(t, dir, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)")
	for name, open := range map[string]func(context.Context, string) (*Store, error){"Open": Open, "Create": Create} {
		_, err := open(t.Context(), dir)
		if err == nil || !strings.Contains(err.Error(), "schema 9999") || !strings.Contains(err.Error(), "use a newer ostiary") {
			t.Fatalf("%s: got %v", name, err)
		}
	}
}

// TestInTx_ReadOnly: whoever may only read the database is told which one it is.
func TestInTx_ReadOnly(t *testing.T) {
	s := create(t)
	if _, err := s.writer.conn.ExecContext(t.Context(), "PRAGMA query_only = ON"); err != nil {
		t.Fatal(err)
	}
	err := s.SetValue(t.Context(), "a", "b")
	want := s.Info().Path + ": store: the database can't be written: run ostiary doctor"
	if e := auth.AsError(err); e.Code != auth.CodeUnavailable || e.Cause == nil || !strings.HasPrefix(e.Cause.Error(), want) {
		t.Errorf("got %v", err)
	}
}

// TestOpen_OlderSchema: only Create migrates; and it may meet what a migration that was
// cut short had already made.
func TestOpen_OlderSchema(t *testing.T) {
	dir := t.TempDir()
	setSchema(t, dir, "DELETE FROM goose_db_version WHERE version_id > 10")
	_, err := Open(t.Context(), dir)
	if err == nil || !strings.Contains(err.Error(), "schema 10") || !strings.Contains(err.Error(), "ostiary serve") {
		t.Fatalf("got %v", err)
	}
	s := createIn(t, dir)
	if i := s.Info(); i.Before != 10 || i.Schema != i.Current || i.Schema < 24 {
		t.Fatalf("got %+v", i)
	}
}

var (
	sqlComment = regexp.MustCompile(`--[^\n]*`)
	oneDDL     = regexp.MustCompile(`^CREATE (TABLE|INDEX|UNIQUE INDEX) IF NOT EXISTS [^;]+;$`)
	oneFill    = regexp.MustCompile(`^INSERT INTO [a-z_]+ \([a-z_, ]+\) SELECT [^;]+ ON CONFLICT DO NOTHING;$`)
	notPlain   = regexp.MustCompile(`(?i)\b(AUTOINCREMENT|TRIGGER|GENERATED|REFERENCES|DEFAULT|CHECK|VIRTUAL|DROP|TEMP)\b`)
)

// TestMigrations_Rerunnable: each is one statement, which makes something that is not
// there yet, or adds rows that are not; run again, it changes nothing.
func TestMigrations_Rerunnable(t *testing.T) {
	names, err := fs.Glob(migrations, "migrations/sqlite/*.sql")
	if err != nil || len(names) < 33 {
		t.Fatalf("%d migrations, %v", len(names), err)
	}
	s := create(t)
	realm := auth.Realm{ID: testRealm, Name: "one", RefreshKey: []byte{1}, CreatedAt: benchNow}
	if err := s.InTx(t.Context(), func(tx auth.Tx) error { return tx.InsertRealm(t.Context(), realm) }); err != nil {
		t.Fatal(err)
	}
	var before, after int
	const changes = "SELECT total_changes()"
	conn, err := s.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.QueryRowContext(t.Context(), changes).Scan(&before); err != nil {
		t.Fatal(err)
	}
	taken := map[int64]bool{} // by migrations in Go
	for _, m := range goMigrations() {
		taken[m.Version] = true
	}
	for range 2 {
		number := int64(0)
		for _, name := range names {
			if number++; taken[number] {
				number++
			}
			text, err := fs.ReadFile(migrations, name)
			if err != nil {
				t.Fatal(err)
			}
			statement := strings.TrimSpace(sqlComment.ReplaceAllString(string(text), ""))
			if !oneDDL.MatchString(statement) && !oneFill.MatchString(statement) || notPlain.MatchString(statement) {
				t.Errorf("%s is not one plain statement that can be run again", name)
			}
			if n, err := strconv.ParseInt(filepath.Base(name)[:5], 10, 64); err != nil || n != number {
				t.Errorf("%s has number %d, %v; want %d", name, n, err, number)
			}
			if _, err := conn.ExecContext(t.Context(), statement); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := chainEvents(t.Context(), s.db); err != nil {
			t.Error(err)
		}
	}
	if err := conn.QueryRowContext(t.Context(), changes).Scan(&after); err != nil || after != before {
		t.Errorf("migrations that ran again changed %d rows, %v", after-before, err)
	}
	if err := s.SetValue(t.Context(), "still", "works"); err != nil {
		t.Fatal(err)
	}
}

// TestMigrations_BuiltInRoles: realms from before there were roles get those that every
// realm has, also where a migration was cut short; and new ones get them from the start.
func TestMigrations_BuiltInRoles(t *testing.T) {
	dir := t.TempDir()
	setSchema(t, dir, `INSERT INTO realm (id, name, next_number, refresh_key, created_at)
			VALUES (x'01', 'one', 1, x'00', 1000000), (x'02', 'two', 1, x'00', 2000000);
		INSERT INTO role (realm_id, name, created_at) VALUES (x'02', 'ostiary:introspect', 2000000);
		DELETE FROM goose_db_version WHERE version_id > 31`)
	s := createIn(t, dir)
	var got string
	const roles = `SELECT string_agg(line, ', ') FROM (SELECT hex(realm_id) || ' ' || name || ' ' || created_at AS line FROM role ORDER BY line)`
	if err := s.row(t.Context(), roles).Scan(&got); err != nil {
		t.Fatal(err)
	}
	const want = "01 ostiary:introspect 1000000, 01 ostiary:revoke 1000000, 02 ostiary:introspect 2000000, 02 ostiary:revoke 2000000"
	if got != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
	realm := auth.Realm{ID: testRealm, Name: "new", RefreshKey: []byte{1}, CreatedAt: benchNow}
	if err := s.InTx(t.Context(), func(tx auth.Tx) error { return tx.InsertRealm(t.Context(), realm) }); err != nil {
		t.Fatal(err)
	}
	fresh, err := s.Roles(t.Context(), realm.ID, "", 10)
	if err != nil || len(fresh) != 2 || fresh[0].Name != auth.RoleIntrospect || fresh[1].Name != auth.RoleRevoke || !fresh[1].CreatedAt.Equal(benchNow) {
		t.Fatalf("a new realm has the roles %+v, %v", fresh, err)
	}
}

// TestCreate_Race: several first starts in one directory.
func TestCreate_Race(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	errs := make(chan error)
	for range 4 {
		go func() {
			s, err := Create(context.Background(), dir)
			if err == nil {
				_, err = s.KeepValue(context.Background(), "master", "key")
				err = errors.Join(err, s.Close())
			}
			errs <- err
		}()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}

// TestNames_KeptOnce: names that two roles open hold no memory for their second time.
func TestNames_KeptOnce(t *testing.T) {
	for text, want := range map[string]string{"": "", "b a": "a b", strings.Repeat("b a ", 50): "a b"} {
		var list []string
		if err := (names{&list}).Scan(text); err != nil {
			t.Fatal(err)
		}
		if strings.Join(list, " ") != want || cap(list) != len(list) {
			t.Errorf("of %q: %d with room for %d", text, len(list), cap(list))
		}
	}
}
