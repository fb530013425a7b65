package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

type usageCmd struct {
	listFlags
	Since   moment       `default:"30d" help:"From the day of this time on: 2026-03-01, or how long ago, such as 30d."`
	Dialect auth.Dialect `placeholder:"D" help:"Only this dialect's."`
	By      string       `enum:"dialect,client,address,day" default:"dialect" help:"What a line is for: dialect, client, address or day."`
}

func (usageCmd) Help() string {
	return `One line for each dialect, and what --by says: how many requests were served (a login, a renewal), how many were refused (a wrong password,
a token that is over), how many failed (not understood, or answered 503), and when the last came. Then how far the accounts are in a takeover. A running
server stores its counts every 10 seconds. Clients are as their User-Agent says, addresses of IPv6 are /64. Days are UTC.

Examples:
    ostiary usage
    ostiary usage --dialect nomic --by client --since 7d
    ostiary usage --dialect nomic --by address --json`
}

// usageLine is a line of usage.
type usageLine struct {
	dialect    auth.Dialect
	by         string
	words      map[string]int64
	served     int64
	refused    int64
	failed     int64
	lastServed time.Time
	last       time.Time
	clients    map[string]bool
	sources    map[string]bool
}

func (c *usageCmd) Run(a *app) error {
	if err := someDialect(a.set, string(c.Dialect)); err != nil {
		return err
	}
	return a.inRealm(func(d *desk) error {
		lines, err := c.read(a, d)
		if err != nil {
			return err
		}
		if err := c.print(a, lines); err != nil {
			return err
		}
		if err := a.out.Flush(); err != nil { // the accounts may take a while
			return err
		}
		t, err := d.TakeoverOf(a, d.realm.ID, 0)
		if err != nil {
			return err
		}
		return c.printAccounts(a, d.realm.Name, t)
	})
}

func (c *usageCmd) read(a *app, d *desk) (lines []*usageLine, err error) {
	by := map[[2]string]*usageLine{}
	err = d.UsageSince(a, d.realm.ID, auth.DayOf(c.Since.Time), func(u auth.Usage) error {
		if c.Dialect != "" && u.Dialect != c.Dialect {
			return nil
		}
		key := [2]string{string(u.Dialect), c.of(u)}
		if by[key] == nil {
			by[key] = &usageLine{dialect: u.Dialect, by: key[1], words: map[string]int64{}, clients: map[string]bool{}, sources: map[string]bool{}}
		}
		by[key].add(u)
		return nil
	})
	lines = slices.SortedFunc(maps.Values(by), func(x, y *usageLine) int {
		if c.By == "day" {
			return cmp.Or(strings.Compare(x.by, y.by), cmp.Compare(x.dialect, y.dialect))
		}
		return cmp.Or(cmp.Compare(x.dialect, y.dialect), cmp.Compare(y.served, x.served), strings.Compare(x.by, y.by))
	})
	return lines, err
}

// of is what the count's line is for, beside the dialect.
func (c *usageCmd) of(u auth.Usage) string {
	switch c.By {
	case "client":
		return u.Client
	case "address":
		return u.Source
	case "day":
		return auth.DayTime(u.Day).Format(time.DateOnly)
	}
	return ""
}

func (l *usageLine) add(u auth.Usage) {
	l.words[u.What] += u.Requests
	switch u.What {
	case auth.UsedRefused.String():
		l.refused += u.Requests
	case auth.UsedFailed.String(), auth.UsedBrownout.String():
		l.failed += u.Requests
	default:
		l.served += u.Requests
		if u.Last.After(l.lastServed) {
			l.lastServed = u.Last
		}
	}
	if u.Last.After(l.last) {
		l.last = u.Last
	}
	l.clients[u.Client], l.sources[u.Source] = true, true
}

type usageJSON struct {
	Dialect    auth.Dialect     `json:"dialect"`
	Client     *string          `json:"client,omitempty"`
	Address    *string          `json:"address,omitempty"`
	Day        *string          `json:"day,omitempty"`
	Served     int64            `json:"served"`
	Refused    int64            `json:"refused"`
	Failed     int64            `json:"failed"`
	Requests   map[string]int64 `json:"requests"`
	Clients    int              `json:"clients"`
	Addresses  int              `json:"addresses"`
	LastServed *time.Time       `json:"last_served"`
	Last       *time.Time       `json:"last"`
}

func (c *usageCmd) print(a *app, lines []*usageLine) error {
	header := []string{"DIALECT", strings.ToUpper(c.By), "SERVED", "REFUSED", "FAILED", "CLIENTS", "ADDRESSES", "LAST SERVED", "LAST SEEN"}
	if c.By == "dialect" {
		header = slices.Delete(header, 1, 2)
	}
	l := a.list(c.listFlags, header...)
	for _, u := range lines {
		object := usageJSON{
			Dialect: u.dialect, Served: u.served, Refused: u.refused, Failed: u.failed, Requests: u.words,
			Clients: len(u.clients), Addresses: len(u.sources), LastServed: when(u.lastServed), Last: when(u.last),
		}
		cells := []any{u.dialect, u.by, u.served, u.refused, u.failed, len(u.clients), len(u.sources), u.lastServed, u.last}
		switch c.By {
		case "client":
			object.Client = &u.by
		case "address":
			object.Address = &u.by
		case "day":
			object.Day = &u.by
		default:
			cells = slices.Delete(cells, 1, 2)
		}
		if err := l.row(object, cells...); err != nil {
			return err
		}
	}
	return l.end()
}

func (c *usageCmd) printAccounts(a *app, realm string, t auth.Takeover) error {
	if c.JSON {
		return a.encoder().Encode(struct {
			Realm    string        `json:"realm"`
			Accounts auth.Takeover `json:"accounts"`
		}{realm, t})
	}
	_, err := fmt.Fprintln(a.out)
	l := a.list(c.listFlags, "ACCOUNTS", "NUMBER")
	row := func(name string, n int) {
		err = cmp.Or(err, l.row(nil, name, n))
	}
	row("all", t.Accounts)
	row("have signed in here", t.SignedIn)
	row("never have", t.Never)
	row("imported", t.Imported)
	row("adopted at a login", t.Adopted)
	for _, d := range slices.Sorted(maps.Keys(t.Pending)) {
		row("password still at "+string(d)+" alone", t.Pending[d])
	}
	row("password in another system's hash", t.Foreign)
	row("second factor elsewhere", t.Elsewhere)
	row("disabled", t.Disabled)
	return cmp.Or(err, l.end())
}
