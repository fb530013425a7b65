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

// TestDocs_Access runs the commands of docs/access.md in one shell, as they are written, and
// holds what they print to what the page shows, where … stands for what differs each time.
func TestDocs_Access(t *testing.T) {
	tool(t, "curl")
	text, err := os.ReadFile("../../docs/access.md")
	if err != nil {
		t.Fatal(err)
	}
	const end = "\x01"
	var commands, want []string
	for _, b := range shown.FindAllStringSubmatch(string(text), -1) {
		if b[1] == "sh" {
			commands, want = append(commands, b[2]), append(want, "")
			continue
		}
		want[len(want)-1] = b[2]
	}
	s := start(t, "")
	env := []string{"OSTIARY_DATA=" + s.data, "PATH=" + filepath.Dir(s.binary) + ":" + os.Getenv("PATH")}
	out := s.shell(t, "", env, strings.Join(commands, "\nprintf '\\001'\n"))
	got := strings.Split(strings.ReplaceAll(out, "\r\n", "\n"), end)
	if len(got) != len(want) || len(got) < 5 {
		t.Fatalf("%d commands, %d answers", len(want), len(got))
	}
	for i := range want {
		pattern := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(want[i])), "…", "[^\n]*")
		if !regexp.MustCompile("^" + pattern + "$").MatchString(strings.TrimSpace(got[i])) {
			t.Errorf("%s\nprints\n%s\nand the page shows\n%s", commands[i], got[i], want[i])
		}
	}
}
