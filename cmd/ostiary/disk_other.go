//go:build !linux && !darwin && !freebsd

package main

// freeSpace is how many bytes are left for this process on the file system of a path, where
// it is known how to ask.
func freeSpace(string) (free uint64, ok bool) { return 0, false }
