//go:build unix

package main

import (
	"syscall"
	"time"
)

// processorTime is how long the process has run on processors, its work in the kernel included.
func processorTime() time.Duration {
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
