package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/pgtest"
	"github.com/ostiary/ostiary/internal/store"
)

// aboutStore are the transcripts that would see a store that behaves otherwise.
var aboutStore = []string{
	"access", "account", "alias", "audit", "budget_reload", "key", "master_key_environment", "mfa", "realm", "service", "session", "unlock",
}

// TestPostgres_Scripts runs the transcripts that are about the store again, each with a
// fresh database of PostgreSQL, and those of testdata/postgres, which are about nothing else.
func TestPostgres_Scripts(t *testing.T) {
	own, err := filepath.Glob("testdata/postgres/*.txt")
	if err != nil || len(own) == 0 {
		t.Fatalf("%d transcripts, %v", len(own), err)
	}
	files := own
	for _, name := range aboutStore {
		files = append(files, filepath.Join("testdata", name+".txt"))
	}
	server := pgtest.Start(t, pgtest.Options{Durable: true})
	runScripts(t, testscript.Params{Files: files, Setup: func(env *testscript.Env) error {
		url, drop, err := server.Database()
		if err != nil {
			return err
		}
		env.Defer(func() {
			if err := drop(); err != nil {
				t.Error(err)
			}
		})
		env.Setenv("OSTIARY_DATABASE", url)
		database, _, _ := strings.Cut(url[strings.LastIndex(url, "/")+1:], "?")
		env.Setenv("SERVER", server.Address())
		env.Setenv("DATABASE", database)
		env.Setenv("PLACE", "postgres://"+server.Address()+"/"+database)
		return nil
	}})
}

// A node that has made a key, while another one made the store's, is without one again.
func TestPostgres_KeyOfTheFirst(t *testing.T) {
	st, err := store.CreatePostgres(t.Context(), pgtest.URL(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	set := func() *config.Shared {
		return &config.Shared{Data: filepath.Join(t.TempDir(), "data"), Database: "postgres://x/y"}
	}
	first, second := set(), set()
	keyA, fileA, madeA, err := makeKey(first)
	if err != nil || !madeA {
		t.Fatal(madeA, err)
	}
	keyB, fileB, madeB, err := makeKey(second)
	if err != nil || !madeB {
		t.Fatal(madeB, err)
	}
	if err := keepKey(t.Context(), st, first, keyA, fileA, madeA); err != nil {
		t.Fatal(err)
	}
	if err := keepKey(t.Context(), st, second, keyB, fileB, madeB); err == nil || !strings.Contains(err.Error(), "bring a copy of the one that all nodes on it share") {
		t.Errorf("another key is taken: %v", err)
	}
	if _, err := os.Stat(fileB); !os.IsNotExist(err) {
		t.Errorf("a key that opens nothing is left: %v", err)
	}
	if _, err := os.Stat(fileA); err != nil {
		t.Error(err)
	}
	keyB, fileB, _, err = makeKey(second)
	if err != nil {
		t.Fatal(err)
	}
	if err := keepKey(t.Context(), st, second, keyB, fileB, false); err == nil || !strings.Contains(err.Error(), "is not the master key that the store") {
		t.Errorf("another key is taken: %v", err)
	}
	if _, err := os.Stat(fileB); err != nil {
		t.Errorf("a key that was there before is gone: %v", err)
	}
}

// Of nodes that make the store at the same time, each with a data directory of its own, one
// has the master key, and the others keep none that is not it.
func TestPostgres_FirstStartsAtOnce(t *testing.T) {
	url := pgtest.URL(t)
	const many = 4
	var wg sync.WaitGroup
	var mu sync.Mutex
	running := map[string]*process{}
	refused := map[string]string{}
	for range many {
		data := filepath.Join(t.TempDir(), "data")
		wg.Go(func() {
			p, err := launch(context.Background(), filepath.Dir(data), []string{"OSTIARY_DATABASE=" + url, "OSTIARY_DATA=" + data, "GORACE=" + quickExit})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				refused[data] = err.Error()
				return
			}
			running[data] = p
		})
	}
	wg.Wait()
	for _, p := range running {
		defer p.Kill()
	}
	if len(running) != 1 {
		t.Fatalf("%d run: %v", len(running), refused)
	}
	for data, why := range refused {
		if !strings.Contains(why, "master.key is not there, and the store at postgres://") || !strings.Contains(why, "bring a copy of the one that all nodes on it share") {
			t.Errorf("refused without what to do: %s", why)
		}
		if _, err := os.Stat(filepath.Join(data, "master.key")); !os.IsNotExist(err) {
			t.Errorf("%s has a key that opens nothing: %v", data, err)
		}
	}
	for data, p := range running {
		p.waitFor(t, "the master key was made")
		must(t, "", "account", "create", "--data", data, "--database", url, "--username", "ada", "--no-password")
	}
}
