package archtest

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// maxLines is where a reader who is new loses the thread of a file.
const maxLines = 450

// machinePaths are directories that exist on one machine only. The class in each keeps
// this file from matching itself.
var machinePaths = regexp.MustCompile(`(^|[^A-Za-z0-9._~-])/(wor[k]/|far[m]/|roo[t]/|hom[e]/[a-z]|tm[p]/[a-z])`)

// files calls fn with every file of the repository that is text.
func files(t *testing.T, fn func(path string, text []byte)) {
	t.Helper()
	count := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch d.Name() {
			case ".git", ".cache", "bin", "node_modules", "ostiary-data", "ostiary-demo":
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil || bytes.IndexByte(text, 0) >= 0 {
			return err
		}
		count++
		fn(filepath.ToSlash(strings.TrimPrefix(path, "../../")), text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if count < 10 {
		t.Fatalf("only %d files", count)
	}
}

func TestFiles_NoMachinePaths(t *testing.T) {
	if !machinePaths.MatchString("see /roo" + "t/x") {
		t.Fatal("the pattern finds nothing")
	}
	files(t, func(path string, text []byte) {
		for i, line := range bytes.Split(text, []byte("\n")) {
			if found := machinePaths.Find(line); found != nil {
				t.Errorf("%s:%d: %q is a path of one machine", path, i+1, found)
			}
		}
	})
}

func TestFiles_Short(t *testing.T) {
	files(t, func(path string, text []byte) {
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return
		}
		if n := bytes.Count(text, []byte("\n")); n >= maxLines {
			t.Errorf("%s has %d lines; split it below %d", path, n, maxLines)
		}
	})
}
