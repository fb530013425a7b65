package main

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestDocs_OfflineLife: the pages say how long each JWT that can be verified offline lives on
// after the end of its session.
func TestDocs_OfflineLife(t *testing.T) {
	for _, name := range []string{"threat-model.md", "resource-servers.md"} {
		page, err := os.ReadFile("../../docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range dialects() {
			if len(d.Algorithms) == 0 {
				continue // opaque
			}
			life := cmp.Or(d.Defaults.AccessTTL, d.Defaults.SessionMax)
			if want := fmt.Sprintf("%s's %g hour", d.Name(), life.Hours()); !strings.Contains(string(page), want) {
				t.Errorf("%s does not say %q", name, want)
			}
		}
	}
}
