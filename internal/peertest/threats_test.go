package peertest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const threats = 70

var (
	testFunc   = regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
	testNamed  = regexp.MustCompile("`(Test\\w+)`")
	threatName = regexp.MustCompile(`^TestThreat(\d\d)_`)
	threatRow  = regexp.MustCompile(`(?m)^\| (\d+) \| (.+) \| (.+) \| (.+) \|$`)
	asvsRow    = regexp.MustCompile(`(?m)^\| (\d+\.(?:\d+\.\d+|x)) \| .+ \| (.+) \| .*\|$`)
)

// testsOfTheTree are the names of all tests of the repository.
func testsOfTheTree(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range testFunc.FindAllStringSubmatch(string(text), -1) {
			all[m[1]] = true
		}
		return nil
	})
	if err != nil || len(all) < 100 {
		t.Fatalf("%d tests, %v", len(all), err)
	}
	return all
}

// TestDocs_Threats holds docs/threat-model.md to the tree: each attack has its row, the
// tests that a row names are there, every test of a number belongs to a row that claims to be
// tested, and a row without one says why.
func TestDocs_Threats(t *testing.T) {
	page, err := os.ReadFile("../../docs/threat-model.md")
	if err != nil {
		t.Fatal(err)
	}
	all := testsOfTheTree(t)
	tested := map[int]bool{}
	next := 1
	for _, row := range threatRow.FindAllStringSubmatch(string(page), -1) {
		n, _ := strconv.Atoi(row[1])
		if n != next {
			t.Errorf("row %d is where %d should be", n, next)
		}
		next = n + 1
		names := testNamed.FindAllStringSubmatch(row[4], -1)
		tested[n] = len(names) > 0
		reason, none := strings.CutPrefix(row[4], "none: ")
		if none == tested[n] || none && len(reason) < 20 {
			t.Errorf("row %d names neither tests nor a reason, or both: %s", n, row[4])
		}
		for _, name := range names {
			if !all[name[1]] {
				t.Errorf("row %d names %s, which is nowhere", n, name[1])
			}
			if m := threatName.FindStringSubmatch(name[1]); m != nil && m[1] != strconv.Itoa(n + 100)[1:] && n != 6 && n != 56 && n != 70 {
				t.Errorf("row %d names %s", n, name[1])
			}
		}
	}
	if next != threats+1 {
		t.Errorf("the rows end before %d", next)
	}
	for name := range all {
		if m := threatName.FindStringSubmatch(name); m != nil {
			if n, _ := strconv.Atoi(m[1]); !tested[n] {
				t.Errorf("%s is of a number whose row says that there is no test", name)
			}
		}
	}
}

// TestDocs_ASVS sees that each requirement is there once, with a verdict.
func TestDocs_ASVS(t *testing.T) {
	page, err := os.ReadFile("../../docs/threat-model.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(page), "## OWASP ASVS")
	if !found {
		t.Fatal("there is no such part")
	}
	table, _, _ = strings.Cut(table, "\n## ")
	seen := map[string]bool{}
	for _, row := range asvsRow.FindAllStringSubmatch(table, -1) {
		verdict, _, _ := strings.Cut(row[2], " | ")
		if seen[row[1]] || !slices.Contains([]string{"met", "partly", "not", "not applicable"}, verdict) {
			t.Errorf("%s: %q, or it is there twice", row[1], verdict)
		}
		seen[row[1]] = true
	}
	if rows := strings.Count(table, "\n| "); len(seen) != rows-2 || rows < 80 { // without the head of the table
		t.Errorf("%d of %d rows could be read", len(seen), rows-2)
	}
}

// link is one to a file of the repository, in a page.
var link = regexp.MustCompile(`\]\(([^)#:\s]+)(?:#[^)]*)?\)`)

// TestDocs_Links sees that the pages link what is there.
func TestDocs_Links(t *testing.T) {
	pages, err := filepath.Glob("../../*.md")
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir("../../docs", func(path string, d fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".md") {
			pages = append(pages, path)
		}
		return err
	})
	if err != nil || len(pages) < 20 {
		t.Fatal(pages, err)
	}
	links := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			links++
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links %s, which is not there", page, m[1])
			}
		}
	}
	if links < 50 {
		t.Errorf("only %d links", links)
	}
}
