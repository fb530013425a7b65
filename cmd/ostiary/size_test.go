package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// mostBytes is what the released binary may have (docs/adr/0015-small-binary.md).
const mostBytes = 25_000_000

// The binary is built as make build does it.
func TestBinary_Size(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ostiary")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-tags=nopgxregisterdefaulttypes", "-ldflags=-s -w", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > mostBytes {
		t.Errorf("the binary has %d bytes, and may have %d: go build -ldflags=-dumpdep tells what the linker keeps, and why", info.Size(), mostBytes)
	}
}
