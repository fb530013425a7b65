package main

import (
	"cmp"
	"encoding/binary"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

type auditCmd struct {
	List auditList `cmd:"" help:"List what happened, the oldest first."`
}

type auditList struct {
	listFlags
	Account accountName   `placeholder:"U" help:"Only what concerns this account, or the id of one that was deleted."`
	Kind    string        `help:"Only events of this kind, such as sign_in_failed."`
	Since   time.Duration `placeholder:"DURATION" help:"Only the last so many hours, such as 24h."`
	After   string        `placeholder:"ID" help:"Only what came after this event."`
	Limit   int           `placeholder:"N" help:"At most so many events."`
}

func (auditList) Help() string {
	return `Examples:
    ostiary audit list --since 1h
    ostiary audit list --account ada --kind sign_in_failed --json`
}

type eventJSON struct {
	ID        uuid.UUID  `json:"id"`
	At        time.Time  `json:"at"`
	Kind      audit.Kind `json:"kind"`
	Account   *uuid.UUID `json:"account"`
	Session   *uuid.UUID `json:"session"`
	Dialect   string     `json:"dialect"`
	Address   string     `json:"address"`
	RequestID string     `json:"request_id"`
	Actor     string     `json:"actor"`
	Detail    string     `json:"detail"`
}

var errEnough = errors.New("enough")

func (c *auditList) Run(a *app) error {
	after := uuid.Nil
	switch {
	case c.Limit < 0 || c.Since < 0:
		return misusef("--limit and --since: must not be negative")
	case c.After != "":
		var err error
		if after, err = uuid.Parse(c.After); err != nil {
			return misusef("--after: %q is no event's id", c.After)
		}
	}
	if c.Since > 0 {
		if from := firstID(time.Now().Add(-c.Since)); string(from[:]) > string(after[:]) {
			after = from
		}
	}
	return a.inRealm(func(d *desk) error {
		account, err := d.accountID(a, string(c.Account))
		if err != nil {
			return err
		}
		l := a.list(c.listFlags, "AT", "KIND", "ACCOUNT", "DIALECT", "ADDRESS", "ACTOR", "DETAIL")
		n := 0
		err = d.eachEvent(a, auth.AuditFilter{After: after, Account: account, Kind: audit.Kind(c.Kind)}, func(e audit.Event) error {
			if n++; c.Limit > 0 && n > c.Limit {
				return errEnough
			}
			return l.row(ofEvent(e), e.At, e.Kind, e.Account, e.Dialect, e.Address, e.Actor, e.Detail)
		})
		if errors.Is(err, errEnough) {
			err = nil
		}
		return cmp.Or(err, l.end())
	})
}

func ofEvent(e audit.Event) eventJSON {
	return eventJSON{e.ID, e.At, e.Kind, some(e.Account), some(e.Session), e.Dialect, e.Address, e.RequestID, e.Actor, e.Detail}
}

func some(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
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

// eachEvent calls fn with every event of the realm that f selects.
func (d *desk) eachEvent(a *app, f auth.AuditFilter, fn func(audit.Event) error) error {
	f.Limit = page
	for {
		events, err := d.ListAudit(a, d.realm.ID, f)
		if err != nil || len(events) == 0 {
			return err
		}
		for _, e := range events {
			if err := fn(e); err != nil {
				return err
			}
			f.After = e.ID
		}
	}
}

// firstID is the smallest UUIDv7 of a time (RFC 9562, section 5.7).
func firstID(t time.Time) (id uuid.UUID) {
	binary.BigEndian.PutUint64(id[:8], uint64(max(0, t.UnixMilli()))<<16|0x7000)
	id[8] = 0x80
	return id
}
