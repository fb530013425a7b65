// Package unmap gives back the memory of the program's own file.
package unmap

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Program has the system forget which pages of the program's code and constants the
// process has touched: most of them were for the start alone. They are as they are in the
// file, and stay in its cache: what is needed again is mapped again, in about a microsecond.
func Program() {
	for _, r := range ranges() {
		// An error leaves the pages where they are.
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, r.start, r.end-r.start, syscall.MADV_DONTNEED)
	}
}

type memoryRange struct{ start, end uintptr }

// ranges are the parts of the program's file that are mapped, can't be written to, and
// never were: where a program is relocated at its start, some of what can only be read is
// not in its file.
func ranges() (all []memoryRange) {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil
	}
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return nil
	}
	var at memoryRange                              // whose properties follow; none of the program's: empty
	for line := range strings.Lines(string(maps)) { // proc_pid_smaps(5): address perms offset dev inode pathname, then names and values
		switch name, value, _ := strings.Cut(line, " "); {
		case name == "Anonymous:":
			if at.end > 0 && strings.TrimSpace(value) == "0 kB" {
				all = append(all, at)
			}
		case !strings.HasSuffix(name, ":"):
			at = memoryRange{}
			if strings.HasSuffix(value, " "+program+"\n") && (strings.HasPrefix(value, "r-xp ") || strings.HasPrefix(value, "r--p ")) {
				from, to, _ := strings.Cut(name, "-")
				start, err := strconv.ParseUint(from, 16, 64)
				end, err2 := strconv.ParseUint(to, 16, 64)
				if err == nil && err2 == nil {
					at = memoryRange{uintptr(start), uintptr(end)}
				}
			}
		}
	}
	return all
}
