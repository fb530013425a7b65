package declared

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/auth"
)

var (
	definitions = regexp.MustCompile("(?s)```toml\n(name = .*?)```")
	rows        = regexp.MustCompile("(?m)^\\| (`\\$\\{.*?) \\| (.*?) \\| (.*?) \\|")
	quoted      = regexp.MustCompile("`([^`]+)`")
)

// The page of the format has definitions that are right, and names every placeholder, flow, key and code.
func TestDocs_OfTheFormat(t *testing.T) {
	text, err := os.ReadFile("../../../docs/dialects/declared.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	blocks := definitions.FindAllStringSubmatch(page, -1)
	if len(blocks) == 0 {
		t.Error("no definition")
	}
	for _, block := range blocks {
		if _, err := Parse("declared.md", []byte(block[1])); err != nil {
			t.Error(err)
		}
	}
	known := slices.Collect(maps.Keys(placeholders))
	known = append(known, "uuid", "uuid.NAME", "jwt.NAME")
	var named []string
	for _, row := range rows.FindAllStringSubmatch(page, -1) {
		forms := strings.Split(row[2], ", ")
		for i, name := range quoted.FindAllStringSubmatch(row[1], -1) {
			name := strings.TrimSuffix(strings.TrimPrefix(name[1], "${"), "}")
			named = append(named, name)
			p, _ := lookup(strings.ReplaceAll(name, "NAME", "name"))
			if said := forms[min(i, len(forms)-1)]; (said == "text") != (p.form == isText || p.form == isToken) || (said == "number") != (p.form == isNumber) {
				t.Errorf("${%s} is no %s", name, said)
			}
			for in, said := range map[scope]bool{
				onClaims: strings.Contains(row[3], "claims"), onError: row[3] == "errors",
				onSignIn: strings.Contains(row[3], "answers") || strings.Contains(row[3], "`sign_in`"),
				onRenew:  strings.Contains(row[3], "answers"), onBegin: row[3] == "`begin`",
			} {
				if (p.in&in != 0) != said {
					t.Errorf("${%s} in %s: the page says %v", name, scopeNames[in], said)
				}
			}
		}
	}
	slices.Sort(known)
	slices.Sort(named)
	if !slices.Equal(known, named) {
		t.Errorf("placeholders: the page has\n%v\nand there are\n%v", named, known)
	}
	for f := range flows {
		known = append(known, string(f))
	}
	for _, code := range auth.Codes() {
		known = append(known, string(code))
	}
	known = append(known, "json_no_detail", "two_credentials", "refresh_retry", "algorithms", "subject", "when", "method", "raw", "csrf", "bare")
	for _, name := range known[len(named):] {
		if !strings.Contains(page, "`"+name+"`") && !strings.Contains(page, "`"+name+" = ") {
			t.Errorf("the page does not name %s", name)
		}
	}
}
