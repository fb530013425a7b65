package fault_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/ostiary/ostiary/internal/audit"
)

// ledger is what the server has acknowledged, all of it: what is written here must hold
// after whatever happens to the server.
type ledger struct {
	t       testing.TB
	site    *site
	workers []*worker

	mu      sync.Mutex
	entries map[entry]*tally // what the audit log must have
	secrets map[string]bool  // what it must never have, of this round
	changes int              // acknowledged
	unknown int              // not answered
	settled int              // of these, those that were found to be made
	read    int64            // the audit log, up to this entry
	counted map[entry]int    // what it has, up to there
}

// entry is one of the audit log, by what its kind is told apart by: an account, a session
// or the tag of a token, and the detail.
type entry struct {
	kind   audit.Kind
	of     string
	detail string
}

// tally is how often an entry must be in the log, and how often more it may be.
type tally struct{ must, may int }

// expect writes an entry down.
func (l *ledger) expect(o outcome, entries ...entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range entries {
		t := l.entries[e]
		if t == nil {
			t = &tally{}
			l.entries[e] = t
		}
		switch o {
		case done:
			t.must++
		case lost:
			t.may++
		}
	}
}

// secret is something that must never be seen in the log.
func (l *ledger) secret(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.secrets[text] = true
}

// change is one thing that a client asks for.
type change struct {
	what    string
	rule    string                                      // that is broken if it is refused; empty: I5
	ask     func(ctx context.Context) (outcome, string) // and what it was refused with
	made    func()                                      // what is true from then on
	entries func() []entry                              // that the log has then
	// seen asks the server that comes after a kill whether a change was made that had no
	// answer: done, refused if not, or lost if that can't be known. Without it, it can't.
	seen func(ctx context.Context) outcome
}

// is turns a condition into what seen answers.
func is(made bool) outcome {
	if made {
		return done
	}
	return refused
}

// make asks for a change and writes down what is known of it. False: there was no answer,
// and the worker must wait until the server is back.
func (w *worker) make(ctx context.Context, c change) bool {
	o, why := c.ask(ctx)
	switch o {
	case refused:
		w.t.Errorf("%s: %s of %s: %s", cmp.Or(c.rule, "I5: what is right was refused"), c.what, w.name, why)
		return false
	case done:
		w.note(c)
	case lost:
		w.mu.Lock()
		w.unknown++
		w.mu.Unlock()
		w.lost = &c
	}
	return o == done
}

func (w *worker) note(c change) {
	c.made()
	w.expect(done, c.entries()...)
	w.mu.Lock()
	w.changes++
	w.mu.Unlock()
}

// settle finds out what became of the change that had no answer: it was made, wholly, or
// it was not. Which of both must be what the account says and what the log says.
func (w *worker) settle(ctx context.Context) {
	c := w.lost
	w.lost = nil
	if c == nil {
		return
	}
	o := lost
	if c.seen != nil {
		o = c.seen(ctx)
	}
	switch o {
	case lost:
		w.expect(lost, c.entries()...)
	case done:
		w.note(*c)
		w.mu.Lock()
		w.settled++
		w.mu.Unlock()
	}
}

// command is a change by the command line.
func (w *worker) command(stdin string, args ...string) func(ctx context.Context) (outcome, string) {
	return func(ctx context.Context) (outcome, string) {
		out, answered, err := w.site.command(ctx, stdin, args...)
		switch {
		case err == nil:
			w.printed = out
			return done, ""
		case !answered, w.site.database != "" && storeAway(err):
			return lost, ""
		}
		return refused, err.Error()
	}
}

// world is all that the command line says after a kill.
type world struct {
	accounts map[string]accountRow // by username
	guesses  map[string]int        // wrong ones, by account and kind
}

// accountRow is a line of "account list --json".
type accountRow struct {
	ID       string   `json:"id"`
	Username string   `json:"username"`
	Disabled bool     `json:"disabled"`
	Roles    []string `json:"roles"`
}

// look reads what the audit compares with, and counts what is new in the log.
func (l *ledger) look() *world {
	w := &world{accounts: map[string]accountRow{}, guesses: map[string]int{}}
	each(l, l.site.must("", "account", "list", "--json"), func(a accountRow) { w.accounts[a.Username] = a })
	each(l, l.site.must("", "budget", "list", "--json"), func(b struct {
		Kind, Account string
		Failures      int
	}) {
		w.guesses[b.Account+" "+b.Kind] += b.Failures
	})
	return w
}

// follow counts the entries that the log has got since it was last read.
func (l *ledger) follow() {
	out := l.site.must("", "audit", "list", "--json", "--after", fmt.Sprint(l.read))
	each(l, out, func(e event) {
		if e.Seq != l.read+1 {
			l.t.Errorf("I7: entry %d of the log comes after %d", e.Seq, l.read)
		}
		l.read = e.Seq
		for _, key := range e.keys() {
			l.counted[key]++
		}
	})
	l.noSecret("the audit log", []byte(out))
}

// noSecret looks for the secrets of this round.
func (l *ledger) noSecret(where string, text []byte) {
	for secret := range l.secrets {
		if bytes.Contains(text, []byte(secret)) {
			l.t.Errorf("I7: %s has a secret: %s", where, secret)
		}
	}
}

// event is a line of "audit list --json".
type event struct {
	Seq                             int64
	Kind                            audit.Kind
	Account, Session, Token, Detail string
}

// keys are the entries of the ledger that an event is one of.
func (e event) keys() []entry {
	switch e.Kind {
	case audit.TokenRefreshed, audit.RefreshReused, audit.TokenRenewed:
		return []entry{{e.Kind, e.Token, e.Detail}}
	case audit.PasswordPassed:
		return []entry{{e.Kind, e.Token, ""}}
	case audit.SignedIn:
		return []entry{{e.Kind, e.Session, ""}, {e.Kind, e.Account, ""}}
	case audit.SessionEnded:
		return []entry{{e.Kind, e.Session, e.Detail}}
	}
	return []entry{{e.Kind, e.Account, e.Detail}}
}

// each decodes lines of JSON.
func each[T any](l *ledger, lines string, fn func(T)) {
	for line := range bytes.Lines([]byte(lines)) {
		var v T
		if err := json.Unmarshal(line, &v); err != nil {
			l.t.Errorf("%s: %v", line, err)
			return
		}
		fn(v)
	}
}
