package main

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A start reads as much of a database with thousands of accounts, sessions and audit entries
// as of one with a few: it looks up what it needs, and scans nothing that grows.
func TestServe_StartReadsNothingThatGrows(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	if err := serve(t, data, "--demo").Stop(); err != nil {
		t.Fatal(err)
	}
	p := serve(t, data)
	must(t, diskPass, "account", "create", "--data", data, "--username", "ada", "--password-stdin")
	p.token(t, "ada")
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	start := func() int {
		p := serve(t, data)
		p.waitFor(t, "the store has accounts that the demo made") // which is looked for once all else has begun
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", p.Cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(`(?m)^rchar: (\d+)$`).FindSubmatch(text) // proc_pid_io(5): all that it has read, cached or not
		if found == nil {
			t.Fatalf("%s", text)
		}
		if err := p.Stop(); err != nil {
			t.Fatal(err)
		}
		n, _ := strconv.Atoi(string(found[1]))
		return n
	}
	start() // what the first one after a stop has to tell is told
	few := start()
	const rows, scan = 20_000, 512 << 10 // less than any of the tables or indexes has
	db, err := sql.Open("sqlite", filepath.Join(data, "ostiary.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"account", "account_name", "session", "audit_event", "known_source"} {
		multiply(t, db, table, rows)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if many := start(); many-few > scan {
		t.Errorf("%d bytes are read with %d rows in each table, %d without", many, rows, few)
	} else {
		t.Logf("%d bytes are read with %d rows in each table, %d without", many, rows, few)
	}
}

// multiply adds rows like the one that there is, with other ids.
func multiply(t *testing.T, db *sql.DB, table string, rows int) {
	t.Helper()
	columns, err := db.Query("SELECT name, type FROM pragma_table_info($1)", table)
	if err != nil {
		t.Fatal(err)
	}
	defer columns.Close()
	var names, values []string
	for columns.Next() {
		var name, kind string
		if err := columns.Scan(&name, &kind); err != nil {
			t.Fatal(err)
		}
		value := name
		switch {
		case name == "seq": // before the log, whose end stays as it is
			value = "-i"
		case name == "number":
			value = "number + 1000000 + i"
		case kind == "BLOB" && name != "realm_id":
			value = fmt.Sprintf("iif(length(%s) > 0, randomblob(length(%s)), %s)", name, name, name)
		case name == "name_key" || name == "username":
			value = "hex(randomblob(8))"
		}
		names, values = append(names, name), append(values, value)
	}
	if err := columns.Err(); err != nil {
		t.Fatal(err)
	}
	result, err := db.Exec(fmt.Sprintf(`INSERT INTO %s (%s)
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		SELECT %s FROM n, (SELECT * FROM %s LIMIT 1)`, table, strings.Join(names, ", "), rows, strings.Join(values, ", "), table))
	if err != nil {
		t.Fatalf("%s: %v", table, err)
	}
	if n, err := result.RowsAffected(); err != nil || n != int64(rows) {
		t.Fatalf("%s: %d rows, %v", table, n, err)
	}
}
