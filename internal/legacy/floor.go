package legacy

import (
	"math"
	"sync"
	"time"
)

const (
	floorUnseen   = 500 * time.Millisecond // before any refusal was seen
	floorHalfLife = time.Minute
)

// floor is about how long the refusals of a server take: the slowest of late, which fades to
// what is usual.
type floor struct {
	limit time.Duration

	mu    sync.Mutex
	usual time.Duration // 0: none was seen
	peak  time.Duration
	at    time.Time // when the peak was that
}

func (f *floor) now() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.usual == 0 {
		return min(floorUnseen, f.limit)
	}
	return f.faded()
}

func (f *floor) faded() time.Duration {
	left := math.Exp2(-float64(time.Since(f.at)) / float64(floorHalfLife))
	return max(f.usual, f.usual+time.Duration(float64(f.peak-f.usual)*left))
}

// note learns from a refusal that took so long.
func (f *floor) note(took time.Duration) {
	took = min(max(took, 1), f.limit)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.usual == 0 {
		f.usual, f.peak, f.at = took, took, time.Now()
		return
	}
	f.peak = max(took, f.faded())
	f.at = time.Now()
	f.usual += (took - f.usual) / 8
}
