// Package deploytest holds the tests of what is in deploy/, and of the pages about running Ostiary: as far as possible by
// running it. What only "make test" installs is skipped without TEST_PEERS=1.
package deploytest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/processtest"
)

const deploy = "../../deploy/"

func TestMain(m *testing.M) { os.Exit(processtest.Main(m)) }

// tool finds a program. Without TEST_PEERS=1 the test is skipped.
func tool(t *testing.T, name string) string {
	t.Helper()
	if os.Getenv("TEST_PEERS") != "1" {
		t.Skipf("runs %s; set TEST_PEERS=1 to run this test", name)
	}
	for _, name := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("TEST_PEERS=1, and %s is not installed", name)
	return ""
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// replaced replaces texts that must be there: what is tested is what the file says.
func replaced(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("%q is not in\n%s", pairs[i], text)
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

// run runs a program to its end.
func run(t *testing.T, stdin string, name string, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String()
}

// start starts a program that goes on until it is told to stop, or the test ends.
func start(t *testing.T, cmd *exec.Cmd) (log func() string, stop func() error) {
	t.Helper()
	p, err := processtest.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p.Log.String, p.Stop
}

// await asks a URL until it answers with 200.
func await(t *testing.T, client *http.Client, url string, log func() string) string {
	t.Helper()
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var res *http.Response
		if res, err = client.Get(url); err != nil {
			continue
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode == http.StatusOK {
			return string(body)
		}
		err = fmt.Errorf("%s: %s", res.Status, body)
	}
	t.Fatalf("%s does not answer: %v\n%s", url, err, log())
	return ""
}
