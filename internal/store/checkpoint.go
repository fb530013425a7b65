package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// checkpointPages is how many pages of the write-ahead log are worth copying into the database.
	checkpointPages = 500
	// autoPages is when SQLite has a COMMIT do that, if nobody has kept up.
	autoPages = 4 * checkpointPages
	// bulkPages is both for large transactions: most of their pages are changed again by the next one.
	bulkPages = 65536
)

// checkpointer copies what was committed from SQLite's write-ahead log into the database, beside
// the writer: else whoever waits for a commit waits, now and then, for a thousand pages that lie
// anywhere in the file, and for the disk. The log begins anew only when all of it was copied, so
// the writer copies the little that came meanwhile.
type checkpointer struct {
	db      *sql.DB
	inPlace func() error  // of the store
	least   atomic.Int64  // pages that are worth it
	wake    chan struct{} // something was committed
	little  atomic.Bool   // is left to be copied, by the writer
	done    chan struct{}
}

func newCheckpointer(s *Store) *checkpointer {
	c := &checkpointer{db: s.db, inPlace: s.inPlace, wake: make(chan struct{}, 1), done: make(chan struct{})}
	c.least.Store(checkpointPages)
	go c.run()
	return c
}

// committed tells that there may be more to copy.
func (c *checkpointer) committed() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// close waits for what it is at.
func (c *checkpointer) close() {
	close(c.wake)
	<-c.done
}

func (c *checkpointer) run() {
	defer close(c.done)
	for range c.wake {
		if left, ok := c.checkpoint("NOOP"); !ok || left < c.least.Load() {
			continue
		}
		_, ok := c.checkpoint("PASSIVE")
		c.little.Store(ok)
	}
}

// checkpoint returns how many pages are left to be copied. One that can't be made is tried
// again after another commit; nothing is lost meanwhile.
func (c *checkpointer) checkpoint(mode string) (left int64, ok bool) {
	if c.inPlace() != nil {
		return 0, false
	}
	var busy, log, copied int64
	err := c.db.QueryRowContext(context.Background(), "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &log, &copied)
	mustSync(err)
	return log - copied, err == nil && busy == 0
}

// mustSync ends the process if the database could not be synced: the next sync may succeed, and
// say nothing of the pages of this one. They are still in the log, which a start copies as a whole.
func mustSync(err error) {
	if e, ok := errors.AsType[*sqlite.Error](err); ok && e.Code() == sqlite3.SQLITE_IOERR_FSYNC {
		panic(fmt.Sprintf("the disk of the database fails, and has not kept what was copied into it: nothing is lost if it is there for the next start: %v", err))
	}
}
