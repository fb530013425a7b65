package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestCheck_FindsDamage(t *testing.T) {
	dir := t.TempDir()
	s, err := Create(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	mark := bytes.Repeat([]byte("mark"), 20)
	if _, err := s.db.ExecContext(t.Context(), "CREATE TABLE last (x BLOB)"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.ExecContext(t.Context(), "INSERT INTO last VALUES ($1)", mark); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("a whole database: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, DatabaseFile)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := bytes.Index(data, mark) / 4096 * 4096
	copy(data[page+8:], []byte{0xff, 0xff})
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Check(t.Context()); !errors.Is(err, ErrDamaged) || FaultOf(err) != FaultDamaged {
		t.Errorf("a damaged database: %v", err)
	}
}

func TestFaultOf_NoDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), DatabaseFile)
	if err := os.WriteFile(path, bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := OpenFile(t.Context(), path)
	if FaultOf(err) != FaultForeign {
		t.Errorf("%v", err)
	}
	if got := FaultOf(ErrNoStore); got != FaultOther {
		t.Errorf("%v: %d", ErrNoStore, got)
	}
}
