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
		{0, 50, 0, 20 * ms},
		{0, 50, ms, 20 * ms},
		{0, 50, 5 * ms, 100 * ms},
		{15, 50, time.Second, 2 * time.Second},
		{16, 100, 5 * ms, 80 * ms},
		{32, 200, 5 * ms, 60 * ms},
		{64, 200, time.Second, 2 * time.Second},
		{1e6, 200, ms, 20 * ms},
	} {
		if rows, pause := c.full.rows(), c.full.pause(c.took); rows != c.rows || pause != c.pause {
			t.Errorf("after %d full batches, the last in %s: %d rows after a rest of %s, want %d after %s", c.full, c.took, rows, pause, c.rows, c.pause)
		}
	}
}
