// Package writeback tells an old system what changes here, so that there is a way back to
// it: docs/writeback.md. What is to be told waits in the store, where it was put by the
// transaction that it is about; a line is told at least once, and those of one account in
// their order.
package writeback

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

// Queue is where the lines wait: an auth.Service.
type Queue interface {
	WaitingWritebacks(ctx context.Context, realm uuid.UUID, limit int) ([]auth.WaitingWriteback, error)
	WrittenBack(ctx context.Context, all []auth.WaitingWriteback, how string, cl auth.Client) error
	WritebackRefused(ctx context.Context, w auth.WaitingWriteback) (next time.Time, err error)
}

// Target is how an old system is told.
type Target interface {
	// How is "file" or "webhook".
	How() string
	// Tell tells the first of some lines, one or more, and returns how many: none with an
	// error, which wraps ErrRefused if it is about the first line alone.
	Tell(ctx context.Context, lines []auth.WaitingWriteback) (n int, err error)
}

// ErrRefused is wrapped by errors about one line, for which others need not wait.
var ErrRefused = errors.New("refused")

// What became of lines, for Options.Observe.
const (
	Delivered = "delivered"
	Refused   = "refused"
	Failed    = "failed" // tries at which the old system could not be told at all
)

const (
	batch     = 100
	firstHold = time.Second // after a failure, and twice as long after each
	longHold  = time.Minute
	storeWait = 5 * time.Second // for the store to note what was told
	sayAgain  = time.Hour       // that a target fails still
)

// Options are what an Outlet is made of.
type Options struct {
	Realm   uuid.UUID
	Name    string // of the realm
	Target  Target
	By      auth.Client // whom the audit log names
	Log     *slog.Logger
	Observe func(realm, outcome string, n int) // nil: nobody
	Now     func() time.Time                   // nil: time.Now
}

// Outlet tells the lines of a realm. One goroutine at a time uses it.
type Outlet struct {
	Options
	hold  time.Duration // after the next failure
	until time.Time     // nothing is tried before
	said  time.Time     // when the log was told of a failure last; zero: it goes well
}

// NewOutlet makes an Outlet.
func NewOutlet(o Options) *Outlet {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Observe == nil {
		o.Observe = func(string, string, int) {}
	}
	return &Outlet{Options: o, hold: firstHold}
}

// Work tells what is due, for as long as mine says that this is this process's to do. It
// reports whether there may be more at once.
func (o *Outlet) Work(ctx context.Context, q Queue, mine func() bool) (more bool) {
	if o.Now().Before(o.until) {
		return false
	}
	lines, err := q.WaitingWritebacks(ctx, o.Realm, batch)
	if err != nil {
		o.failed(ctx, err)
		return false
	}
	for len(lines) > 0 && ctx.Err() == nil && mine() {
		n, err := o.tell(ctx, lines)
		if n > 0 {
			more = true
			if err := o.note(ctx, q, lines[:n]); err != nil {
				o.failed(ctx, err)
				return false
			}
			lines = lines[n:]
			continue
		}
		if !errors.Is(err, ErrRefused) {
			o.failed(ctx, err)
			return false
		}
		next, delayed := q.WritebackRefused(ctx, lines[0])
		o.Observe(o.Name, Refused, 1)
		o.Log.Error("an old system does not take a line: it waits, with all that follows of the account", "realm", o.Name, "account", lines[0].AccountID,
			"event", lines[0].Event, "id", lines[0].ID, "next_try", next, "err", errors.Join(err, delayed))
		if delayed != nil {
			return false
		}
		lines = lines[1:]
	}
	return more
}

// tell tells lines up to the first one that can't be read.
func (o *Outlet) tell(ctx context.Context, lines []auth.WaitingWriteback) (n int, err error) {
	for n < len(lines) && lines[n].Fault == nil {
		n++
	}
	if n == 0 {
		return 0, errors.Join(ErrRefused, lines[0].Fault)
	}
	return o.Target.Tell(ctx, lines[:n])
}

// note has the store forget what was told, also when the process is to end.
func (o *Outlet) note(ctx context.Context, q Queue, lines []auth.WaitingWriteback) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeWait)
	defer cancel()
	o.Observe(o.Name, Delivered, len(lines))
	if !o.said.IsZero() {
		o.Log.Info("an old system is told again", "realm", o.Name, "how", o.Target.How())
	}
	o.hold, o.said = firstHold, time.Time{}
	return q.WrittenBack(ctx, lines, o.Target.How(), o.By)
}

// failed has the outlet rest.
func (o *Outlet) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return // the process is to end
	}
	now := o.Now()
	o.Observe(o.Name, Failed, 1)
	if now.Sub(o.said) >= sayAgain {
		o.said = now
		o.Log.Warn("an old system can't be told what has changed: it is tried again until it is", "realm", o.Name, "how", o.Target.How(), "err", err)
	}
	o.until = now.Add(o.hold)
	o.hold = min(2*o.hold, longHold)
}
