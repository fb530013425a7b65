package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

type accountMerge struct {
	listFlags
	Keep   string      `arg:"" optional:"" name:"KEEP" help:"The account that is kept: a username, an e-mail address or an id."`
	Other  string      `arg:"" optional:"" name:"OTHER" help:"The account that becomes a part of it."`
	Yes    bool        `help:"Do it; without, only say what would happen."`
	Prefer auth.Prefer `enum:"none,keep,other" default:"none" help:"Whose password of a source, and whose subject in a dialect, stays where both have one: keep or other."`
	Undo   string      `placeholder:"ID" help:"Make two accounts of one again: the id of the merge."`
	List   bool        `help:"List the merges."`
}

func (accountMerge) Help() string {
	return `For a person who has two accounts, of several old systems. It says first what both have and what would happen; --yes does it. All passwords
and names of both are good then, and clients know the person as before. docs/merge.md says what becomes of everything.

Examples:
    ostiary account merge ada 019a0b5e-7e3b-7c11-8d7c-0f5b8e7a4c21
    ostiary account merge ada 019a0b5e-7e3b-7c11-8d7c-0f5b8e7a4c21 --yes
    ostiary account merge --list
    ostiary account merge --undo 019a0c11-4f7a-7d02-9b1e-5a2c3d4e5f60 --yes`
}

func (c *accountMerge) Run(a *app) error {
	two := c.Keep != "" && c.Other != ""
	switch {
	case c.List && c.Keep == "" && c.Undo == "":
		return c.list(a)
	case c.Undo != "" && c.Keep == "" && !c.List:
		return c.undo(a)
	case two && !c.List && c.Undo == "":
		return c.merge(a)
	}
	return misusef("give two accounts, or --undo with the id of a merge, or --list")
}

func (c *accountMerge) merge(a *app) error {
	if c.Prefer == "none" {
		c.Prefer = auth.PreferNone
	}
	return a.inRealm(func(d *desk) error {
		keep, err := d.FindAccount(a, d.realm.ID, c.Keep)
		if err != nil {
			return err
		}
		other, err := d.FindAccount(a, d.realm.ID, c.Other)
		if err != nil {
			return err
		}
		p, err := d.PlanMerge(a, d.realm.ID, keep.ID, other.ID, c.Prefer)
		if err != nil {
			return err
		}
		if err := c.report(a, p); err != nil {
			return err
		}
		return c.finish(a, p.Steps, p.Conflicts, func() error {
			id, err := d.Merge(a, d.realm.ID, keep.ID, other.ID, c.Prefer, d.by)
			if err == nil {
				_, err = fmt.Fprintf(a.out, "merged; to undo it: ostiary account merge --undo %s%s\n", id, auth.RealmFlag(d.realm.Name))
			}
			return err
		})
	})
}

// finish says what would happen, and does it if it was told to.
func (c *accountMerge) finish(a *app, steps, conflicts []string, do func() error) error {
	for _, step := range steps {
		fmt.Fprintln(a.out, "-", printable(step))
	}
	for _, conflict := range conflicts {
		fmt.Fprintln(a.out, "! this stops it:", printable(conflict))
	}
	switch {
	case len(conflicts) > 0:
		return fmt.Errorf("nothing was changed: %s", conflicts[0])
	case c.Yes:
		return do()
	}
	_, err := fmt.Fprintln(a.out, "nothing was changed: --yes does it")
	return err
}

// report prints what both accounts have.
func (c *accountMerge) report(a *app, p *auth.MergePlan) error {
	l := a.list(listFlags{}, "", "KEEP", "OTHER")
	for _, row := range []struct {
		name string
		of   func(m *auth.MergeSide) any
	}{
		{"ID", func(m *auth.MergeSide) any { return m.ID }},
		{"USERNAME", func(m *auth.MergeSide) any { return m.Username }},
		{"EMAIL", func(m *auth.MergeSide) any { return m.Email }},
		{"APART", func(m *auth.MergeSide) any { return m.Apart }},
		{"NUMBER", func(m *auth.MergeSide) any { return m.Number }},
		{"ORIGIN", func(m *auth.MergeSide) any { return m.Origin }},
		{"STATE", func(m *auth.MergeSide) any { return stateOf(m.Account) }},
		{"PASSWORDS", passwordsOf},
		{"SECOND FACTOR", func(m *auth.MergeSide) any {
			if m.Elsewhere != "" {
				return "at the legacy server of " + string(m.Elsewhere)
			}
			return factorWord(m.State)
		}},
		{"ALIASES", func(m *auth.MergeSide) any { return pairs(m.Aliases) }},
		{"ROLES", func(m *auth.MergeSide) any { return strings.Join(m.Roles, ", ") }},
		{"SESSIONS", func(m *auth.MergeSide) any { return pairs(m.Sessions) }},
	} {
		if err := l.row(nil, row.name, row.of(&p.Keep), row.of(&p.Other)); err != nil {
			return err
		}
	}
	return l.end()
}

// passwordsOf names the passwords of an account by their sources.
func passwordsOf(m *auth.MergeSide) any {
	var list []string
	if m.PasswordHash != "" {
		list = append(list, "its own")
	}
	for _, p := range m.Passwords {
		name := "of " + string(p.Source)
		switch {
		case p.Hash == "":
			name += " (pending)"
		case p.ProvenAt.IsZero():
			name += " (not used yet)"
		}
		list = append(list, name)
	}
	return strings.Join(list, ", ")
}

func pairs[V any](of map[auth.Dialect]V) string {
	var list []string
	for _, d := range slices.Sorted(maps.Keys(of)) {
		list = append(list, fmt.Sprintf("%s=%v", d, of[d]))
	}
	return strings.Join(list, ", ")
}

func (c *accountMerge) undo(a *app) error {
	id, err := uuid.Parse(c.Undo)
	if err != nil {
		return misusef("--undo: %q is no id of a merge", c.Undo)
	}
	return a.inRealm(func(d *desk) error {
		p, err := d.PlanUndo(a, d.realm.ID, id)
		if err != nil {
			return err
		}
		return c.finish(a, p.Steps, p.Conflicts, func() error {
			err := d.UndoMerge(a, d.realm.ID, id, d.by)
			if err == nil {
				_, err = fmt.Fprintln(a.out, "undone")
			}
			return err
		})
	})
}

type mergeJSON struct {
	ID       uuid.UUID  `json:"id"`
	Kept     uuid.UUID  `json:"kept"`
	Other    uuid.UUID  `json:"other"`
	At       time.Time  `json:"at"`
	UndoneAt *time.Time `json:"undone_at"`
}

func (c *accountMerge) list(a *app) error {
	return a.inRealm(func(d *desk) error {
		merges, err := d.Merges(a, d.realm.ID)
		if err != nil {
			return err
		}
		l := a.list(c.listFlags, "ID", "KEPT", "OTHER", "AT", "UNDONE")
		for _, m := range merges {
			if err := l.row(mergeJSON{m.ID, m.Keep, m.Other, m.At, when(m.UndoneAt)}, m.ID, m.Keep, m.Other, m.At, m.UndoneAt); err != nil {
				return err
			}
		}
		return cmp.Or(err, l.end())
	})
}
