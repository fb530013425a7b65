package main

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// unmapProgram has the system forget which pages of the program's code and constants the
// process has touched: most of them were for the start alone. They are as they are in the
// file, and stay in its cache: what is needed again is mapped again, in about a microsecond.
func unmapProgram() {
	for _, r := range programRanges() {
		// An error leaves the pages where they are.
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, r.start, r.end-r.start, syscall.MADV_DONTNEED)
	}
}

type memoryRange struct{ start, end uintptr }

// programRanges are the parts of the program's file that are mapped and can't be written to.
func programRanges() (ranges []memoryRange) {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(maps)) { // proc_pid_maps(5): address perms offset dev inode pathname
		fields := strings.Fields(line)
		if len(fields) < 6 || !strings.HasSuffix(line, " "+program+"\n") || fields[1] != "r-xp" && fields[1] != "r--p" {
			continue
		}
		from, to, _ := strings.Cut(fields[0], "-")
		start, err := strconv.ParseUint(from, 16, 64)
		if err != nil {
			return ranges
		}
		end, err := strconv.ParseUint(to, 16, 64)
		if err != nil {
			return ranges
		}
		ranges = append(ranges, memoryRange{uintptr(start), uintptr(end)})
	}
	return ranges
}
