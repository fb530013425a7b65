package auth

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
)

const (
	// feedEvery is how often a process asks what others have changed, and feedFresh how long
	// it goes on without an answer: so old may what it says be at the most.
	feedEvery = time.Second
	feedFresh = 3 * time.Second
	// feedMost is how many changes are told one by one; more are everybody's.
	feedMost = 1000
)

// Feed tells a process what has changed, in it or in another one on the same database, so
// that what it remembers of accounts and sessions need not be read again each time.
//
// Whatever changes an account is in the audit log of its realm, whose entries are in the
// order of their commits, without gaps: so its head is the version of all that the realm
// has, and the entries after the one that was seen last say whose views are void.
type Feed struct {
	changes
	now  func() time.Time
	seen atomic.Pointer[time.Time] // when the last poll that succeeded began

	mu    sync.Mutex // held by a poll
	heads map[uuid.UUID]audit.Head
}

// NewFeed makes a feed that knows nothing yet. now is nil for the clock.
func NewFeed(now func() time.Time) *Feed {
	if now == nil {
		now = time.Now
	}
	return &Feed{now: now}
}

// fresh tells whether what others have changed is known, but for the last moments.
func (f *Feed) fresh() bool {
	seen := f.seen.Load()
	if seen == nil {
		return false
	}
	age := f.now().Sub(*seen)
	return age >= 0 && age < feedFresh
}

// Follow polls until ctx ends.
func (f *Feed) Follow(ctx context.Context, from AuditReader, log *slog.Logger) {
	tick := time.NewTicker(feedEvery)
	defer tick.Stop()
	failing := false
	for {
		// A database that does not answer may never do: the next poll asks on another connection.
		poll, cancel := context.WithTimeout(ctx, feedFresh)
		err := f.Poll(poll, from)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			log.Warn("what other nodes change is not known: until it is, each session is read again every other second", "err", err)
		case err == nil && failing:
			log.Info("what other nodes change is known again")
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Poll notes what has changed since the last poll: everybody, if that is too long ago, or
// the log is not the one that it was.
func (f *Feed) Poll(ctx context.Context, from AuditReader) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	began, fresh := f.now(), f.fresh()
	heads, err := from.AuditHeads(ctx)
	if err != nil {
		return err
	}
	everyone := !fresh
	for realm, was := range f.heads {
		head := heads[realm]
		everyone = everyone || head.Seq < was.Seq || head.Seq == was.Seq && head.Hash != was.Hash
	}
	if everyone {
		f.note(uuid.Nil)
	} else if err := f.catchUp(ctx, from, heads); err != nil {
		return err
	}
	f.heads = heads
	f.seen.Store(&began)
	return nil
}

// catchUp notes the accounts of the entries that have come to the logs.
func (f *Feed) catchUp(ctx context.Context, from AuditReader, heads map[uuid.UUID]audit.Head) error {
	for realm, head := range heads {
		was := f.heads[realm]
		if head.Seq == was.Seq {
			continue
		}
		accounts, err := from.Changed(ctx, realm, was.Seq, head.Seq, quiet, feedMost)
		if err != nil {
			return err
		}
		if len(accounts) == feedMost {
			accounts = []uuid.UUID{uuid.Nil}
		}
		for _, account := range accounts {
			f.note(account)
		}
	}
	return nil
}
