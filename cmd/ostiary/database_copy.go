package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ostiary/ostiary/internal/store"
)

type databaseCopy struct {
	databasePair
	Online bool `xor:"writes" help:"Let the servers write to the source meanwhile: what they write after the last look is not in the copy."`
	Retire bool `xor:"writes" help:"Have the source take no writes any more, once the copy is done."`
}

func (databaseCopy) Help() string {
	return `Accounts, sessions, tokens, keys, budgets and the audit log arrive as they are, and so must the master key: the servers of the copy
need the same one. While it runs, the servers on the source refuse writes (503 with Retry-After) and go on to verify; with --retire they
do so until they are stopped, so that nothing is lost. A copy that was interrupted goes on where it was if it is run again. It is done
when each table was read back and has the same digest. A password of PostgreSQL does not belong in --from and --to: see --from-file and --to-file.

Examples:
    ostiary database copy --from sqlite:ostiary-data/ostiary.db --to postgres://ostiary@db.example.com/ostiary --online
    ostiary database copy --from sqlite:ostiary-data/ostiary.db --to postgres://ostiary@db.example.com/ostiary --retire
    ostiary database copy --from postgres://ostiary@db.example.com/ostiary --to sqlite:laptop/ostiary.db --online`
}

// copying is a copy that runs.
type copying struct {
	*app
	from, to *store.Store
	online   bool
	lapsed   atomic.Bool // for a time nothing kept the source from being written
	release  func()      // ends to keep it so
	retired  bool        // the source takes no writes any more
	sums     store.Sums
	as       time.Time // of the snapshot
}

const (
	refuseFor   = time.Minute // by then a dead copy has ended to refuse writes
	refuseEvery = 15 * time.Second
	maxPasses   = 5
	// finishWithin is how long the last few writes may take.
	finishWithin = 30 * time.Second
)

func (c *databaseCopy) Run(a *app) (err error) {
	defer a.interruptible()()
	defer func() {
		if err = stopped(a, err); err != nil && a.Err() != nil {
			err = remedied{err.Error(), "give the command again to go on"}
		}
	}()
	from, to, err := c.sets(a)
	if err != nil {
		return err
	}
	x := &copying{app: a, online: c.Online}
	if x.from, err = openStore(a, from); err != nil {
		return err
	}
	defer x.from.Close()
	if err := x.mayRead(); err != nil {
		return err
	}
	if x.to, err = createStore(a, to); err != nil {
		return err
	}
	defer x.to.Close()
	end, err := a.alone(x.to)
	if err != nil {
		return err
	}
	defer end()
	if err := x.mayWrite(); err != nil {
		return err
	}
	if err := beginFill(a, x.to, store.Copying); err != nil {
		return err
	}
	if !c.Online {
		let, err := x.hold()
		if err != nil {
			return err
		}
		defer let()
	}
	if err := x.run(); err != nil {
		return err
	}
	if err := x.finish(c.Retire); err != nil {
		return err
	}
	return x.report(c.Retire)
}

// mayRead sees that the source is whole, and takes writes.
func (x *copying) mayRead() error {
	if err := usable(x, x.from); err != nil {
		return err
	}
	if err := servable(x, x.from); err != nil {
		return remedied{err.Error(), "have it take writes again, if there is to be another copy, with: ostiary database resume"}
	}
	key, err := x.from.Value(x, keyFact)
	if err == nil && key == "" {
		err = remedied{fmt.Sprintf("the store at %s is not finished", x.from.Info().Path), "start ostiary serve once"}
	}
	return err
}

// mayWrite sees that nothing is lost in the target: it is new, or a copy that was
// interrupted, or one that nobody has used since.
func (x *copying) mayWrite() error {
	want, err := x.from.Value(x, keyFact)
	if err != nil {
		return err
	}
	key, err := x.to.Value(x, keyFact)
	if err != nil {
		return err
	}
	if key != "" && key != want {
		return remedied{fmt.Sprintf("the store at %s was made with another master key", x.to.Info().Path), "give a database that is empty"}
	}
	digest, err := x.to.Value(x, store.CopiedFact)
	if err != nil || unfinished[digest] != "" || digest == "" {
		if err == nil {
			err = mayFill(x, x.to, store.Copying)
		}
		return err
	}
	sums, err := x.sumsOf(x.to, "target")
	if err == nil && sums.Digest() != digest {
		err = remedied{fmt.Sprintf("the store at %s has been used since it was copied", x.to.Info().Path), "give a database that is empty"}
	}
	return err
}

// hold has the source refuse writes until let is called, or this process has been dead for
// refuseFor.
func (x *copying) hold() (let func(), err error) {
	if err := x.from.RefuseWrites(x, x.refusal()); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(x)
	done := make(chan struct{})
	x.release = func() {
		cancel()
		<-done
	}
	go func() {
		defer close(done)
		last := time.Now().Round(0) // by the clock, which goes on while a machine sleeps
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(refuseEvery):
			}
			if err := x.from.KeepRefusing(ctx, x.refusal()); err != nil {
				continue
			}
			if time.Since(last) > refuseFor-refuseEvery {
				x.lapsed.Store(true)
			}
			last = time.Now().Round(0)
		}
	}()
	return func() {
		x.release()
		if !x.retired {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(x), 10*time.Second)
			defer cancel()
			_ = x.from.TakeWrites(ctx) // or it ends by itself
		}
	}, nil
}

func (x *copying) refusal() store.Refusal {
	return store.Refusal{Until: time.Now().Add(refuseFor), Why: "it is being copied to " + x.to.Info().Path}
}

func (x *copying) moved() string {
	return "it was moved to " + x.to.Info().Path + " on " + stamp(time.Now()) + ": use that one"
}

// run copies until the copy is what the source was a moment ago, and sees that it is. The
// first pass takes long, and the next one has only what was changed meanwhile.
func (x *copying) run() error {
	for pass := 1; ; pass++ {
		x.lapsed.Store(false)
		changed, err := x.pass(pass)
		again := changed > 0
		if err == nil && !x.online {
			again, err = x.written(x)
		}
		if err != nil {
			return err
		}
		if !again || x.online && pass == maxPasses {
			return x.verify()
		}
		if pass == maxPasses {
			return remedied{fmt.Sprintf("the store at %s is written all the same", x.from.Info().Path),
				"see that its servers are of this version, and that their clocks agree with this one, or stop them"}
		}
	}
}

// verify reads the copy back.
func (x *copying) verify() error {
	sums, err := x.sumsOf(x.to, "verify")
	if err != nil {
		return err
	}
	for _, t := range store.Tables {
		if sums[t.Name] != x.sums[t.Name] {
			return remedied{fmt.Sprintf("table %s of the copy has %d rows with another digest than the %d of the source", t.Name, sums[t.Name].Rows, x.sums[t.Name].Rows),
				"see that nobody else writes to it, and run this again"}
		}
	}
	return nil
}

// written tells whether somebody has written to the source who should not have: nothing kept
// him for a time, or his clock is another one. What counts is in the audit log.
func (x *copying) written(ctx context.Context) (bool, error) {
	if x.lapsed.Load() {
		return true, nil
	}
	n, err := x.from.Snapshot(ctx)
	if err != nil {
		return false, err
	}
	defer n.Close()
	heads, err := n.Sum(ctx, "audit_head")
	return heads != x.sums["audit_head"], err
}

func (x *copying) pass(number int) (changed int, err error) {
	x.as = time.Now()
	n, err := x.from.Snapshot(x)
	if err != nil {
		return 0, err
	}
	defer n.Close()
	l, err := x.to.Load(x)
	if err != nil {
		return 0, err
	}
	defer l.Close()
	total, err := rowsOf(x, n)
	if err != nil {
		return 0, err
	}
	p := x.progress()
	defer p.end()
	p.start(fmt.Sprintf("copy %d", number), total)
	x.sums, changed, err = l.Copy(x, n, p.step)
	return changed, err
}

// finish lets the copy be used, and of the two only the copy, if the source is to retire. That
// comes last: whoever is interrupted or fails before has the source again, by itself within
// refuseFor, and can run the same again. What is begun here is ended, whatever is signalled.
func (x *copying) finish(retire bool) error {
	if retire {
		if err := x.settle(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x), finishWithin)
	defer cancel()
	if err := x.to.SetValue(store.Unrefused(ctx), store.CopiedFact, x.sums.Digest()); err != nil {
		return err
	}
	if err := x.to.TakeWrites(ctx); err != nil || !retire {
		return err
	}
	err := x.retire(ctx)
	if err == nil {
		return nil
	}
	again, stop := context.WithTimeout(context.WithoutCancel(x), finishWithin)
	defer stop()
	return errors.Join(err, beginFill(again, x.to, store.Copying)) // the source goes on, so this is no copy of it
}

// settle copies what the source took while the copy was verified, if nothing kept it for a time.
func (x *copying) settle() error {
	if err := x.from.RefuseWrites(x, x.refusal()); err != nil {
		return err
	}
	again, err := x.written(x)
	if err == nil && again {
		err = x.run()
	}
	return err
}

// retire has the source take no writes any more.
func (x *copying) retire(ctx context.Context) error {
	x.release()
	if err := x.from.RefuseWrites(ctx, store.Refusal{Until: store.Never, Why: x.moved()}); err != nil {
		return err
	}
	again, err := x.written(ctx)
	if err == nil && again {
		err = remedied{fmt.Sprintf("the store at %s was written at the last moment", x.from.Info().Path), "run this again"}
	}
	x.retired = err == nil
	return err
}

func (x *copying) report(retired bool) error {
	var text strings.Builder
	fmt.Fprintf(&text, "copied as of %s to %s: %s, each table with the same digest\n", stamp(x.as), x.to.Info().Path, contents(x.sums))
	switch {
	case retired:
		fmt.Fprintf(&text, "%s takes no writes any more: stop its servers, and start them with the copy (to undo this: ostiary database resume)\n", x.from.Info().Path)
	case x.online:
		text.WriteString("what was written after that moment is not in the copy: run the same with --retire to end with all of it\n")
	default:
		text.WriteString("the source takes writes again, which are not in the copy: if its servers run, run the same with --retire to end with all of it\n")
	}
	text.WriteString("the servers of the copy need the same master key\n")
	_, err := x.out.WriteString(text.String())
	return err
}
