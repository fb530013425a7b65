package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ostiary/ostiary/internal/pgtest"
)

// aboutStore are the transcripts that would see a store that behaves otherwise.
var aboutStore = []string{
	"access", "account", "alias", "audit", "budget_reload", "key", "master_key_environment", "mfa", "password", "realm", "role", "service", "session", "unlock",
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
