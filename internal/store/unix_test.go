//go:build unix

package store

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestCreate_Permissions: whatever the umask allows, nobody else reads the files.
func TestCreate_Permissions(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	dir := filepath.Join(t.TempDir(), "new", "data")
	s := createIn(t, dir)
	if err := s.SetValue(t.Context(), "a", "b"); err != nil {
		t.Fatal(err)
	}
	want := map[string]os.FileMode{
		".": 0o700 | os.ModeDir, DatabaseFile: 0o600, DatabaseFile + "-wal": 0o600, DatabaseFile + "-shm": 0o600,
	}
	for name, mode := range want {
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil || st.Mode() != mode {
			t.Errorf("%s: %v, %v; want %v", name, st.Mode(), err, mode)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != len(want)-1 {
		t.Errorf("other files: %v, %v", entries, err)
	}
}
