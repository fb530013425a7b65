package main

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
)

// The first start of a newer program says that it has changed the database.
func TestServe_SaysUpgrade(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	const says = `msg="the database was brought up to date" store=`
	s := serve(t, data)
	if err := s.Stop(); err != nil || strings.Contains(s.err.String(), says) {
		t.Fatalf("%v\n%s", err, s.err.String())
	}
	db, err := sql.Open("sqlite", filepath.Join(data, "ostiary.db"))
	if err == nil {
		_, err = db.ExecContext(t.Context(), "DELETE FROM goose_db_version WHERE version_id > 30")
	}
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	serve(t, data).waitFor(t, "level=INFO "+says+`\S+ostiary.db schema_before=30 schema=\d+`)
}
