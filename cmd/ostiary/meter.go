package main

import (
	"context"
	"sync"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/config"
)

// counted is told of each request at a mount's routes; nil: nobody wants to know.
func (s *server) counted(m *auth.Mount, srv config.Server) func(auth.Used, *auth.Client) {
	realm, d := m.RealmID, m.Dialect
	switch {
	case srv.Usage && s.metrics != nil:
		return func(what auth.Used, cl *auth.Client) {
			s.metrics.Used(d, what)
			s.usage.Count(realm, d, what, cl)
		}
	case srv.Usage:
		return func(what auth.Used, cl *auth.Client) { s.usage.Count(realm, d, what, cl) }
	case s.metrics != nil:
		return func(what auth.Used, _ *auth.Client) { s.metrics.Used(d, what) }
	}
	return nil
}

// tendUsage deletes counts that are older than usage_keep, so many of each realm. It reports
// whether there are more.
func (s *server) tendUsage(ctx context.Context, rows int) (more bool) {
	site := s.site.Load()
	before := auth.DayOf(time.Now().Add(-time.Duration(site.srv.UsageKeep)))
	realms, err := site.svc.Realms(ctx)
	for _, r := range realms {
		var first []auth.Usage
		if err == nil {
			first, err = s.store.Usage(ctx, r.ID, auth.Usage{}, 1)
		}
		n := 0
		if err == nil && len(first) > 0 && first[0].Day < before { // else those who write need not wait
			err = s.store.InTx(ctx, func(tx auth.Tx) (err error) {
				n, err = tx.DeleteUsage(ctx, r.ID, before, rows)
				return err
			})
		}
		more = more || n >= rows
	}
	if err != nil && ctx.Err() == nil {
		s.log.Warn("old counts of who used what were not deleted, it is tried again", "err", err)
	}
	return more && err == nil
}

const (
	// statesEvery is how often the accounts are counted, if anybody scrapes metrics.
	statesEvery = time.Hour
	// statesPause lets others have the database between two pages of accounts.
	statesPause = 5 * time.Millisecond
)

// states is how far the accounts were in a takeover when they were counted last, by realm.
type states struct {
	mu    sync.Mutex
	at    time.Time
	known map[string]auth.Takeover
}

func (st *states) last() map[string]auth.Takeover {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.known
}

func (st *states) set(at time.Time, known map[string]auth.Takeover) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.at, st.known = at, known
}

// tendStates counts the accounts now and then, if it is this process's turn.
func (s *server) tendStates(ctx context.Context) {
	if s.metrics == nil {
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		switch {
		case !s.tidying.mine():
			s.states.set(time.Time{}, nil) // another node tells
		case time.Since(s.states.at) >= statesEvery:
			s.countStates(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *server) countStates(ctx context.Context) {
	site := s.site.Load()
	known := map[string]auth.Takeover{}
	for _, m := range site.mounts {
		if _, done := known[m.Realm]; done {
			continue
		}
		t, err := site.svc.TakeoverOf(ctx, m.RealmID, statesPause)
		if err != nil {
			if ctx.Err() == nil {
				s.log.Info("the accounts were not counted for the metrics, it is tried again", "err", err)
			}
			return
		}
		known[m.Realm] = t
	}
	s.states.set(time.Now(), known)
}
