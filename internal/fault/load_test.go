package fault_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/pgtest"
)

// TestThreat65_UnderLoad has the database do nothing for a while, and not those who knock at every door stop. None waits
// for long, and all is well soon after.
func TestThreat65_UnderLoad(t *testing.T) {
	pgtest.URL(t) // skips without PostgreSQL
	const stall = 20 * time.Second
	for name, fault := range map[string]func(t *testing.T, s *pgtest.Server, url string) (end func()){
		"Stopped": func(t *testing.T, s *pgtest.Server, _ string) func() {
			s.Pause(t)
			return func() { s.Resume(t) }
		},
		"LogHeld": func(t *testing.T, _ *pgtest.Server, url string) func() {
			held := make(chan error, 1)
			go func() {
				held <- pgtest.Exec(url, fmt.Sprintf("SELECT pg_sleep(%d) FROM (SELECT * FROM audit_head FOR UPDATE) AS head", stall/time.Second))
			}()
			return func() {
				if err := <-held; err != nil {
					t.Error(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "Stopped" && !long {
				t.Skip("it tells little more than TestThreat65_DatabaseAway: make fault")
			}
			s := pgtest.Start(t, pgtest.Options{})
			url := s.URL(t)
			h := openHouse(t, url)
			h.wellIn(time.Minute)
			end := fault(t, s, url)
			var knocking sync.WaitGroup
			var mu sync.Mutex
			var longest time.Duration
			for start := time.Now(); time.Since(start) < stall; time.Sleep(400 * time.Millisecond) {
				knocking.Go(func() {
					start := time.Now()
					h.all(0)
					mu.Lock()
					defer mu.Unlock()
					longest = max(longest, time.Since(start))
				})
			}
			end()
			back := h.wellIn(2 * maxBack) // a place of a guess whose end is not known is forgotten after as long
			knocking.Wait()
			t.Logf("all is well %s after the database was back; the longest wait was %s", back.Round(time.Millisecond), longest.Round(time.Millisecond))
			if longest > 15*time.Second {
				t.Errorf("somebody waited for %v", longest)
			}
		})
	}
}
