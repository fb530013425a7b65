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

// A cut of a million entries of the audit log is over in nine minutes if nobody else writes, and in twenty
// beside many writes; a sweep of a million sessions, which lie all over the file, in twelve minutes, and in
// half an hour (docs/performance.md). The clock is one that only batches and rests move.
func TestPace_KeepsUp(t *testing.T) {
	const many = 1_000_000
	for _, c := range []struct {
		batch, most time.Duration // of 200 rows, with the rests in it
	}{
		{85 * time.Millisecond, 9 * time.Minute},
		{220 * time.Millisecond, 20 * time.Minute},
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

// Where more is made than is deleted, a transaction comes to delete so much that nothing is left.
func TestHaste(t *testing.T) {
	for _, c := range []struct {
		long time.Duration
		want int
	}{{0, 1}, {59 * time.Minute, 1}, {time.Hour, 2}, {80 * time.Minute, 4}, {2 * time.Hour, 16}, {100 * time.Hour, 16}} {
		if got := haste(c.long); got != c.want {
			t.Errorf("after %s: %d times the usual rows, want %d", c.long, got, c.want)
		}
	}
	const made, rows = 600, 3 // a second, and in a usual transaction, which takes 8 ms beside logins, and rests for 8
	var at time.Duration
	for left := made; left > 0; {
		const one = 16 * time.Millisecond
		at += one
		left += int(made*at/time.Second) - int(made*(at-one)/time.Second) - rows*haste(at)
		if at > 3*time.Hour {
			t.Fatalf("%d rows are left after %s", left, at)
		}
	}
}

// An error takes nothing of the haste, and alone makes none.
func TestOverdue(t *testing.T) {
	var o overdue
	began := time.Now()
	o.failed()
	if n := o.times(began.Add(5 * time.Hour)); n != 1 {
		t.Errorf("nothing but errors: %d times", n)
	}
	o.more(began)
	o.more(began.Add(30 * time.Minute))
	o.failed()
	if n := o.times(began.Add(time.Hour)); n != 2 || o.pace != 0 || o.rows() != 50 {
		t.Errorf("%d times %d rows after an error", n, o.rows())
	}
}
