//go:build !linux

// Package unmap gives back the memory of the program's own file.
package unmap

// Program does nothing: only Linux is asked for it.
func Program() {}
