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
)

// File appends lines to a file that its owner alone can read.
type File struct{ path string }

// NewFile makes a Target of a file, which is made if it is not there.
func NewFile(path string) (*File, error) {
	f := &File{path}
	_, err := f.Tell(context.Background(), nil)
	return f, err
}

func (f *File) How() string { return "file" }

// Tell appends all lines, and returns when they are on disk.
func (f *File) Tell(_ context.Context, lines []auth.WaitingWriteback) (n int, err error) {
	_, missing := os.Stat(f.path)
	file, err := os.OpenFile(f.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			n = 0
		}
	}()
	size, err := f.whole(file)
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
		err = syncDir(filepath.Dir(f.path))
	}
	return len(lines), err
}

// whole sees that the file is ours to write, and cuts off a line that a crash left
// unfinished: nobody has taken it for one. It returns the size.
func (f *File) whole(file *os.File) (size int64, err error) {
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%s is no regular file", f.path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return 0, fmt.Errorf("%s can be read by others: set it to 0600 (it is %04o)", f.path, info.Mode().Perm())
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

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
