//go:build unix

package main

import "syscall"

// openFiles is how many files the process may have open. The Go runtime has raised it as
// far as it may.
func openFiles() (most uint64, ok bool) {
	var l syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l)
	return uint64(l.Cur), err == nil //nolint:unconvert // FreeBSD's is signed
}
