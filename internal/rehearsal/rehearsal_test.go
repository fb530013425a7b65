package main

import (
	"os"
	"strings"
	"testing"
)

// The walk of docs/takeover.md, with its commands and settings: no client sees a failure.
func TestWalk(t *testing.T) {
	if os.Getenv("TEST_PEERS") != "1" {
		t.Skip("runs node; set TEST_PEERS=1 to run this test")
	}
	var out strings.Builder
	if err := run(t.Context(), &out, "../..", "", testing.Verbose()); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
	t.Log(out.String())
}

// The page has the steps that the walk counts.
func TestPage(t *testing.T) {
	steps, err := readPage("../..")
	if err != nil {
		t.Fatal(err)
	}
	for i, begins := range map[int]string{0: "1. ", 3: "4. Shadow", known - 1: "5. Move some", moved - 1: "6. Move all"} {
		if i >= len(steps) || !strings.HasPrefix(steps[i].title, begins) {
			t.Errorf("step %d of docs/takeover.md does not begin with %q", i+1, begins)
		}
	}
	if got := fenced("x\n```sh\none\n```\ny\n```toml\ntwo\n```\n```sh\nthree\n```\n", "sh"); got != "one\nthree\n" {
		t.Errorf("%q", got)
	}
}
