// Package disk has what makes files last.
package disk

import (
	"errors"
	"os"
)

// SyncDir has the names of a directory's files on disk: until then, one that was made or renamed may be gone after a crash.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
