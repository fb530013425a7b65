package seal

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

func TestParse(t *testing.T) {
	good := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\xfb\xff", 16)))
	for _, text := range []string{good, good + "\n", " \t" + good + "\r\n"} {
		if key, err := Parse(text); err != nil || key.text() != good {
			t.Errorf("%q: %v", text, err)
		}
	}
	for name, text := range map[string]string{
		"empty":           "",
		"URL alphabet":    base64.URLEncoding.EncodeToString([]byte(strings.Repeat("\xfb\xff", 16))),
		"no padding":      strings.TrimRight(good, "="),
		"31 bytes":        base64.StdEncoding.EncodeToString(make([]byte, 31)),
		"33 bytes":        base64.StdEncoding.EncodeToString(make([]byte, 33)),
		"hexadecimal":     strings.Repeat("ab", 32),
		"newline inside":  good[:20] + "\n" + good[20:],
		"newlines inside": good[:20] + "\n\n\n\n" + good[24:],
		"loose last bits": good[:42] + "9=",
		"NUL":             good + "\x00",
		"two keys":        good + "\n" + good,
		"long":            strings.Repeat(good, 1000),
	} {
		_, err := Parse(text)
		if !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v", name, err)
		} else if len(text) > 8 && strings.Contains(err.Error(), text[:8]) {
			t.Errorf("%s: the error quotes the key: %v", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("")
	f.Add(base64.StdEncoding.EncodeToString(make([]byte, 32)))
	f.Add(" " + base64.StdEncoding.EncodeToString(make([]byte, 31)) + "\n")
	f.Add(strings.Repeat("=", 44))
	f.Fuzz(func(t *testing.T, text string) {
		key, err := Parse(text)
		if err != nil {
			if !errors.Is(err, ErrKey) {
				t.Fatal(err)
			}
			return
		}
		if key.text() != strings.TrimSpace(text) {
			t.Fatalf("%q is read as %q: two spellings of one key", text, key.text())
		}
	})
}

func TestLoadOrCreate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "master.key")
	if _, err := Load(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("Load before it is made: %v", err)
	}
	key, created, err := LoadOrCreate(path)
	if err != nil || !created {
		t.Fatalf("first: created %v, %v", created, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the file: %v, %v", info.Mode(), err)
	}
	again, created, err := LoadOrCreate(path)
	if err != nil || created || again.Fingerprint() != key.Fingerprint() {
		t.Fatalf("second: created %v, %v, %s for %s", created, err, again.Fingerprint(), key.Fingerprint())
	}
	loaded, err := Load(path)
	if err != nil || loaded.Fingerprint() != key.Fingerprint() {
		t.Fatalf("Load: %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("left behind: %v, %v", entries, err)
	}
}

// A key that is there is only read: what holds a mounted secret can't be written to.
func TestLoadOrCreate_WhereNothingCanBeMade(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc/self/fd")
	}
	path := filepath.Join(t.TempDir(), "master.key")
	key, _, err := LoadOrCreate(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	open := fmt.Sprintf("/proc/self/fd/%d", f.Fd()) // a directory where root, too, makes no file
	got, created, err := LoadOrCreate(open)
	if err != nil || created || got.Fingerprint() != key.Fingerprint() {
		t.Errorf("created %v, %v, %s for %s", created, err, got.Fingerprint(), key.Fingerprint())
	}
}

func TestLoadOrCreate_Race(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	const n = 20
	var (
		wg     sync.WaitGroup
		prints [n]string
		made   [n]bool
		errs   [n]error
	)
	for i := range n {
		wg.Go(func() {
			var key Key
			key, made[i], errs[i] = LoadOrCreate(path)
			prints[i] = key.Fingerprint()
		})
	}
	wg.Wait()
	creators := 0
	for i := range n {
		if errs[i] != nil || prints[i] != prints[0] {
			t.Fatalf("%d: %q, %v; want %q", i, prints[i], errs[i], prints[0])
		}
		if made[i] {
			creators++
		}
	}
	if creators != 1 {
		t.Fatalf("%d say that they created the key", creators)
	}
}

func TestLoad_Refuses(t *testing.T) {
	text := New().text()
	write := func(name, text string, mode fs.FileMode) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, mode := range []fs.FileMode{0o644, 0o640, 0o604, 0o620, 0o601, 0o660, 0o666, 0o700, 0o777} {
		path := write("master.key", text, mode)
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "0600") {
			t.Errorf("mode %o: %v", mode, err)
		}
		if _, created, err := LoadOrCreate(path); err == nil || created {
			t.Errorf("LoadOrCreate, mode %o: created %v, %v", mode, created, err)
		}
	}
	if _, err := Load(write("master.key", text, 0o400)); err != nil {
		t.Errorf("mode 0400: %v", err)
	}
	for name, bad := range map[string]string{"empty": "", "half": text[:20], "long": text + strings.Repeat(" ", maxFile)} {
		path := write("master.key", bad, 0o600)
		if _, created, err := LoadOrCreate(path); !errors.Is(err, ErrKey) || created {
			t.Errorf("%s: created %v, %v", name, created, err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != bad {
			t.Errorf("%s: the file was changed", name)
		}
	}
	if _, err := Load(t.TempDir()); err == nil {
		t.Error("a directory was read as a key")
	}
	if _, _, err := LoadOrCreate(filepath.Join(t.TempDir(), "absent", "master.key")); err == nil {
		t.Error("a key was made in a directory that is not there")
	}
	dangling := filepath.Join(t.TempDir(), "master.key")
	if err := os.Symlink(filepath.Join(t.TempDir(), "absent"), dangling); err != nil {
		t.Fatal(err)
	}
	if _, created, err := LoadOrCreate(dangling); err == nil || created {
		t.Errorf("a dangling link: created %v, %v", created, err)
	}
}

func TestSweep_Leftovers(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "master.key")
	left := filepath.Join(dir, ".master.key-123")
	kept := []string{".master.key-", ".master.key-old", ".master.key", "master.key-123", ".other.key-123", "123"}
	for _, name := range append(kept, filepath.Base(left)) {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, ".master.key-456"), 0o700); err != nil {
		t.Fatal(err)
	}
	// Without the key, one of them may be about to become it.
	if err := Sweep(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(left); err != nil {
		t.Error(err)
	}
	if _, _, err := LoadOrCreate(path); err != nil {
		t.Fatal(err)
	}
	if err := Sweep(path); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	for _, name := range append(kept, "master.key", ".master.key-456") {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

// One that sweeps while others make the key leaves them all with the same one.
func TestSweep_WhileKeysAreMade(t *testing.T) {
	for range 50 {
		path := filepath.Join(t.TempDir(), "master.key")
		prints := make([]string, 8)
		var wg sync.WaitGroup
		for i := range prints {
			wg.Go(func() {
				key, _, err := LoadOrCreate(path)
				if err != nil {
					t.Error(err)
				} else if err := Sweep(path); err != nil {
					t.Error(err)
				}
				prints[i] = key.Fingerprint()
			})
		}
		wg.Wait()
		for _, print := range prints {
			if print != prints[0] {
				t.Fatalf("%q", prints)
			}
		}
	}
}
