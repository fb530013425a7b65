package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// loadAverage is what the machine had to do in the last minute, and in the last five.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	words := strings.Fields(string(text))
	if err != nil || len(words) < 2 {
		return "unknown"
	}
	return words[0] + " (" + words[1] + " over 5 minutes)"
}

func cpuModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.SplitSeq(string(text), "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// Magic numbers of file systems that are memory (statfs(2)).
const (
	tmpfs = 0x01021994
	ramfs = 0x858458f6
)

// onDisk refuses a directory in memory, where a sync costs nothing.
func onDisk(dir string) error {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return err
	}
	if magic := uint32(fs.Type); magic == tmpfs || magic == ramfs {
		return fmt.Errorf("%s is in memory, where fsync costs nothing: set TMPDIR to a directory on a disk", filepath.Dir(dir))
	}
	return nil
}

// times are what processors have done so far: for everybody, and for this process and
// those of its children that have ended.
type times struct{ all, ours time.Duration }

const tick = time.Second / 100 // USER_HZ

func processorTime() (t times) {
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	for i, word := range strings.Fields(line) {
		// cpu user nice system idle iowait irq softirq steal guest guest_nice; the guests' are in user and nice.
		if n, err := strconv.ParseInt(word, 10, 64); err == nil && i != 4 && i != 5 && i <= 8 {
			t.all += time.Duration(n) * tick
		}
	}
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if syscall.Getrusage(who, &u) == nil {
			t.ours += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	return t
}

// processorTimeOf is what a process has had of the processors so far, all its threads; 0 for none.
func processorTimeOf(pid int) (time.Duration, error) {
	if pid == 0 {
		return 0, nil
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name, in brackets, may have spaces; what follows it begins with the third field (proc_pid_stat(5)).
	words := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(words) < 13 {
		return 0, fmt.Errorf("no processor time of process %d", pid)
	}
	user, err := strconv.ParseInt(words[14-3], 10, 64)
	system, err2 := strconv.ParseInt(words[15-3], 10, 64)
	return time.Duration(user+system) * tick, errors.Join(err, err2)
}

// processorTimeOfPostgres is what a PostgreSQL on a port and its children have had so far, of those that live.
func processorTimeOfPostgres(port string) (sum time.Duration) {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range lines {
		text, _ := os.ReadFile(path)
		if !bytes.Contains(text, []byte("\x00-p\x00"+port+"\x00")) {
			continue
		}
		pids := strings.Split(path, "/")[2:3]
		children, _ := os.ReadFile(filepath.Dir(path) + "/task/" + pids[0] + "/children")
		for _, pid := range append(pids, strings.Fields(string(children))...) {
			n, _ := strconv.Atoi(pid)
			t, _ := processorTimeOf(n)
			sum += t
		}
	}
	return sum
}

// Sub is what was done since then.
func (t times) Sub(then times) times { return times{t.all - then.all, t.ours - then.ours} }

// others is the part of all cores that other processes had, and the hypervisor.
func (t times) others(took time.Duration) float64 {
	return float64(t.all-t.ours) / float64(took) / float64(runtime.NumCPU())
}
