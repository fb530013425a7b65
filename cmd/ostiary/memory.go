package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// Memory is bounded by what hashing needs and a little beside it. The collector would
// otherwise let as much garbage pile up as there is memory in the hashes' buffers, which
// hold no pointers and so cost it nothing: under 64 clients that sign in at once on two
// cores, 107 MB resident in place of 75, at the same number of logins.
const (
	memoryBase = 22 << 20
	memorySlot = 20 << 20 // one argon2id at a time, m = 19456 KiB
)

// spareProcessors returns how many passwords are hashed at once, and gives the scheduler
// more processors than those: a hash holds one for 10 ms, and when hashes hold all of
// them, everything that a request waits for (a read, a commit) waits behind a hash.
func spareProcessors(slots int) int {
	processors := runtime.GOMAXPROCS(0)
	if slots == 0 {
		slots = processors
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(processors + 2)
	}
	return slots
}

// boundMemory sets the limit at which the collector starts to work harder. What is
// really in use (connections by the thousand) raises it: it must not work for nothing.
func (s *server) boundMemory() {
	if os.Getenv("GOMEMLIMIT") != "" || os.Getenv("GOGC") != "" {
		return // the operator knows better
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	limit := memoryBase + int64(s.slots)*memorySlot
	if live[0].Value.Kind() == metrics.KindUint64 {
		limit = max(limit, int64(live[0].Value.Uint64())/3*4)
	}
	debug.SetMemoryLimit(limit)
}
