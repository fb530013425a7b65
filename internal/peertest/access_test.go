package peertest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// shown is a fenced piece of a page: commands, or what they print.
var shown = regexp.MustCompile("(?ms)^```(sh|text)\n(.*?)^```$")

// TestDocs_Access runs the commands of docs/access.md as they are written.
func TestDocs_Access(t *testing.T) {
	tool(t, "curl")
	page, err := os.ReadFile("../../docs/access.md")
	if err != nil {
		t.Fatal(err)
	}
	if n := start(t, "").follow(t, t.TempDir(), string(page)); n < 5 {
		t.Errorf("%d pieces", n)
	}
}

// follow runs the commands of a page in one shell, in a directory, and holds what they
// print to what the page shows, where … stands for what differs each time. It returns the
// number of the pieces.
func (s *server) follow(t *testing.T, dir, page string) int {
	t.Helper()
	const end = "\x01"
	var commands, want []string
	for _, b := range shown.FindAllStringSubmatch(page, -1) {
		if b[1] == "sh" {
			commands, want = append(commands, b[2]), append(want, "")
			continue
		}
		want[len(want)-1] = b[2]
	}
	env := []string{"OSTIARY_DATA=" + s.data, "PATH=" + filepath.Dir(s.binary) + ":" + os.Getenv("PATH")}
	const tidy = "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n" // should a command fail
	out := s.shell(t, dir, env, tidy+strings.Join(commands, "\nprintf '\\001'\n"))
	got := strings.Split(strings.ReplaceAll(out, "\r\n", "\n"), end)
	if len(got) != len(want) {
		t.Fatalf("%d commands, %d answers", len(want), len(got))
	}
	for i := range want {
		pattern := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(want[i])), "…", "[^\n]*")
		if !regexp.MustCompile("^" + pattern + "$").MatchString(strings.TrimSpace(got[i])) {
			t.Errorf("%s\nprints\n%s\nand the page shows\n%s", commands[i], got[i], want[i])
		}
	}
	return len(want)
}
