package main

import (
	"testing"
	"time"
)

// What takes longer, because others write too, leaves them more time.
func TestSweepPause(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{
		0: 20 * time.Millisecond, time.Millisecond: 20 * time.Millisecond, 5 * time.Millisecond: 100 * time.Millisecond, time.Second: 2 * time.Second,
	} {
		if pause := sweepPause(took); pause != want {
			t.Errorf("after %s it rests for %s", took, pause)
		}
	}
}
