package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/backup"
	"github.com/ostiary/ostiary/internal/disk"
)

// writeWhole has fn write a file of mode 0600 that is whole or not there: until it is on
// the disk it has a name of its own that ends in .partial. A file that is there is replaced
// only with force, and only if it is of the same kind, or empty.
func writeWhole(path string, force bool, kind fileKind, fn func(w io.Writer) error) (err error) {
	if _, err := os.Lstat(path); err == nil {
		if !force {
			return remedied{path + " is there", "give another name, or --force to replace it"}
		}
		if err := replaceable(path, kind); err != nil {
			return err
		}
	}
	sweepPartial(path)
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*"+partial) // O_EXCL, mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	defer f.Close()
	w := bufio.NewWriterSize(f, 64<<10)
	for _, step := range []func() error{func() error { return fn(w) }, w.Flush, f.Sync, f.Close} {
		if err := step(); err != nil {
			return err
		}
	}
	return errors.Join(rename(f.Name(), path, force), disk.SyncDir(filepath.Dir(path)))
}

const (
	partial = ".partial"
	dead    = time.Hour // a file that was not written for so long has no writer any more
)

// fileKind is a kind of file that commands write.
type fileKind struct {
	name   string
	begins func(head []byte) bool
}

var (
	backupFile = fileKind{"a backup", backup.Begins}
	exportFile = fileKind{"an export", beginsWith(exportBegins)}
	reportFile = fileKind{"a report of an import", beginsWith(rejectBegins)}
)

func beginsWith(text string) func([]byte) bool {
	return func(head []byte) bool { return bytes.HasPrefix(head, []byte(text)) }
}

// replaceable tells whether a file is of a kind, or empty. Any other is not the command's to
// replace: it may be the database itself, the master key, or the last backup.
func replaceable(path string, kind fileKind) error {
	do := "give another name: --force replaces " + kind.name + " only"
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return remedied{path + " is no plain file", do}
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, 64)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	ofSQLite := strings.HasSuffix(path, "-wal") || strings.HasSuffix(path, "-shm")
	if head = head[:n]; n == 0 && !ofSQLite || kind.begins(head) {
		return nil
	}
	return remedied{path + " is not " + kind.name, do}
}

// sweepPartial removes what commands that were killed have left of a file. It is none of the
// command's business if that fails.
func sweepPartial(path string) {
	entries, _ := os.ReadDir(filepath.Dir(path))
	for _, e := range entries {
		name, ok := strings.CutPrefix(e.Name(), filepath.Base(path)+".")
		number, too := strings.CutSuffix(name, partial)
		if !ok || !too || number == "" || strings.Trim(number, "0123456789") != "" || !e.Type().IsRegular() {
			continue
		}
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > dead {
			_ = os.Remove(filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
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
