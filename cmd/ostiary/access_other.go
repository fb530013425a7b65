//go:build !linux && !darwin && !freebsd

package main

import "io/fs"

func ownerOf(fs.FileInfo) int { return -1 }

func mayUse(string, bool, bool) error { return nil }
