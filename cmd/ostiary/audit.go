package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

type auditCmd struct {
	List   auditList   `cmd:"" help:"List what happened, the oldest first."`
	Verify auditVerify `cmd:"" help:"See that the log is as it was written: nothing changed, removed or moved."`
	Export auditExport `cmd:"" help:"Print the log as JSON Lines that others can verify."`
	Cut    auditCut    `cmd:"" help:"Delete the beginning of a log in which something is wrong."`
}

type auditList struct {
	listFlags
	Follow  bool        `help:"Go on with what happens from now on, until interrupted."`
	Account accountName `placeholder:"U" help:"Only what concerns this account, or the id of one that was deleted."`
	Kind    []string    `placeholder:"KIND" help:"Only events of this kind, such as sign_in_failed. May be given more than once."`
	Since   moment      `placeholder:"TIME" help:"Only from then on: a time (2026-03-01, 2026-03-01T12:00:00Z), or how long ago (24h, 7d)."`
	Until   moment      `placeholder:"TIME" help:"Only what was before then."`
	Actor   *string     `placeholder:"NAME" help:"Only what this operator, service or part of the server did, as the list shows it."`
	Address *string     `placeholder:"IP" help:"Only what came from this address."`
	Session *string     `placeholder:"ID" help:"Only what concerns this session."`
	After   int64       `placeholder:"SEQ" help:"Only what came after the entry of this number."`
	Limit   int         `placeholder:"N" help:"At most so many events, the oldest of those that are selected."`
	Last    int         `placeholder:"N" help:"The newest N of those that are selected, the oldest of them first."`
}

func (auditList) Help() string {
	return `The kinds of events are in docs/audit.md.

Examples:
    ostiary audit list --since 1h
    ostiary audit list --last 20
    ostiary audit list --account ada --kind sign_in_failed --kind factor_failed --json
    ostiary audit list --follow --json --since 1s
    ostiary audit list --since 2026-03-01 --until 2026-04-01 --actor 'cli: root'`
}

type eventJSON struct {
	Seq       int64      `json:"seq"`
	ID        uuid.UUID  `json:"id"`
	At        string     `json:"at"`
	Kind      audit.Kind `json:"kind"`
	Account   *uuid.UUID `json:"account"`
	Session   *uuid.UUID `json:"session"`
	Dialect   string     `json:"dialect"`
	Address   string     `json:"address"`
	RequestID string     `json:"request_id"`
	Actor     string     `json:"actor"`
	Token     string     `json:"token"`
	Detail    string     `json:"detail"`
	Hash      audit.Hash `json:"hash"`
}

func ofEvent(e audit.Event) eventJSON {
	return eventJSON{e.Seq, e.ID, audit.Stamp(e.At), e.Kind, some(e.Account), some(e.Session),
		e.Dialect, e.Address, e.RequestID, e.Actor, e.Token, e.Detail, e.Hash}
}

func some(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

// followEvery is how often a list that goes on looks for more.
const followEvery = 500 * time.Millisecond

func (c *auditList) Run(a *app) error {
	f, err := c.filter()
	if err != nil {
		return err
	}
	return a.inRealm(func(d *desk) error {
		if f.Account, err = d.accountID(a, string(c.Account)); err != nil {
			return err
		}
		l := a.list(c.listFlags, "SEQ", "AT", "KIND", "ACCOUNT", "DIALECT", "ADDRESS", "ACTOR", "TOKEN", "DETAIL")
		for {
			n, err := c.events(a, d, &f, l)
			if err := cmp.Or(err, l.end()); err != nil || !c.Follow || c.Limit > 0 && n == f.Limit {
				return err
			}
			if c.Limit > 0 {
				f.Limit -= n
			}
			if err := a.out.Flush(); err != nil {
				return err
			}
			time.Sleep(followEvery)
		}
	})
}

// filter is what the flags select, but for the account.
func (c *auditList) filter() (f auth.AuditFilter, err error) {
	f = auth.AuditFilter{After: c.After, Limit: c.Limit, Since: c.Since.Time, Until: c.Until.Time}
	switch {
	case c.Limit < 0 || c.After < 0 || c.Last < 0:
		return f, misusef("--limit, --last and --after: must not be negative")
	case c.Limit > 0 && c.Last > 0:
		return f, misusef("--limit and --last can't be used together: the oldest or the newest")
	case c.Follow && !f.Until.IsZero():
		return f, misusef("--follow has no end: give it or --until, not both")
	case c.Actor != nil && *c.Actor == "":
		return f, misusef("--actor: must not be empty")
	case c.Actor != nil:
		f.Actor = *c.Actor
	}
	for _, name := range c.Kind {
		kind := audit.Kind(name)
		if !slices.Contains(audit.Kinds, kind) {
			return f, misusef("--kind: there is no kind %q: %s", name, strings.Trim(fmt.Sprint(audit.Kinds), "[]"))
		}
		f.Kinds = append(f.Kinds, kind)
	}
	if c.Address != nil {
		address, err := netip.ParseAddr(*c.Address)
		if err != nil {
			return f, misusef("--address: %q is no IP address", *c.Address)
		}
		f.Address = address.Unmap().String()
	}
	if c.Session != nil {
		if f.Session, err = uuid.Parse(*c.Session); err != nil || f.Session == uuid.Nil {
			return f, misusef("--session: %q is no session's id", *c.Session)
		}
	}
	return f, nil
}

// events prints what is there by now, counts it, and sets f to what comes after it. Who
// follows a log is told if it no longer goes as far as he has come.
func (c *auditList) events(a *app, d *desk, f *auth.AuditFilter, l *list) (n int, err error) {
	head, err := d.AuditHead(a, d.realm.ID)
	if err == nil && c.Follow && head.Seq < f.After {
		err = fmt.Errorf("the audit log of realm %s has gone back, from entry %d to %d: run ostiary audit verify", d.realm.Name, f.After, head.Seq)
	}
	if err != nil || head.Seq <= f.After {
		return 0, err
	}
	f.Last = head.Seq
	row := func(e audit.Event) error {
		n++
		return l.row(ofEvent(e), e.Seq, e.At, e.Kind, e.Account, e.Dialect, e.Address, e.Actor, e.Token, e.Detail)
	}
	if c.Last > 0 {
		err = d.newest(a, *f, c.Last, row)
		c.Last = 0 // then all that comes
	} else {
		err = d.EachEvent(a, d.realm.ID, *f, row)
	}
	f.After, f.Since = head.Seq, time.Time{} // what is new is later
	return n, err
}

// newest calls fn with the newest events of a filter, the oldest of them first. The store lists from
// the oldest on: where the filter takes any, those before are not read.
func (d *desk) newest(a *app, f auth.AuditFilter, most int, fn func(audit.Event) error) error {
	if f.Account == uuid.Nil && f.Session == uuid.Nil && len(f.Kinds) == 0 && f.Actor == "" && f.Address == "" && f.Until.IsZero() {
		f.After = max(f.After, f.Last-int64(most))
	}
	var kept []audit.Event
	err := d.EachEvent(a, d.realm.ID, f, func(e audit.Event) error {
		if len(kept) == most {
			kept = kept[1:]
		}
		kept = append(kept, e)
		return nil
	})
	for _, e := range kept {
		if err == nil {
			err = fn(e)
		}
	}
	return err
}

// accountID finds an account's id; an id need not be that of an account that is still there.
func (d *desk) accountID(a *app, name string) (uuid.UUID, error) {
	if name == "" {
		return uuid.Nil, nil
	}
	acc, err := d.FindAccount(a, d.realm.ID, name)
	if auth.CodeOf(err) == auth.CodeNotFound {
		if id, bad := uuid.Parse(name); bad == nil {
			return id, nil
		}
	}
	return acc.ID, err
}
