package config

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// TestDocs_NameEverySetting holds the page of the settings to the struct of the settings.
func TestDocs_NameEverySetting(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, of := range []reflect.Type{reflect.TypeFor[Shared](), reflect.TypeFor[Server](), reflect.TypeFor[Mount](), reflect.TypeFor[Policy](), reflect.TypeFor[Writeback]()} {
		for _, field := range reflect.VisibleFields(of) {
			key := field.Tag.Get("toml")
			if key == "" || key == "-" {
				continue
			}
			named++
			text := string(page)
			if of.Name() != "Mount" && of.Name() != "Policy" && of.Name() != "Writeback" && !regexp.MustCompile("(?m)^\\| `([a-z_`, ]+`)?"+key+"`.*\\| (applied.*|restart|–) \\|$").MatchString(text) {
				t.Errorf("docs/configuration.md does not say whether a reload applies %s", key)
			}
			if !strings.Contains(text, "`"+key+"`") && !strings.Contains(text, "\n"+key+" = ") {
				t.Errorf("docs/configuration.md does not name %s", key)
			}
			if value := field.Tag.Get("default"); value != "" && value != "0" && !strings.Contains(text, "| `"+key+"` | `"+value+"` |") {
				t.Errorf("docs/configuration.md does not say that %s is %s by default", key, value)
			}
		}
	}
	if named < 25 {
		t.Errorf("%d settings", named)
	}
}
