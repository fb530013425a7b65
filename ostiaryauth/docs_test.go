package ostiaryauth

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

var program = regexp.MustCompile("(?ms)^```go\n(package main\n.*?)^```$")

// The program of the page for resource servers compiles as it is written.
func TestDocs_Program(t *testing.T) {
	page, err := os.ReadFile("../docs/resource-servers.md")
	if err != nil {
		t.Fatal(err)
	}
	found := program.FindSubmatch(page)
	if found == nil {
		t.Fatal("the page has no program")
	}
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, found[1], 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "go", "vet", file).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
