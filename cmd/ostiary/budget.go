package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

type budgetCmd struct {
	List  budgetList  `cmd:"" help:"List the wrong guesses that count: whose, how many, and who must wait until when."`
	Clear budgetClear `cmd:"" help:"Forget the wrong guesses of a source, or at a name that no account has."`
}

type budgetList struct {
	listFlags
	Kind auth.BudgetKind `enum:",account,known,source,factor" default:"" help:"Only those of one kind: account, known, source or factor."`
	All  bool            `help:"Each name that no account has, too."`
}

func (budgetList) Help() string {
	return `docs/budgets.md says what each kind is. Names that no account has are counted as accounts are, without
being kept: they are one line of the table, and not in the JSON, unless --all lists each.

Examples:
    ostiary budget list
    ostiary budget list --kind source --json`
}

// budgetJSON is wrong guesses that still count.
type budgetJSON struct {
	Kind     auth.BudgetKind `json:"kind"`
	Account  *uuid.UUID      `json:"account,omitempty"`
	Username string          `json:"username,omitempty"`
	Source   string          `json:"source,omitempty"`
	Failures int             `json:"failures"`
	Until    *time.Time      `json:"until"`  // the next guess is allowed then; null: at once
	Locked   bool            `json:"locked"` // only "account unlock" or a new password helps
	Why      string          `json:"why"`
}

func ofBudget(b auth.Budget) budgetJSON {
	j := budgetJSON{Kind: b.Kind, Source: b.Source, Failures: b.Failures, Locked: b.Walled}
	if b.Until.After(time.Now()) && !b.Walled {
		j.Until = when(b.Until)
	}
	j.Why = whoWaits(b) + ": " + j.state()
	return j
}

// whoWaits says in words whose guesses are counted.
func whoWaits(b auth.Budget) string {
	switch b.Kind {
	case auth.BudgetSource:
		return "everybody at the source " + b.Source
	case auth.BudgetKnown:
		return "the known source " + b.Source
	case auth.BudgetFactor:
		return "its second factor"
	}
	return "strangers (sources that never signed it in)"
}

// state says how many guesses count, and until when the next must wait.
func (b budgetJSON) state() string {
	text := auth.WrongGuesses(b.Failures)
	switch {
	case b.Locked:
		return text + ", locked until ostiary account unlock or a new password"
	case b.Until != nil:
		return text + ", next allowed at " + stamp(*b.Until)
	}
	return text + ", may try now"
}

func (c *budgetList) Run(a *app) error {
	return a.inRealm(func(d *desk) error {
		l := a.list(c.listFlags, "KIND", "ACCOUNT", "SOURCE", "STATE")
		names, guesses := 0, 0 // of nobody
		err := d.EachBudget(a, d.realm.ID, func(b auth.Budget) error {
			if c.Kind != "" && b.Kind != c.Kind {
				return nil
			}
			j, name := ofBudget(b), ""
			switch {
			case b.Kind == auth.BudgetSource:
			case b.Account != uuid.Nil:
				acc, err := d.FindAccount(a, d.realm.ID, b.Account.String())
				if auth.CodeOf(err) == auth.CodeNotFound { // deleted meanwhile
					return nil
				}
				if err != nil {
					return err
				}
				j.Account, j.Username, name = &acc.ID, acc.Username, handle(acc)
			case c.All:
				name = "(no such account)"
			default:
				names, guesses = names+1, guesses+b.Failures
				return nil
			}
			return l.row(j, b.Kind, name, b.Source, j.state())
		})
		if err == nil && names > 0 && !c.JSON {
			err = l.row(nil, auth.BudgetAccount, "(no such account)", "", fmt.Sprintf("%s at %d of these names: --all lists each", auth.WrongGuesses(guesses), names))
		}
		return cmp.Or(err, l.end())
	})
}

type budgetClear struct {
	Source string `placeholder:"ADDRESS" help:"An address; that of IPv6 stands for its /64."`
	Name   string `help:"A username or e-mail address that no account has yet, but one of a legacy server."`
}

func (budgetClear) Help() string {
	return `What counts for accounts stays: "ostiary account unlock U" is for that.

Examples:
    ostiary budget clear --source 192.0.2.7
    ostiary budget clear --source 2001:db8:1:2::/64
    ostiary budget clear --name ada@example.com`
}

func (c *budgetClear) Run(a *app) error {
	if (c.Source == "") == (c.Name == "") {
		return misusef("give either --source or --name")
	}
	if c.Name != "" {
		return a.inRealm(func(d *desk) error { return d.ClearName(a, d.realm.ID, c.Name, d.by) })
	}
	address, err := netip.ParseAddr(c.Source)
	if network, bad := netip.ParsePrefix(c.Source); bad == nil && network.Bits() == 64 && network.Addr().Is6() {
		address, err = network.Addr(), nil // as the list shows it
	}
	if err != nil {
		return misusef("--source: %q is no address", c.Source)
	}
	return a.inRealm(func(d *desk) error { return d.ClearSource(a, d.realm.ID, address, d.by) })
}
