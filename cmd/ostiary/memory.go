package main

import (
	"context"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/ostiary/ostiary/internal/unmap"
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
	oftenEnough = 100 * time.Millisecond // between two collections
	seldom      = 4 * oftenEnough
	leastRoom   = 1 << 20
	mostRoom    = 12 << 20
	leastHeap   = 4 << 20 // at 100 %, the runtime lets the heap become as large before it collects
)

// room is how much garbage may pile up between two collections where little is in use. By
// itself the collector waits for as much as is in use: with two megabytes, it would run
// a hundred times a second when the server is busy with verifications, for a tenth of what they cost.
type room struct {
	bytes   uint64
	percent int
	last    time.Time // collection
}

// boundMemory has the collector run neither too often nor too seldom, from now on.
func boundMemory() {
	if os.Getenv("GOMEMLIMIT") != "" || os.Getenv("GOGC") != "" {
		return // the operator knows better
	}
	(&room{percent: 100, last: time.Now()}).follow()
}

// follow is told of each collection, by what it collects.
func (r *room) follow() {
	type garbage struct{ _ *byte }
	runtime.AddCleanup(new(garbage), func(r *room) {
		r.adapt(time.Now(), inUse())
		r.follow()
	}, r)
}

// adapt makes room if collections follow each other too soon, and takes it back.
func (r *room) adapt(now time.Time, used uint64) {
	switch took := now.Sub(r.last); {
	case took < oftenEnough:
		r.bytes = min(max(2*r.bytes, leastRoom), mostRoom)
	case took > seldom:
		r.bytes /= 2
	}
	r.last = now
	percent := min(100*r.bytes/used, 100*(r.bytes+used)/leastHeap)
	percent = min(max(percent, 100), math.MaxInt32)
	if d := int(percent) - r.percent; d > r.percent/8 || -d > r.percent/8 {
		r.percent = int(percent)
		debug.SetGCPercent(r.percent)
	}
}

// inUse is what the collector has found in use, as far as it counts for when it runs next.
func inUse() (total uint64) {
	used := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(used)
	for _, u := range used {
		total += u.Value.Uint64()
	}
	return total
}

const (
	// leisureEvery is how often the process sees whether it has anything to do.
	leisureEvery = 2 * time.Second
	// unmapEvery is after how many times without anything to do the program is unmapped again:
	// what runs now and then has touched most of its pages in the end.
	unmapEvery = 5
)

// giveBack returns memory to the system that the process needs no more, each time that it has
// come to rest: what was for its start, for a crowd that has left, or for counting the accounts.
// While it rests, it goes on to forget the program.
func giveBack(ctx context.Context) {
	tick := time.NewTicker(leisureEvery)
	defer tick.Stop()
	var l leisure
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		collect, forget := l.look(processorTime())
		if collect {
			debug.FreeOSMemory()
		}
		if forget {
			unmap.Program()
		}
		l.spent = processorTime() // that was no work
	}
}

// leisure is when a process has little to do.
type leisure struct {
	spent time.Duration // of the processors, until it was looked at last
	rests int           // how often in a row it had little to do
}

// look returns whether a process, that has run for so long in all, has come to rest, so that
// its garbage should be collected, and whether its program should be unmapped, then and now
// and then. At rest it has used less than a hundredth of a processor since the last look.
func (l *leisure) look(spent time.Duration) (collect, forget bool) {
	l.rests++
	if spent-l.spent > leisureEvery/100 {
		l.rests = 0
	}
	l.spent = spent
	return l.rests == 1, l.rests%unmapEvery == 1
}
