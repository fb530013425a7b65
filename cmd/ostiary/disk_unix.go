//go:build linux || darwin || freebsd

package main

import "syscall"

// freeSpace is how many bytes are left for us on the file system of a path.
func freeSpace(path string) (free uint64, ok bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(path, &st); err != nil {
		return 0, false
	}
	return uint64(max(0, int64(st.Bavail))) * uint64(st.Bsize), true
}
