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

// boundMemory sets the limit at which the collector starts to work harder. What is
// really in use (connections by the thousand) raises it: it must not work for nothing.
func (s *server) boundMemory() {
	if os.Getenv("GOMEMLIMIT") != "" || os.Getenv("GOGC") != "" {
		return // the operator knows better
	}
	slots := s.set.HashSlots
	if slots == 0 {
		slots = runtime.GOMAXPROCS(0)
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	limit := memoryBase + int64(slots)*memorySlot
	if live[0].Value.Kind() == metrics.KindUint64 {
		limit = max(limit, int64(live[0].Value.Uint64())/3*4)
	}
	debug.SetMemoryLimit(limit)
}
