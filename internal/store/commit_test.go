package store

import (
	"sync"
	"testing"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/pgtest"
)

// A COMMIT whose answer is lost is found out about: what has happened is not done again, and what has not is.
func TestThreat66_CommitWithoutAnswer(t *testing.T) {
	for name, fault := range map[string]pgtest.CommitFault{
		"lost": pgtest.CommitLost, "unanswered": pgtest.CommitUnanswered, "late": pgtest.CommitLate,
	} {
		t.Run(name, func(t *testing.T) {
			proxy, url := pgtest.NewProxy(t, pgtest.URL(t))
			s := createPostgresAt(t, url)
			values(t, s, "x")
			const rounds, together = 8, 6
			want := "0"
			for range rounds {
				proxy.AtCommit(fault)
				var all sync.WaitGroup
				for range together {
					want += "a"
					all.Go(func() {
						if err := s.InTx(t.Context(), func(tx auth.Tx) error { return add(t.Context(), tx, "x", "a") }); err != nil {
							t.Error(err)
						}
					})
				}
				all.Wait()
			}
			if proxy.Met() != rounds {
				t.Errorf("%d commits were without an answer, of %d", proxy.Met(), rounds)
			}
			wantValue(t, s, "x", want)
			if err := s.Ping(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// What is refused while the database is away is not done, and the store works again when it is back.
func TestThreat65_StoreAway(t *testing.T) {
	proxy, url := pgtest.NewProxy(t, pgtest.URL(t))
	s := createPostgresAt(t, url)
	values(t, s, "x")
	change := func(letter string) error {
		return s.InTx(t.Context(), func(tx auth.Tx) error { return add(t.Context(), tx, "x", letter) })
	}
	for range 3 {
		proxy.SetAway(true)
		if err := change("b"); auth.CodeOf(err) != auth.CodeUnavailable {
			t.Errorf("a change while the database is away: %v", err)
		}
		if _, err := s.Value(t.Context(), "x"); auth.CodeOf(err) != auth.CodeUnavailable {
			t.Errorf("a read while the database is away: %v", err)
		}
		if err := s.Ping(t.Context()); auth.CodeOf(err) != auth.CodeUnavailable {
			t.Errorf("ready while the database is away: %v", err)
		}
		proxy.SetAway(false)
		if err := change("a"); err != nil {
			t.Errorf("a change when the database is back: %v", err)
		}
	}
	wantValue(t, s, "x", "0aaa")
}
