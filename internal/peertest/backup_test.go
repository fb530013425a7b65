package peertest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocs_Backup makes a backup beside a running server as the README does, and uses it.
func TestDocs_Backup(t *testing.T) {
	tool(t, "sqlite3")
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := ""
	for _, b := range block.FindAllStringSubmatch(string(text), -1) {
		if strings.Contains(b[2], ".backup") {
			commands += b[2]
		}
	}
	s := start(t, "")
	run(t, "quiet otters juggle lanterns", s.binary, "account", "create", "--data", s.data, "--username", "ada", "--password-stdin")
	dir, restored := t.TempDir(), filepath.Join(t.TempDir(), "data")
	key, err := os.ReadFile(filepath.Join(s.data, "master.key"))
	if err == nil {
		err = os.Symlink(s.data, filepath.Join(dir, "ostiary-data"))
	}
	if err == nil {
		err = os.Mkdir(restored, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(restored, "master.key"), key, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.shell(t, dir, nil, commands)
	if err := os.Rename(filepath.Join(dir, "ostiary-backup.db"), filepath.Join(restored, "ostiary.db")); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"doctor --listen 127.0.0.1:0", "audit verify", "account show ada"} {
		args := append(strings.Fields(command), "--data", restored)
		if out := run(t, "", s.binary, args...); out == "" {
			t.Errorf("ostiary %s says nothing", command)
		}
	}
}
