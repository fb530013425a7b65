package peertest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
)

// TestDocs_Backup makes a backup beside a running server as the README does, and uses it.
func TestDocs_Backup(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	var commands []string
	for _, b := range block.FindAllStringSubmatch(string(text), -1) {
		for line := range strings.Lines(b[2]) {
			if strings.Contains(line, "ostiary.backup") {
				commands = append(commands, strings.ReplaceAll(line, "age1…", id.Recipient().String()))
			}
		}
	}
	if len(commands) != 2 {
		t.Fatalf("%q", commands)
	}
	s := start(t, "")
	run(t, "quiet otters juggle lanterns", s.binary, "account", "create", "--data", s.data, "--username", "ada", "--password-stdin")
	dir := t.TempDir()
	restored := filepath.Join(dir, "restored")
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
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "age.txt"), []byte(id.String()+"\n"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.shell(t, dir, []string{"PATH=" + filepath.Dir(s.binary) + ":" + os.Getenv("PATH")}, strings.Join(commands, ""))
	for _, command := range []string{"doctor --listen 127.0.0.1:0", "audit verify", "account show ada"} {
		args := append(strings.Fields(command), "--data", restored)
		if out := run(t, "", s.binary, args...); out == "" {
			t.Errorf("ostiary %s says nothing", command)
		}
	}
}
