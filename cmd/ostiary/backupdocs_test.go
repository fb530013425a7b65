package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/ostiary/ostiary/internal/pgtest"
)

var shownCommands = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// TestDocs_Backup runs the commands of docs/backup.md as they are written, but for the age
// key and the address of PostgreSQL.
func TestDocs_Backup(t *testing.T) {
	page, err := os.ReadFile("../../docs/backup.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := shownCommands.FindAllStringSubmatch(string(page), -1)
	if len(blocks) != 3 {
		t.Fatalf("%d pieces of commands", len(blocks))
	}
	dir := t.TempDir()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "ostiary-data")
	if err := serve(t, data).Stop(); err != nil {
		t.Fatal(err)
	}
	must(t, diskPass, "account", "create", "--data", data, "--username", "ada", "--password-stdin")
	key, err := os.ReadFile(filepath.Join(data, "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"age.txt": id.String() + "\n", "backup-keys.txt": id.Recipient().String() + "\n", "master.key": string(key)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	script := "set -e\n"
	for _, b := range blocks {
		script += b[1]
	}
	said := strings.Count(script, "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p")
	script = strings.NewReplacer("age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p", id.Recipient().String(),
		"postgres://ostiary@db.example.com/ostiary", "'"+pgtest.URL(t)+"'").Replace(script)
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil || said != 1 || strings.Count(string(out), "each table with the same digest") != 2 {
		t.Errorf("%v\n%s", err, out)
	}
	must(t, "", "restore", filepath.Join(dir, "ostiary2.backup"), "--data", restoredFrom(t, key), "--identity", filepath.Join(dir, "age.txt"))
}

// restoredFrom is a data directory with that master key.
func restoredFrom(t *testing.T, key []byte) string {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "master.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	return data
}
