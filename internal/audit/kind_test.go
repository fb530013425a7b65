package audit

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"
)

// TestKinds_Listed: every kind is in Kinds, and has its row in the table of docs/audit.md.
func TestKinds_Listed(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Kind" {
			text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			declared = append(declared, text)
		}
		return true
	})
	page, err := os.ReadFile("../../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed, documented []string
	for _, k := range Kinds {
		listed = append(listed, string(k))
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| [^|]+ \\|.*\\|$").FindAllStringSubmatch(string(page), -1) {
		if slices.Contains(declared, m[1]) || len(documented) > 0 { // the table of the members comes before
			documented = append(documented, m[1])
		}
	}
	if len(declared) < 30 {
		t.Fatalf("%d kinds are declared", len(declared))
	}
	for name, all := range map[string][]string{"Kinds": listed, "docs/audit.md": documented} {
		for _, k := range declared {
			if !slices.Contains(all, k) {
				t.Errorf("%s lacks %q", name, k)
			}
		}
		if len(all) != len(declared) {
			t.Errorf("%s has %d kinds, and there are %d: %q", name, len(all), len(declared), all)
		}
	}
	if !slices.Equal(listed, documented) {
		t.Errorf("docs/audit.md has another order than Kinds:\n%q\n%q", documented, listed)
	}
}
