package main

import (
	"testing"
	"time"
)

// Deletions begin with little at a time, and go faster the longer there is more. What takes
// longer, because others write too, leaves them more time.
func TestPace(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		full        pace
		rows        int
		took, pause time.Duration
	}{
		{0, 50, 0, 10 * ms},
		{0, 50, ms, 10 * ms},
		{0, 50, 5 * ms, 40 * ms},
		{15, 50, time.Second, 2 * time.Second},
		{16, 100, 5 * ms, 20 * ms},
		{32, 200, 6 * ms, 12 * ms},
		{48, 200, 20 * ms, 20 * ms},
		{64, 200, 300 * ms, 10 * ms},
		{1e6, 200, ms, 10 * ms},
	} {
		if rows, pause := c.full.rows(), c.full.pause(c.took); rows != c.rows || pause != c.pause {
			t.Errorf("after %d full batches, the last in %s: %d rows after a rest of %s, want %d after %s", c.full, c.took, rows, pause, c.rows, c.pause)
		}
	}
}

// A cut of a million entries of the audit log is over in five minutes if nobody else writes, and in a quarter
// of an hour beside many writes; a sweep of a million sessions, which lie all over the file, in twelve minutes, and in
// half an hour. The clock is one that only batches and rests move.
func TestPace_KeepsUp(t *testing.T) {
	const many = 1_000_000
	for _, c := range []struct {
		batch, most time.Duration // of 200 rows, with the rests in it
	}{
		{45 * time.Millisecond, 5 * time.Minute},
		{160 * time.Millisecond, 15 * time.Minute},
		{125 * time.Millisecond, 12 * time.Minute},
		{340 * time.Millisecond, 30 * time.Minute},
	} {
		var took time.Duration
		now, left := pace(0), many
		for ; left > 0; now++ {
			one := c.batch * time.Duration(now.rows()) / mostRows
			left -= now.rows()
			took += one + now.pause(one)
		}
		if took > c.most {
			t.Errorf("batches of %s: %s for %d rows", c.batch, took, many)
		}
	}
}
