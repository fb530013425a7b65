package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// spareProcessors returns how many passwords are hashed at once, and gives the scheduler
// more processors than those: a hash holds one for 10 ms, and when hashes hold all of
// them, everything that a request waits for (a read, a commit) waits behind a hash. One
// for four is enough for what comes beside hashes. With more, each thing that happens
// wakes one that finds it done already, and interrupts a hash.
func spareProcessors(slots int) int {
	processors := runtime.GOMAXPROCS(0)
	if slots == 0 {
		slots = processors
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(processors + (processors+3)/4)
	}
	return slots
}

const (
	ballastSize = 8 << 20
	// memoryBase is what the process may take before the collector works harder, the
	// ballast included; the buffers of hashes are beside its heap.
	memoryBase = 26 << 20
)

// ballast is memory that nobody touches, so that the system gives none for it; but the
// collector counts it, and waits for as much garbage before it runs again. With a
// megabyte in use and nothing else, it would run a hundred times a second when the
// server is busy with verifications, for a tenth of what they cost.
var ballast []byte

// boundMemory has the collector run neither too often nor too seldom, from now on.
func boundMemory() {
	if os.Getenv("GOMEMLIMIT") != "" || os.Getenv("GOGC") != "" {
		return // the operator knows better
	}
	ballast = make([]byte, ballastSize)
	atEachCollection(limitMemory(0))
}

// atEachCollection sets the limit after each collection. A crowd that comes within a second
// must not have the collector work for nothing until somebody looks.
func atEachCollection(limit int64) {
	type garbage struct{ _ *byte }
	runtime.AddCleanup(new(garbage), func(limit int64) { atEachCollection(limitMemory(limit)) }, limit)
}

// limitMemory sets the limit to the base and what is really in use beyond it, the stacks of
// connections by the thousand and what they hold, unless it is about that already.
func limitMemory(now int64) int64 {
	used := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(used)
	limit := int64(memoryBase)
	for _, u := range used {
		if u.Value.Kind() == metrics.KindUint64 {
			limit += int64(u.Value.Uint64())
		}
	}
	limit = max(limit-int64(len(ballast)), memoryBase)
	if d := limit - now; d > now/16 || -d > now/16 {
		debug.SetMemoryLimit(limit)
		return limit
	}
	return now
}
