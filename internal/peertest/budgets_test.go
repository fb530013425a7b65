package peertest

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDocs_Budgets runs the commands of docs/budgets.md as they are written. The first wait is
// longer than a second here, so that a slow machine sees it too.
func TestDocs_Budgets(t *testing.T) {
	tool(t, "curl")
	page, err := os.ReadFile("../../docs/budgets.md")
	if err != nil {
		t.Fatal(err)
	}
	if n := start(t, "guess_delay = \"5m\"\n").follow(t, t.TempDir(), string(page)); n != 3 {
		t.Errorf("%d pieces", n)
	}
}

// TestDocs_BudgetsNamesEverySetting holds the table of the limits to the page of the settings.
func TestDocs_BudgetsNamesEverySetting(t *testing.T) {
	page, err := os.ReadFile("../../docs/budgets.md")
	if err != nil {
		t.Fatal(err)
	}
	settings, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	keys := regexp.MustCompile("(?m)^\\| `(guess_[a-z_]+)`").FindAllStringSubmatch(string(settings), -1)
	if len(keys) < 12 {
		t.Errorf("%d settings", len(keys))
	}
	for _, key := range keys {
		if !regexp.MustCompile("(?m)^\\|.*`" + key[1] + "`").Match(page) {
			t.Errorf("no row of docs/budgets.md names %s", key[1])
		}
	}
	if strings.Count(string(page), "\n| ") < 8 {
		t.Error("rows are missing")
	}
}
