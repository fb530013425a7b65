package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// TestRun_Text: what is typed must be text, and is looked at before anything is touched.
func TestRun_Text(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"Ada \xff", "Ada\x00"} {
		var out, errOut bytes.Buffer
		status := run(t.Context(), []string{"account", "create", "--data", dir, "--username", "ada", "--display-name", name}, strings.NewReader(""), &out, &errOut)
		if said := errOut.String(); status != 2 || !strings.Contains(said, "is not text in UTF-8") || strings.Count(said, "\n") != 1 || out.Len() > 0 {
			t.Errorf("%q: %d, %q, %q", name, status, out.String(), said)
		}
	}
}

// TestEncoder_Printable: what others have written moves no cursor and turns no text around in
// the JSON of a command either, which says the same all the same.
func TestEncoder_Printable(t *testing.T) {
	for _, name := range []string{"Zoë <z>", "a\u009b2Jb", "del\x7f", "\u202eadA", "a\u200fb", "tag\U000e0041", "nl\n\u2028"} {
		var out bytes.Buffer
		a := &app{out: bufio.NewWriter(&out)}
		if err := a.encoder().Encode(name); err != nil {
			t.Fatal(err)
		}
		_ = a.out.Flush()
		text, found := strings.CutSuffix(out.String(), "\n")
		var got string
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != name || !found || text != printable(text) {
			t.Errorf("%q: %q, %v", name, out.String(), err)
		}
		if strings.Contains(name, "Zoë") && text != `"`+name+`"` {
			t.Errorf("%q is %s", name, text)
		}
	}
}
