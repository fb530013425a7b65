package store

import (
	"context"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

// laneTx is a transaction of a batch: all of queries, but that the audit log is told at the
// batch's end, and guesses end there.
type laneTx struct {
	queries
	batch  *batch
	job    int // which of the batch's
	events *[]*audit.Event
	ends   *[]ending
}

// Closing has the batch's places in the logs taken in the packet of the next statement, if no
// job is behind this one: none may join from here on.
func (t laneTx) Closing(realms ...uuid.UUID) {
	b := t.batch
	if b.more(t.job) {
		return
	}
	b.grow = false
	events := slices.Concat(b.events, *t.events)
	for _, realm := range realms {
		events = append(events, &audit.Event{RealmID: realm})
	}
	logs := logsOf(events)
	b.pipe.closing = func() (int, func(pgx.BatchResults) error) {
		return b.keepHeads(logs), func(results pgx.BatchResults) error { return b.readHeads(results, logs) }
	}
}

func (t laneTx) EndGuess(_ context.Context, k auth.BudgetKey, slot int64) error {
	*t.ends = append(*t.ends, ending{k, slot})
	return nil
}

func (t laneTx) InsertEvent(_ context.Context, e audit.Event) error {
	*t.events = append(*t.events, &e)
	return nil
}
