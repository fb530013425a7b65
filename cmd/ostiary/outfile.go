package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// writeWhole has fn write a file of mode 0600 that is whole or not there: until it is on
// the disk its name ends in .partial. A file of that name is replaced only with force.
func writeWhole(path string, force bool, fn func(w io.Writer) error) (err error) {
	if _, err := os.Lstat(path); err == nil && !force {
		return remedied{path + " is there", "give another name, or --force to replace it"}
	}
	partial := path + ".partial"
	if force {
		if err := os.Remove(partial); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	f, err := os.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return remedied{partial + " is there: another command writes it, or one was interrupted", "wait for the one, or delete what the other left"}
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(partial)
		}
	}()
	defer f.Close()
	w := bufio.NewWriterSize(f, 64<<10)
	for _, step := range []func() error{func() error { return fn(w) }, w.Flush, f.Sync, f.Close} {
		if err := step(); err != nil {
			return err
		}
	}
	return errors.Join(rename(partial, path, force), syncDir(filepath.Dir(path)))
}

// rename gives a file its name. Without force, only a link does so without ever taking
// that of a file which came meanwhile; some file systems have none.
func rename(from, to string, force bool) error {
	if force {
		return os.Rename(from, to)
	}
	err := os.Link(from, to)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s has come meanwhile, and is left as it is", to)
	}
	if err == nil {
		return os.Remove(from)
	}
	return os.Rename(from, to)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
