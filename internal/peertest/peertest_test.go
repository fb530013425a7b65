// Package peertest holds the tests against programs of others, as a user has them. They are no part of the build:
// "make test" installs the programs and sets TEST_PEERS=1, and then a program that is missing is a failure.
package peertest

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/processtest"
)

func TestMain(m *testing.M) { os.Exit(processtest.Main(m)) }

// tool finds a program. Without TEST_PEERS=1 the test is skipped.
func tool(t *testing.T, name string) string {
	t.Helper()
	if os.Getenv("TEST_PEERS") != "1" {
		t.Skipf("runs %s; set TEST_PEERS=1 to run this test", name)
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("TEST_PEERS=1, and %s is not installed: %v", name, err)
	}
	return path
}

// run gives what a program prints when it is given this input.
func run(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String()
}

// scan gives the text of the one QR code of an image, byte for byte.
func scan(t *testing.T, zbarimg, path string) string {
	t.Helper()
	out := run(t, "", zbarimg, "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", path)
	return strings.TrimSuffix(out, "\n")
}
