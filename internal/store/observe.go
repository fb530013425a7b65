package store

import (
	"context"
	"database/sql"
	"errors"
	"sync/atomic"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

// Observer is told how long a database takes, and of its faults: nothing of what it is
// asked. Its methods return at once, and are safe for concurrent use.
type Observer interface {
	// StoreWaited is told how long a read waited for a connection, if it had to.
	StoreWaited(d time.Duration)
	// StoreRead is told how long a read took, outside of transactions.
	StoreRead(took time.Duration)
	// StoreBatch is told of transactions that were committed together, from their begin, and
	// StoreCommit how long that commit took.
	StoreBatch(transactions int, took time.Duration)
	StoreCommit(took time.Duration)
	// StoreRetried is told of transactions that are to be run once more.
	StoreRetried(transactions int)
	// StoreResolved is told what became of a commit whose answer was lost: ResolvedCommitted,
	// ResolvedLost, or ResolvedUnknown.
	StoreResolved(what string)
	// StoreFailed is told of an error of the database: a Fault's name.
	StoreFailed(fault string)
}

// What a commit turned out to be whose answer was lost.
const (
	ResolvedCommitted = "committed"
	ResolvedLost      = "lost"
	ResolvedUnknown   = "unknown"
)

// Observe has somebody told from now on.
func (s *Store) Observe(o Observer) { s.watch.observer.Store(&o) }

// watch tells an Observer, if there is one. It is a Store's; a nil one tells nobody.
type watch struct{ observer atomic.Pointer[Observer] }

func (w *watch) tell(what func(Observer)) {
	if w == nil {
		return
	}
	if o := w.observer.Load(); o != nil {
		what(*o)
	}
}

// read tells of a read that began then.
func (w *watch) read(began time.Time, err error) {
	w.tell(func(o Observer) {
		o.StoreRead(time.Since(began))
		if err != nil && !errors.Is(err, sql.ErrNoRows) && !isDone(err) {
			o.StoreFailed(FaultOf(err).String())
		}
	})
}

// transaction tells of one that failed because of the database.
func (w *watch) transaction(err error) {
	e, ok := errors.AsType[*auth.Error](err)
	if !ok || isDone(err) {
		return
	}
	if fault := FaultOf(err); fault != FaultOther || e.Code == auth.CodeUnavailable {
		w.tell(func(o Observer) { o.StoreFailed(fault.String()) })
	}
}

func isDone(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// resolved tells what became of a commit whose answer was lost.
func (w *watch) resolved(err error) {
	what := ResolvedUnknown
	switch {
	case err == nil:
		what = ResolvedCommitted
	case errors.Is(err, errLost):
		what = ResolvedLost
	}
	w.tell(func(o Observer) { o.StoreResolved(what) })
}

// Faults are the names of all faults.
var Faults = []string{"other", "damaged", "foreign", "open", "read_only", "full", "io", "busy", "away", "denied", "missing", "pooler"}

// String is the name of a fault.
func (f Fault) String() string {
	if int(f) < len(Faults) {
		return Faults[f]
	}
	return Faults[FaultOther]
}

// Pool is what is known of the connections to the database.
type Pool struct {
	Max, InUse, Idle int
	Waits            int64 // for a connection
	Waited           time.Duration
}

// Pool looks at the connections.
func (s *Store) Pool() Pool {
	st := s.db.Stats()
	return Pool{Max: st.MaxOpenConnections, InUse: st.InUse, Idle: st.Idle, Waits: st.WaitCount, Waited: st.WaitDuration}
}

// retried tells of transactions that are run once more.
func (w *writable) retried(transactions int) {
	w.watch.tell(func(o Observer) { o.StoreRetried(transactions) })
}
