package main

import (
	"strings"
	"testing"
	"time"
)

// What a sweep moves p99 by is told of the whole of it, and of its thirds.
func TestMeanwhile_Tell(t *testing.T) {
	m := &meanwhile{load: load{"refreshes", (*grown).refreshing}, rows: [2]*row{{unit: "/s"}, {unit: "/s"}}, deleted: 500, took: 2 * time.Second}
	for i, p99 := range [2][]int{{10, 10, 10}, {10, 11, 15}} {
		for _, ms := range p99 {
			s := sample{done: 1, took: time.Second, latency: []time.Duration{time.Duration(ms) * time.Millisecond}}
			m.slices[i] = append(m.slices[i], s)
			m.rows[i].sum.add(s)
		}
	}
	var page strings.Builder
	b := &bench{plan: plan{many: 500}}
	m.tell(b, sweep{what: "sessions"}, &page)
	if want := "| 500 sessions | refreshes | 250 /s | 10.0 ms | 15.0 ms | 50 % | 0 % | 10 % | 50 % |\n"; page.String() != want {
		t.Errorf("%q, want %q", page.String(), want)
	}
	if last := b.table[len(b.table)-2]; last.aim != "< 20 %: **missed**" {
		t.Errorf("%+v", last)
	}
}
