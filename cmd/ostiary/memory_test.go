package main

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
)

// What is really in use raises the collector's limit, or it would work for nothing; a change
// that is small leaves it.
func TestLimitMemory_FollowsWhatIsInUse(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(math.MaxInt64))
	const size = 64 << 20
	held := make([]byte, size)
	runtime.GC()
	limit := limitMemory(0)
	if limit < memoryBase+size || limit != debug.SetMemoryLimit(-1) {
		t.Errorf("with %d in use the limit is said to be %d, and is %d", size, limit, debug.SetMemoryLimit(-1))
	}
	if again := limitMemory(limit); again != limit {
		t.Errorf("%d, and then %d", limit, again)
	}
	runtime.KeepAlive(held)
	runtime.GC()
	if after := limitMemory(limit); after >= limit || after < memoryBase {
		t.Errorf("%d with it, %d without it", limit, after)
	}
}
