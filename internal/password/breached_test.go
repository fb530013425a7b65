package password

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const stolen = "correct horse battery stolen"

// hashes are sorted, and have n others beside those of the passwords.
func hashes(n int, passwords ...string) (all []string) {
	for i := range n {
		passwords = append(passwords, fmt.Sprintf("password number %d", i))
	}
	for _, p := range passwords {
		all = append(all, fmt.Sprintf("%X", sha1.Sum([]byte(p))))
	}
	slices.Sort(all)
	return all
}

func file(t testing.TB, text string) *Breached {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pwnedpasswords.txt")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return NewBreached(path)
}

func TestBreached_File(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 100, 5000} {
		for _, end := range []string{"\n", "\r\n", "   \r\n"} {
			all := hashes(n, stolen)
			for _, last := range []string{"", end} {
				var text strings.Builder
				for i, hash := range all {
					fmt.Fprintf(&text, "%s:%d%s", hash, 1+i*i, end)
				}
				b := file(t, strings.TrimSuffix(text.String(), end)+last)
				if err := b.Verify(); err != nil {
					t.Fatal(err)
				}
				for i := range n {
					if found, err := b.Has(fmt.Sprintf("password number %d", i)); !found || err != nil {
						t.Fatalf("%d of %d, %q: %v %v", i, n, end, found, err)
					}
				}
				if found, err := b.Has(stolen); !found || err != nil {
					t.Errorf("%d, %q: %v %v", n, end, found, err)
				}
				for i := range 100 {
					if found, err := b.Has(fmt.Sprintf("another %d", i)); found || err != nil {
						t.Fatalf("%d of %d: %v %v", i, n, found, err)
					}
				}
			}
		}
	}
}

// A hash that was seen no times at all is padding in a file, too.
func TestBreached_FilePadding(t *testing.T) {
	for count, want := range map[string]bool{"0": false, "00": false, "10": true, "1": true} {
		b := file(t, strings.Join(hashes(5, stolen), ":"+count+"\n")+":"+count+"\n")
		if found, err := b.Has(stolen); found != want || err != nil {
			t.Errorf("seen %s times: %v %v", count, found, err)
		}
	}
}

func TestBreached_Directory(t *testing.T) {
	dir := t.TempDir()
	b := NewBreached(dir)
	put := func(prefix string, lines ...string) {
		t.Helper()
		text := strings.Join(lines, "\r\n")
		if err := os.WriteFile(filepath.Join(dir, prefix+".txt"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hash := fmt.Sprintf("%X", sha1.Sum([]byte(stolen)))
	other := strings.Repeat("A", hashDigits-rangeDigits) + ":5"
	if err := b.Verify(); !errors.Is(err, ErrBreachedFile) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an empty directory: %v", err)
	}
	for i := range samples {
		put(fmt.Sprintf("%05X", i*(1<<20-1)/(samples-1)), other)
	}
	if err := b.Verify(); err != nil {
		t.Error(err)
	}
	if _, err := b.Has(stolen); !errors.Is(err, ErrBreachedFile) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without its range: %v", err)
	}
	for _, c := range []struct {
		lines []string
		found bool
		bad   bool
	}{
		{[]string{other, hash[rangeDigits:] + ":3"}, true, false},
		{[]string{hash[rangeDigits:] + ":3", other, ""}, true, false},
		{[]string{other}, false, false},
		{[]string{other, hash[rangeDigits:] + ":0"}, false, false}, // padding
		{[]string{hash[rangeDigits:] + ":3", hash + ":3"}, false, true},
		{[]string{other, "<html>"}, false, true},
		{[]string{strings.ToLower(other)}, false, true},
		{[]string{""}, false, true},
		{[]string{strings.Repeat(other+"\n", 40_000)}, false, true},
	} {
		put(hash[:rangeDigits], c.lines...)
		found, err := b.Has(stolen)
		if found != c.found || errors.Is(err, ErrBreachedFile) != c.bad {
			t.Errorf("%.80q: %v %v", c.lines, found, err)
		}
	}
}

// A file that can't be trusted is an error, never a no.
func TestBreached_Malformed(t *testing.T) {
	good := strings.Join(hashes(200, stolen), ":1\n") + ":1\n"
	lines := strings.SplitAfter(strings.TrimSuffix(good, "\n"), "\n")
	slices.Reverse(lines)
	swapped := slices.Clone(lines)
	slices.Sort(swapped)
	mid := len(swapped) / 2
	swapped[0], swapped[mid] = swapped[mid], swapped[0]
	for name, text := range map[string]string{
		"empty":         "",
		"no text":       "7z\xbc\xaf\x27\x1c\x00\x04" + strings.Repeat("\x00", 4096),
		"HTML":          "<!doctype html>\n<html>\n",
		"lower case":    strings.ToLower(good),
		"NTLM":          strings.ReplaceAll(good, ":1\n", "\n"),
		"of a range":    strings.ReplaceAll("\n"+good, "\n0", "\n"),
		"no counts":     strings.ReplaceAll(good, ":1", ""),
		"empty counts":  strings.ReplaceAll(good, ":1", ":"),
		"long counts":   strings.ReplaceAll(good, ":1", ":"+strings.Repeat("1", 20)),
		"other counts":  strings.ReplaceAll(good, ":1", ":many"),
		"reversed":      strings.Join(lines, "\n"),
		"out of order":  strings.Join(swapped, ""),
		"one long line": strings.Repeat("A", 100_000),
		"byte order":    "\xef\xbb\xbf" + fmt.Sprintf("%X:1\n", sha1.Sum([]byte(stolen))),
		"blank lines":   "\n\n\n\n",
	} {
		b := file(t, text)
		err := b.Verify()
		if !errors.Is(err, ErrBreachedFile) || strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	dir := t.TempDir()
	for _, path := range []string{filepath.Join(dir, "none.txt"), os.DevNull} {
		b := NewBreached(path)
		if _, err := b.Has(stolen); !errors.Is(err, ErrBreachedFile) || !errors.Is(b.Verify(), ErrBreachedFile) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestRules_Breached(t *testing.T) {
	b := file(t, strings.Join(hashes(50, stolen, "caf\u00e9 au lait, s'il vous pla\u00eet"), ":1\n")+":1\n")
	rules := Rules{Breached: b}
	for password, want := range map[string]error{
		stolen: errBreached,
		"cafe\u0301 au lait, s'il vous plai\u0302t": errBreached, // in NFC
		"correct horse battery safe":                nil,
	} {
		if err := rules.Check(password, For{}); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", password, err, want)
		}
	}
	if err := os.Remove(b.Path()); err != nil {
		t.Fatal(err)
	}
	if err := rules.Check("correct horse battery safe", For{}); !errors.Is(err, ErrBreachedFile) {
		t.Errorf("without the file: %v", err)
	}
	// What is refused anyway needs no file.
	if err := rules.Check("short", For{}); !errors.Is(err, tooShort(15)) {
		t.Error(err)
	}
}

// FuzzBreached: whatever the file holds, the answer comes, and a line that is found is there.
func FuzzBreached(f *testing.F) {
	f.Add(strings.Join(hashes(20, stolen), ":1\r\n")+":1", stolen)
	f.Add(strings.Repeat("A", 40)+":0\n", "")
	f.Add("\n\n:", "x")
	f.Fuzz(func(t *testing.T, text, password string) {
		hash := fmt.Sprintf("%X", sha1.Sum([]byte(password)))
		found, err := search(strings.NewReader(text), int64(len(text)), hash)
		if found && (err != nil || !strings.Contains(text, hash+":")) {
			t.Errorf("%q: %v %v", text, found, err)
		}
		// The same hash in a file as it should be is always found.
		lines := []string{hash + ":7"}
		for line := range strings.Lines(text) {
			if got, _, err := parseLine([]byte(line), hashDigits); err == nil && got != hash {
				lines = append(lines, got+":1")
			}
		}
		slices.Sort(lines)
		good := strings.Join(slices.Compact(lines), "\n")
		if found, err := search(strings.NewReader(good), int64(len(good)), hash); !found || err != nil {
			t.Errorf("not found in %q: %v", good, err)
		}
	})
}

func BenchmarkBreached(b *testing.B) {
	file := file(b, strings.Join(hashes(200_000, stolen), ":1\n")+":1\n")
	for b.Loop() {
		if found, err := file.Has(stolen); !found || err != nil {
			b.Fatal(err)
		}
	}
}
