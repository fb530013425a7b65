package main

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/store"
)

// TestDoctor_StoreThatCantBeUsed: what keeps a store from being written is said, and how to end it.
func TestDoctor_StoreThatCantBeUsed(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	if err := serve(t, data).Stop(); err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	says := func(want string) {
		t.Helper()
		if out, _, status := command(t, "", "doctor", "--data", data); status != 1 || !strings.Contains(out, want) {
			t.Errorf("%d %s", status, out)
		}
	}
	if err := st.RefuseWrites(t.Context(), store.Refusal{Until: store.Never, Why: "it was moved to postgres://elsewhere: use that one"}); err != nil {
		t.Fatal(err)
	}
	says("it takes no writes: it was moved to postgres://elsewhere: use that one: or, to go on with this one: ostiary database resume")
	if err := st.SetValue(store.Unrefused(t.Context()), store.CopiedFact, store.Copying); err != nil {
		t.Fatal(err)
	}
	says("the copy into it is not finished: run the same ostiary database copy again")
	db, err := sql.Open("sqlite", filepath.Join(data, "ostiary.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("DROP TABLE known_source"); err != nil {
		t.Fatal(err)
	}
	says("table known_source: ")
}
