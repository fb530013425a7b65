package store_test

import (
	"os"
	"testing"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/store"
)

func TestClose_FoldsTheLogIn(t *testing.T) {
	dir := t.TempDir()
	s, err := store.Create(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	err = s.InTx(t.Context(), func(tx auth.Tx) error { _, err := tx.Realms(t.Context()); return err })
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 || files[0].Name() != store.DatabaseFile {
		t.Errorf("after closing there is %v, %v; want the database alone", files, err)
	}
}
