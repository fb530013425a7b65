//go:build linux || darwin || freebsd

package main

import (
	"io/fs"
	"syscall"
)

// ownerOf is the user whom a file belongs to, -1 where there is no such thing.
func ownerOf(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}

// mayUse tells whether this user can read a file, and write it. It is not opened: to close
// a database would take the locks away that this process has on it.
func mayUse(path string, dir, write bool) error {
	mode := uint32(4) // R_OK
	if write {
		mode |= 2 // W_OK
	}
	if dir {
		mode |= 1 // X_OK
	}
	if err := syscall.Access(path, mode); err != nil {
		return &fs.PathError{Op: "access", Path: path, Err: err}
	}
	return nil
}
