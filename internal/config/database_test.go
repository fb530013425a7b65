package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const hidden = "hunter2"

// No variable of PostgreSQL's own programs reaches the tests.
func withoutPG(t *testing.T) {
	t.Helper()
	for _, name := range []string{"PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGPASSFILE", "PGSERVICE", "PGSERVICEFILE", "PGSSLMODE", "PGTARGETSESSIONATTRS"} {
		t.Setenv(name, "") // restores it afterwards
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDatabase_URLs(t *testing.T) {
	withoutPG(t)
	const ambiguous, unreadable = "is ambiguous", "can't be read"
	for _, c := range []struct{ url, err, name, plain string }{
		{"postgres://o@db.example.com/ostiary?sslmode=verify-full", "", "postgres://db.example.com:5432/ostiary", ""},
		{"postgresql://o:hunter2@db.example.com:6432/ostiary", "", "postgres://db.example.com:6432/ostiary", "db.example.com"},
		{"postgres://o:hunter2@a:1,b:2,c:3/ostiary?sslmode=require", "", "postgres://a:1,b:2,c:3/ostiary", ""},
		{"postgres://o@a,b/ostiary?target_session_attrs=read-write&sslmode=allow", "", "postgres://a:5432,b:5432/ostiary", "a b"},
		{"postgres://o@a,127.0.0.1/ostiary?sslmode=disable", "", "postgres://a:5432,127.0.0.1:5432/ostiary", "a"},
		{"postgres://o@localhost/ostiary?sslmode=disable", "", "postgres://localhost:5432/ostiary", ""},
		{"postgres://o@[::1]:5433/ostiary", "", "postgres://[::1]:5433/ostiary", ""},
		{"postgres://o@[2001:db8::1],b/ostiary", "", "postgres://[2001:db8::1]:5432,b:5432/ostiary", "2001:db8::1 b"},
		{"postgres://o@/ostiary?host=/run/postgresql", "", "postgres:///run/postgresql:5432/ostiary", ""},
		{"postgres:///ostiary?host=db&password=hunter2", "", "postgres://db:5432/ostiary", "db"},
		{"postgres://o:hun%74er2%40%2F@db/ostiary", "", "postgres://db:5432/ostiary", "db"},
		{"postgres://o:hunter2@db/ostiary?sslmode=require&", "", "postgres://db:5432/ostiary", ""},
		{"postgres://o:hunter2#x?y@db/ostiary", "", "postgres://db:5432/ostiary", "db"},

		{"postgres://o:hunter2@db", "must name a database", "", ""},
		{"postgres://o:hunter2@db/", "must name a database", "", ""},
		{"postgres://o:hunter2@/ostiary", "must name a host", "", ""},
		{"postgres://o:hunter2@db/ostiary?target_session_attrs=read-only", "target_session_attrs must be read-write", "", ""},
		{"postgres://o:hunter2@db/ostiary?target_session_attrs=prefer-standby", "target_session_attrs must be read-write", "", ""},
		{"postgres://o:hunter2@db/ostiary?target_session_attrs=standby", "target_session_attrs must be read-write", "", ""},
		{"postgres://o:hunter2@db/ostiary?target_session_attrs=write", "unknown target_session_attrs value", "", ""},
		{"postgres://o:hunter2@db/ostiary?sslmode=on", "sslmode is invalid", "", ""},
		{"postgres://o:hunter2@db/ostiary?sslrootcert=/nonexistent/ca.pem", "/nonexistent/ca.pem: no such file", "", ""},
		{"postgres://o:hunter2@a:1,b:2,c/ostiary?port=1,2", "could not match", "", ""},
		{"postgres://o:hunter2@db/ostiary?service=none&servicefile=/nonexistent/pg_service.conf", "failed to read service", "", ""},
		{"postgres://o:ab/hunter2@db/ostiary", unreadable, "", ""},
		{"postgres://o:12/hunter2@db/ostiary", ambiguous, "", ""},
		{"postgres://o:x@hunter2@db/ostiary", ambiguous, "", ""},
		{"postgres://o:x:hunter2@db:port/ostiary", unreadable, "", ""},
		{"postgres://o:hunter2%zz@db/ostiary", unreadable, "", ""},
		{"postgres://o:hunter2@db/ostiary\n", "ambiguous", "", ""},
		{"postgres://o:12/hun?hunter2@db/ostiary", unreadable, "", ""},
		{"postgres://o:12/hun?hunter2=x@db/ostiary", ambiguous, "", ""},
		{"postgres://o:12/hun?hunter2/x=y", ambiguous, "", ""},
		{"postgres://o:12/hun?x&hunter2@db/ostiary", unreadable, "", ""},
		{"POSTGRES://o:hunter2@db/ostiary", "must begin with postgres://, in lower case", "", ""},
		{"PostgreSQL://o:hunter2@db/ostiary", "must begin with postgresql://, in lower case", "", ""},
		{"sqlite:x.db?mode=ro&k=hunter2", "must be followed by a plain path", "", ""},
		{"postgres:o:hunter2@db/ostiary", `must be "sqlite:" and a path`, "", ""},
		{"mysql://o:hunter2@db/ostiary", `must be "sqlite:" and a path`, "", ""},
	} {
		err := checkDatabase(c.url)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: %v, want %q", c.url, err, c.err)
			continue
		}
		s := &Shared{Data: "d", Database: c.url}
		if err != nil {
			if strings.Contains(err.Error(), hidden) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: its error has the password, or more than a line: %v", c.url, err)
			}
			continue
		}
		if got := s.DatabaseName(); got != c.name {
			t.Errorf("%q: name %q, want %q", c.url, got, c.name)
		}
		if got := strings.Join(s.PlainHosts(), " "); got != c.plain {
			t.Errorf("%q: without TLS %q, want %q", c.url, got, c.plain)
		}
		if got, want := s.HasPassword(), strings.Contains(c.url, "hun"); got != want {
			t.Errorf("%q: has a password %v, want %v", c.url, got, want)
		}
		if !s.Postgres() || s.DatabasePath() != "" {
			t.Errorf("%q: not PostgreSQL, or at the path %q", c.url, s.DatabasePath())
		}
	}
	for url, want := range map[string]string{"": filepath.Join("d", "ostiary.db"), "sqlite:x/y.db": "x/y.db", "sqlite:what? no #1.db": "what? no #1.db"} {
		s := &Shared{Data: "d", Database: url}
		if err := checkDatabase(url); err != nil {
			t.Errorf("%q: %v", url, err)
		}
		if s.Postgres() || s.DatabasePath() != want || s.DatabaseName() != want || s.PlainHosts() != nil || s.HasPassword() {
			t.Errorf("%q: %q", url, s.DatabaseName())
		}
	}
}

// What PostgreSQL's own programs take from the environment is taken here, too.
func TestDatabase_Environment(t *testing.T) {
	withoutPG(t)
	t.Setenv("PGHOST", "db.example.com")
	t.Setenv("PGSSLMODE", "verify-full")
	c, err := parse(t, "", "serve", "--database", "postgres:///ostiary")
	if err != nil || c.DatabaseName() != "postgres://db.example.com:5432/ostiary" || c.PlainHosts() != nil {
		t.Errorf("%q, %v, %v", c.DatabaseName(), c.PlainHosts(), err)
	}
	service := filepath.Join(t.TempDir(), "pg_service.conf")
	if err := os.WriteFile(service, []byte("[ours]\nhost=svc\ndbname=accounts\nuser=o\npassword=hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PGHOST", "")
	t.Setenv("PGSERVICEFILE", service)
	c, err = parse(t, "", "serve", "--database", "postgres://?service=ours")
	if err != nil || c.DatabaseName() != "postgres://svc:5432/accounts" || c.HasPassword() {
		t.Errorf("%q, %v", c.DatabaseName(), err)
	}
}

func TestDatabase_Sources(t *testing.T) {
	withoutPG(t)
	dir := t.TempDir()
	secret := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil { // whatever the umask
			t.Fatal(err)
		}
		return path
	}
	good := secret("good", " postgres://o:hunter2@of-file/d\n", 0o444)
	const url = "postgres://of-url/d"
	of := func(host string) string { return "postgres://" + host + ":5432/d" }
	for _, c := range []struct {
		name string
		env  map[string]string
		file string
		args []string
		want string // or the error
	}{
		{"flag of a file", nil, "", []string{"--database-file", good}, of("of-file")},
		{"environment", map[string]string{"OSTIARY_DATABASE": url}, "", nil, of("of-url")},
		{"file of the environment", map[string]string{"OSTIARY_DATABASE_FILE": good}, "", nil, of("of-file")},
		{"file", nil, "database_file = \"" + good + "\"", nil, of("of-file")},
		{"environment over file", map[string]string{"OSTIARY_DATABASE": url}, "database_file = \"" + good + "\"", nil, of("of-url")},
		{"file of the environment over file", map[string]string{"OSTIARY_DATABASE_FILE": good}, "database = \"" + url + "\"", nil, of("of-file")},
		{"flag over the environment", map[string]string{"OSTIARY_DATABASE_FILE": good}, "", []string{"--database", url}, of("of-url")},
		{"flag of a file over file", nil, "database = \"" + url + "\"", []string{"--database-file", good}, of("of-file")},
		{"flag over file", nil, "database_file = \"" + good + "\"", []string{"--database", url}, of("of-url")},
		{"both flags", nil, "", []string{"--database", url, "--database-file", good}, "database and database_file: give only one"},
		{"both of the environment", map[string]string{"OSTIARY_DATABASE": url, "OSTIARY_DATABASE_FILE": good}, "", nil, "database and database_file: give only one"},
		{"both of the file", nil, "database = \"" + url + "\"\ndatabase_file = \"" + good + "\"", nil, "database and database_file: give only one"},
		{"as some editors save it", nil, "", []string{"--database-file", secret("bom", "\ufeffpostgres://o:hunter2@of-file/d\r\n", 0o400)}, of("of-file")},
		{"flag of no URL over file", nil, "database_file = \"" + good + "\"", []string{"--database="}, filepath.Join("ostiary-data", "ostiary.db")},
		{"both flags over the environment", map[string]string{"OSTIARY_DATABASE": "sqlite:x"}, "", []string{"--data", "d", "--database-file", good}, of("of-file")},
		{"data and a URL", map[string]string{"OSTIARY_DATABASE_FILE": good}, "", []string{"--data", "d", "--database", url}, of("of-url")},
		{"data of the environment", map[string]string{"OSTIARY_DATABASE_FILE": good, "OSTIARY_DATA": "d"}, "", nil, of("of-file")},
		{"data of the file", nil, "data = \"d\"\ndatabase = \"" + url + "\"", nil, of("of-url")},
		{"data alone", nil, "", []string{"--data", "d"}, filepath.Join("d", "ostiary.db")},
		{"data and another URL", map[string]string{"OSTIARY_DATABASE": url}, "", []string{"--data", "d"}, of("of-url")},
		{"data and the file of another", map[string]string{"OSTIARY_DATABASE_FILE": good}, "", []string{"--data", "d"}, of("of-file")},
		{"data and another of the file", nil, "database_file = \"" + good + "\"", []string{"--data", "d"}, of("of-file")},
		{"missing", nil, "", []string{"--database-file", filepath.Join(dir, "none")}, "database_file: open "},
		{"empty", nil, "", []string{"--database-file", secret("empty", "\n", 0o400)}, "is empty"},
		{"two lines", nil, "", []string{"--database-file", secret("two", "postgres://o:hunter2@h/d\nx", 0o400)}, "must have one line"},
		{"open to others", nil, "", []string{"--database-file", secret("open", url, 0o666)}, "others can write"},
		{"a file that is no URL", nil, "", []string{"--database-file", secret("bad", "hunter2", 0o400)}, `must be "sqlite:" and a path`},
		{"too few connections", nil, "database_connections = 2", nil, "database_connections: must be between 6 and 1000000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			got, err := parse(t, c.file, append([]string{"serve"}, c.args...)...)
			switch {
			case err != nil && (strings.HasPrefix(c.want, "postgres:") || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), hidden)):
				t.Errorf("error %v, want %q", err, c.want)
			case err == nil && got.DatabaseName() != c.want:
				t.Errorf("got %q, want %q", got.DatabaseName(), c.want)
			}
		})
	}
}

// Files that have a password, and that others can read, are named.
func TestShownFiles_Named(t *testing.T) {
	withoutPG(t)
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const secret, redis, plain = "postgres://o:hunter2@h/d", "redis://:hunter2@h", "postgres://o@h/d"
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"open", []string{"--database-file", file("open", secret, 0o644)}, "open"},
		{"of a group", []string{"--database-file", file("group", secret, 0o440)}, ""},
		{"no password", []string{"--database-file", file("none", plain, 0o644)}, ""},
		{"Redis", []string{"--guess-redis-file", file("redis", redis, 0o604)}, "redis"},
		{"Redis of a group", []string{"--guess-redis-file", file("own", redis, 0o640)}, ""},
		{"configuration", []string{"--config", file("a.toml", "database = \""+secret+"\"", 0o644)}, "a.toml"},
		{"configuration of Redis", []string{"--config", file("b.toml", "guess_redis = \""+redis+"\"", 0o644)}, "b.toml"},
		{"own configuration", []string{"--config", file("c.toml", "database = \""+secret+"\"", 0o600)}, ""},
		{"configuration without it", []string{"--config", file("d.toml", "database = \""+plain+"\"", 0o644)}, ""},
		{"it and a file", []string{"--config", file("e.toml", "database_file = \""+file("both", secret, 0o644)+"\"", 0o644)}, "both"},
	} {
		got, err := parse(t, "", append([]string{"serve"}, c.args...)...)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var names []string
		for _, path := range ShownFiles(&got.Shared, &got.Serve.Server) {
			names = append(names, filepath.Base(path))
		}
		if strings.Join(names, " ") != c.want {
			t.Errorf("%s: %q, want %q", c.name, names, c.want)
		}
	}
}

// No text that is taken for a URL is shown with its password, and none ends the process.
func FuzzDatabase(f *testing.F) {
	for _, url := range []string{"postgres://o:P@h/d", "postgres://o:P@h:1,[::1]:2/d?sslmode=disable", "postgresql:///d?host=/run&password=P", "postgres://o:P/x@h/d", "sqlite:x"} {
		f.Add(url)
	}
	f.Fuzz(func(t *testing.T, url string) {
		s := &Shared{Data: "d", Database: url}
		if err := checkDatabase(url); err != nil {
			return
		}
		name := s.DatabaseName()
		if strings.ContainsAny(name, "@?\n") && s.Postgres() {
			t.Errorf("%q is named %q", url, name)
		}
		if hosts := s.PlainHosts(); slices.Contains(hosts, "localhost") {
			t.Errorf("%q: %v", url, hosts)
		}
		s.HasPassword()
	})
}
