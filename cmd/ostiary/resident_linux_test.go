package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// residentProgram is how many kilobytes of the program's code and constants are mapped.
func residentProgram(t *testing.T) (kilobytes int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range programRanges() {
		_, part, found := strings.Cut("\n"+string(text), fmt.Sprintf("\n%08x-%08x ", r.start, r.end))
		_, rss, _ := strings.Cut(part, "\nRss:")
		n, err := strconv.Atoi(strings.TrimSpace(strings.SplitN(rss, "kB", 2)[0]))
		if !found || err != nil {
			t.Fatalf("no resident pages of %x: %v", r, err)
		}
		kilobytes += n
	}
	return kilobytes
}

func TestUnmapProgram_LeavesWhatIsInUse(t *testing.T) {
	before := residentProgram(t)
	unmapProgram()
	if after := residentProgram(t); before == 0 || after >= before {
		t.Errorf("%d kB of the program were mapped, and %d kB are", before, after)
	}
}
