package main

import (
	"bytes"
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
