package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ostiary/ostiary/internal/parity"
)

type parityCmd struct {
	listFlags
	Since   moment `default:"7d" placeholder:"TIME" help:"Only of the days from then on, in UTC: a time, or how long ago (default 7d)."`
	Dialect string `placeholder:"D" help:"Only of this dialect."`
	Route   string `placeholder:"PATH" help:"Only of this path, such as /v1/auth."`
}

func (parityCmd) Help() string {
	return `Mounts with mode = "shadow" or "split" compare what the legacy server answers with what this one would have. This
shows what differed, without values: docs/shadow.md says what each kind is, and which can break a client. The exit status
is 1 unless it is safe to cut over.

Examples:
    ostiary parity
    ostiary parity --since 1d --dialect senmo --route /v1/auth
    ostiary parity --json`
}

// enoughToTell is how many requests of a route say something of those to come.
const enoughToTell = 100

// parityJSON is one row of the report.
type parityJSON struct {
	Dialect  string      `json:"dialect"`
	Route    string      `json:"route"`
	Kind     parity.Kind `json:"kind"`
	Detail   string      `json:"detail"`
	Requests int64       `json:"requests"`
	Share    float64     `json:"share"` // of those that were compared
	Breaks   bool        `json:"breaks"`
	Last     time.Time   `json:"last"`
}

// parityVerdict is the last line of the report.
type parityVerdict struct {
	Safe     bool   `json:"safe"`
	Compared int64  `json:"compared"`
	Differed int64  `json:"differed"`
	Why      string `json:"why"`
}

// routeOf is one route of one dialect.
type routeOf struct{ dialect, route string }

// parityReport is all that was counted.
type parityReport struct {
	rows     []*parityJSON
	of       map[parityJSON]*parityJSON // by their names
	compared map[routeOf]int64
	differed map[routeOf]int64
}

func (c *parityCmd) Run(a *app) error {
	if err := someDialect(a.set, c.Dialect); err != nil {
		return err
	}
	return a.inRealm(func(d *desk) error {
		r := parityReport{of: map[parityJSON]*parityJSON{}, compared: map[routeOf]int64{}, differed: map[routeOf]int64{}}
		err := d.ParitySince(a, d.realm.ID, parity.Day(c.Since.Time), func(n parity.Count) error {
			if (c.Dialect == "" || c.Dialect == n.Dialect) && (c.Route == "" || c.Route == n.Route) {
				r.add(n)
			}
			return nil
		})
		if err != nil {
			return err
		}
		return r.print(a, c.listFlags)
	})
}

func (r *parityReport) add(n parity.Count) {
	at := routeOf{n.Dialect, n.Route}
	r.compared[at] += 0 // a route of which nothing could be compared was used, too
	switch n.Kind {
	case parity.Same:
		r.compared[at] += n.Requests
	case parity.Different:
		r.compared[at] += n.Requests
		r.differed[at] += n.Requests
	}
	names := parityJSON{Dialect: n.Dialect, Route: n.Route, Kind: n.Kind, Detail: n.Detail, Breaks: n.Kind.Breaks()}
	row := r.of[names]
	if row == nil {
		copied := names
		row = &copied
		r.of[names] = row
		r.rows = append(r.rows, row)
	}
	row.Requests += n.Requests
	if n.LastAt.After(row.Last) {
		row.Last = n.LastAt.UTC()
	}
}

// rank has what was compared come first, then what can break a client, and within that the
// most frequent.
func (row *parityJSON) rank() int {
	switch {
	case row.Kind == parity.Same:
		return 0
	case row.Kind == parity.Different:
		return 1
	case row.Breaks:
		return 2
	case row.Kind == parity.Time:
		return 4
	}
	return 3
}

func (r *parityReport) print(a *app, f listFlags) error {
	slices.SortFunc(r.rows, func(x, y *parityJSON) int {
		return cmp.Or(cmp.Compare(x.Dialect, y.Dialect), cmp.Compare(x.Route, y.Route), cmp.Compare(x.rank(), y.rank()),
			cmp.Compare(y.Requests, x.Requests), cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Detail, y.Detail))
	})
	l := a.list(f, "DIALECT", "ROUTE", "KIND", "DETAIL", "REQUESTS", "SHARE", "LAST")
	for _, row := range r.rows {
		share := "-"
		if compared := r.compared[routeOf{row.Dialect, row.Route}]; compared > 0 && row.Kind != parity.Refused && row.Kind != parity.Unavailable {
			row.Share = float64(row.Requests) / float64(compared)
			share = percent(row.Requests, compared)
		}
		kind := string(row.Kind)
		if row.Breaks {
			kind += " !"
		}
		if err := l.row(row, row.Dialect, row.Route, kind, row.Detail, row.Requests, share, row.Last); err != nil {
			return err
		}
	}
	if err := l.end(); err != nil {
		return err
	}
	v := r.verdict()
	if f.JSON {
		if err := l.json.Encode(v); err != nil {
			return err
		}
	}
	if !v.Safe {
		return errors.New(v.Why)
	}
	if f.JSON {
		return nil
	}
	_, err := fmt.Fprintln(a.out, v.Why)
	return err
}

// percent says how much of a whole something is, and never "0%" of what there is.
func percent(n, of int64) string { return fmt.Sprintf("%.3g%%", 100*float64(n)/float64(of)) }

// verdict says whether it is safe to cut over.
func (r *parityReport) verdict() parityVerdict {
	var v parityVerdict
	var few []string
	for at, n := range r.compared {
		v.Compared += n
		v.Differed += r.differed[at]
		if n < enoughToTell {
			few = append(few, fmt.Sprintf("%s %s has %d", at.dialect, at.route, n))
		}
	}
	slices.Sort(few)
	var worst *parityJSON
	for _, row := range r.rows {
		if row.Breaks && (worst == nil || row.Requests > worst.Requests) {
			worst = row
		}
	}
	switch {
	case v.Compared == 0:
		v.Why = `Nothing was compared yet: a mount needs legacy, and mode = "shadow" or "split"; servers store what they count every 10 seconds.`
	case worst != nil:
		v.Why = fmt.Sprintf("Not safe to cut over yet: of %d requests, %d (%s) had a difference that can break a client; first of these: %s %q, %d times at %s %s.",
			v.Compared, v.Differed, percent(v.Differed, v.Compared), worst.Kind, worst.Detail, worst.Requests, worst.Dialect, worst.Route)
	case len(few) > 0:
		v.Why = fmt.Sprintf("Too few requests to tell: it takes %d of each route, and %s.", enoughToTell, few[0])
	default:
		v.Safe = true
		v.Why = fmt.Sprintf("Safe to cut over: %d requests were compared on %d routes, and no client would have noticed who answers.", v.Compared, len(r.compared))
	}
	return v
}
