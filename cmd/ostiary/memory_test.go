package main

import (
	"runtime/debug"
	"slices"
	"testing"
	"time"
)

// Collections that follow each other too soon make room for more garbage, up to a bound, and
// those that are seldom take it back; what is in use anyway is as much room as ever.
func TestRoom_FollowsTheCollections(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	const little, much = 2 << 20, 256 << 20
	now := time.Now()
	r := room{percent: 100, last: now}
	after := func(d time.Duration, used uint64) int {
		now = now.Add(d)
		r.adapt(now, used)
		if set := debug.SetGCPercent(r.percent); set != r.percent {
			t.Fatalf("%d %% is said, and %d %% is set", r.percent, set)
		}
		return r.percent
	}
	if p := after(2*oftenEnough, little); p != 100 {
		t.Errorf("nothing is wrong, and it is %d %%", p)
	}
	before := 100
	for range 10 {
		p := after(oftenEnough/10, little)
		if p < before {
			t.Errorf("collections without end, and %d %% became %d %%", before, p)
		}
		before = p
	}
	goal := max(leastHeap*uint64(before)/100, little+little*uint64(before)/100)
	if goal < mostRoom/2 || goal > mostRoom+little {
		t.Errorf("at %d %% it is collected at %d bytes, with %d in use", before, goal, little)
	}
	if p := after(oftenEnough/10, much); p != 100 {
		t.Errorf("with much in use %d %%, not 100", p)
	}
	after(oftenEnough/10, little)
	for range 10 {
		after(2*seldom, little)
	}
	if r.bytes > leastRoom || r.percent != 100 {
		t.Errorf("hardly any garbage, and there is room for %d, %d %%", r.bytes, r.percent)
	}
}

// Garbage is collected each time that the process comes to rest, and its program is unmapped
// then, and now and then while it rests.
func TestLeisure(t *testing.T) {
	const work, rest = leisureEvery / 10, leisureEvery / 1000
	if collect, forget := new(leisure).look(rest); !collect || !forget {
		t.Error("a start that was quickly done leaves nothing to give back")
	}
	var l leisure
	var spent time.Duration
	for i, took := range slices.Concat([]time.Duration{work, rest, rest, work, work}, slices.Repeat([]time.Duration{rest}, 2*unmapEvery+1)) {
		spent += took
		collect, forget := l.look(spent)
		if want := i == 1 || i == 5; collect != want {
			t.Errorf("at %d it is %v that garbage is collected", i, collect)
		}
		if want := i == 1 || i == 5 || i == 5+unmapEvery || i == 5+2*unmapEvery; forget != want {
			t.Errorf("at %d it is %v that the program is unmapped", i, forget)
		}
	}
}
