package fault_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the drivers
	_ "modernc.org/sqlite"
)

const pass = "marble lantern over quiet water"

// Five servers are started at once on a store where nothing is, and make it once.
func TestThreat70_FiveStartAtOnce(t *testing.T) {
	onEngines(t, func(t *testing.T, e engine) {
		s := newSite(t, e, "")
		nodes := startAll(t, s, 5)
		made(t, s, nodes)
		for _, n := range nodes {
			if err := n.Stop(); err != nil {
				t.Error(err)
			}
		}
	})
}

// Some of them are killed while they do: the others finish it.
func TestThreat70_StartersAreKilled(t *testing.T) {
	onEngines(t, func(t *testing.T, e engine) {
		s := newSite(t, e, "")
		rng := dice(70)
		doomed := []*node{s.launch(), s.launch()}
		var all sync.WaitGroup
		for _, n := range doomed {
			pause := time.Duration(20+rng.IntN(300)) * time.Millisecond
			all.Go(func() {
				time.Sleep(pause)
				n.Kill()
			})
		}
		nodes := startAll(t, s, 3)
		all.Wait()
		made(t, s, nodes)
	})
}

func startAll(t *testing.T, s *site, n int) []*node {
	t.Helper()
	nodes := make([]*node, n)
	for i := range nodes {
		nodes[i] = s.launch()
	}
	for _, n := range nodes {
		if err := n.await(); err != nil {
			t.Fatal(err)
		}
	}
	return nodes
}

// made sees that a store was made, once, and that each server serves it.
func made(t *testing.T, s *site, nodes []*node) {
	t.Helper()
	s.must(pass, "account", "create", "--username", "ada", "--password-stdin")
	for _, n := range nodes {
		c := newClient()
		c.url = n.url
		got := c.login(t.Context(), senmo, "ada", pass)
		if !got.ok() {
			t.Errorf("a login: %s", got)
		}
		for _, other := range nodes {
			c.url = other.url
			if who := c.whoami(t.Context(), bearer(senmo, got)); !who.ok() {
				t.Errorf("a token of one server at another: %s", who)
			}
		}
	}
	if list := s.must("", "realm", "list", "--json"); strings.Count(list, "\n") != 1 {
		t.Errorf("realms: %s", list)
	}
	for kind, want := range map[string]int{"realm_created": 1, "key_created": 2, "key_rotated": 0} {
		if list := s.must("", "audit", "list", "--json", "--kind", kind); strings.Count(list, "\n") != want {
			t.Errorf("%s, and %d were expected:\n%s", kind, want, list)
		}
	}
	s.must("", "audit", "verify")
	if s.database == "" { // it finds that the other one does not wait for its disk
		s.must("", "doctor", "--listen", "127.0.0.1:0")
	}
}

var schemaFound = regexp.MustCompile(`the database has schema (\d+) and this binary needs (\d+)`)

// A first start that is killed in the middle of the migrations is finished by the next one,
// however often that happens.
func TestThreat70_KilledMigration(t *testing.T) {
	onEngines(t, func(t *testing.T, e engine) {
		rng := dice(70)
		for range 20 {
			s := newSite(t, e.another(t), "")
			halfway := killedHalfway(t, s, rng, count(2, 8))
			made(t, s, []*node{s.serve()})
			if halfway > 0 || t.Failed() {
				return
			}
		}
		t.Error("no start was killed halfway: all were too quick")
	})
}

// killedHalfway kills first starts in the middle, and counts them.
func killedHalfway(t *testing.T, s *site, rng *rand.Rand, kills int) (halfway int) {
	reached := 0
	for range kills {
		reached += 1 + rng.IntN(30/kills)
		n := s.launch()
		awaitSchema(t, s, reached)
		n.Kill()
		_, _, err := s.command(t.Context(), "", "realm", "list")
		if err == nil {
			return halfway // it was done by then
		}
		m := schemaFound.FindStringSubmatch(err.Error())
		if m == nil {
			if !strings.Contains(err.Error(), "master.key") { // done, but for the key
				t.Errorf("a command after a start that was killed at schema %d: %v", reached, err)
			}
			return halfway
		}
		halfway++
		t.Logf("killed at schema %s of %s", m[1], m[2])
		reached, _ = strconv.Atoi(m[1])
	}
	return halfway
}

// awaitSchema waits until a store has come to a version, as another reads it.
func awaitSchema(t *testing.T, s *site, version int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if _, err := os.Stat(filepath.Join(s.data, "ostiary.db")); s.database == "" && err != nil {
			continue // to open it would make it
		}
		db, _ := s.open(t)
		var now int
		err := db.QueryRowContext(t.Context(), "SELECT MAX(version_id) FROM goose_db_version").Scan(&now)
		if db.Close(); err == nil && now >= version {
			return
		}
	}
	t.Fatalf("no schema %d in a minute", version)
}

// open opens a site's store beside the program, and says how its engine writes "true".
func (s *site) open(t *testing.T) (db *sql.DB, yes string) {
	t.Helper()
	driver, url, yes := "pgx", s.database, "TRUE"
	if url == "" {
		driver, url, yes = "sqlite", filepath.Join(s.data, "ostiary.db"), "1"
	}
	db, err := sql.Open(driver, url)
	if err != nil {
		t.Fatal(err)
	}
	return db, yes
}

// A binary that is older than the store leaves it alone.
func TestThreat70_OlderBinary(t *testing.T) {
	onEngines(t, func(t *testing.T, e engine) {
		s := newSite(t, e, "")
		n := s.serve()
		s.must(pass, "account", "create", "--username", "ada", "--password-stdin")
		if err := n.Stop(); err != nil {
			t.Fatal(err)
		}
		// As a newer one would have left it.
		raise(t, s, "INSERT INTO goose_db_version (version_id, is_applied) SELECT MAX(version_id) + 1, %s FROM goose_db_version")
		for _, args := range [][]string{
			{"serve", "--listen", "127.0.0.1:0"}, {"account", "list"}, {"account", "create", "--username", "bob", "--no-password"}, {"doctor"},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			out, answered, err := s.command(ctx, "", args...)
			cancel()
			if !answered || err == nil || !strings.Contains(err.Error()+out, "use a newer ostiary") {
				t.Errorf("ostiary %v: %v %s", args, err, out)
			}
		}
		raise(t, s, "DELETE FROM goose_db_version WHERE version_id = (SELECT MAX(version_id) FROM goose_db_version WHERE is_applied = %s)")
		if list := s.must("", "account", "list", "--json"); strings.Count(list, "\n") != 1 {
			t.Errorf("accounts: %s", list)
		}
	})
}

// raise runs a statement on the store; %s is "true".
func raise(t *testing.T, s *site, statement string) {
	t.Helper()
	db, yes := s.open(t)
	defer db.Close()
	res, err := db.ExecContext(t.Context(), fmt.Sprintf(statement, yes))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		t.Fatal(n, err)
	}
}
