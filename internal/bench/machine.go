package main

import (
	"os"
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

// times are what processors have done so far: for everybody, and for this process and
// those of its children that have ended.
type times struct{ all, ours time.Duration }

func processorTime() (t times) {
	const tick = time.Second / 100 // USER_HZ
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

// Sub is what was done since then.
func (t times) Sub(then times) times { return times{t.all - then.all, t.ours - then.ours} }

// others is the part of all cores that other processes had, and the hypervisor.
func (t times) others(took time.Duration) float64 {
	return float64(t.all-t.ours) / float64(took) / float64(runtime.NumCPU())
}
