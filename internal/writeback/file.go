package writeback

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/disk"
)

// File appends lines to a file that its owner alone can read.
type File struct{ path string }

// NewFile makes a Target of a file, which is made if it is not there.
func NewFile(path string) (*File, error) {
	f := &File{path}
	file, err := f.open()
	if err != nil {
		return nil, err
	}
	return f, errors.Join(file.Close(), disk.SyncDir(filepath.Dir(path)))
}

func (f *File) How() string { return "file" }

// open opens the file, and sees that it is ours to write.
func (f *File) open() (*os.File, error) {
	file, err := os.OpenFile(f.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s is no regular file", f.path)
	case info.Mode().Perm()&0o077 != 0:
		err = fmt.Errorf("%s can be read by others: set it to 0600 (it is %04o)", f.path, info.Mode().Perm())
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// Tell appends all lines, and returns when they are on disk in the file of that name.
func (f *File) Tell(_ context.Context, lines []auth.WaitingWriteback) (n int, err error) {
	_, missing := os.Stat(f.path)
	file, err := f.open()
	if err != nil {
		return 0, err
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			n = 0
		}
	}()
	size, err := whole(file)
	if err != nil {
		return 0, err
	}
	var text bytes.Buffer
	for _, l := range lines {
		text.Write(l.Line)
		text.WriteByte('\n')
	}
	if _, err = file.Write(text.Bytes()); err == nil {
		err = file.Sync()
	}
	if err != nil { // what there is of it would be told once more
		return 0, errors.Join(err, file.Truncate(size))
	}
	if missing != nil {
		err = disk.SyncDir(filepath.Dir(f.path))
	}
	if err == nil {
		err = f.still(file)
	}
	return len(lines), err
}

// still sees that the file has kept its name: whoever takes it away may have read it before these lines were in it.
func (f *File) still(file *os.File) error {
	written, err := file.Stat()
	if err != nil {
		return err
	}
	named, err := os.Stat(f.path)
	if err != nil || !os.SameFile(written, named) {
		return fmt.Errorf("%s was taken away while it was written to: its last lines are told again", f.path)
	}
	return nil
}

// whole cuts off a line that a crash left unfinished: nobody has taken it for one. It returns the size.
func whole(file *os.File) (size int64, err error) {
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	for end := info.Size(); end > 0; {
		piece := make([]byte, min(end, 4<<10))
		if _, err := file.ReadAt(piece, end-int64(len(piece))); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if i := bytes.LastIndexByte(piece, '\n'); i >= 0 {
			size = end - int64(len(piece)) + int64(i) + 1
			break
		}
		end -= int64(len(piece))
	}
	if size == info.Size() {
		return size, nil
	}
	return size, file.Truncate(size)
}
