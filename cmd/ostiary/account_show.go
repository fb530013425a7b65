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

type accountList struct {
	listFlags
	Prefix *string `placeholder:"TEXT" help:"Only those whose username or e-mail address begins with it, in any case, in the order of these names."`
}

func (accountList) Help() string {
	return `Examples:
    ostiary account list
    ostiary account list --prefix ada
    ostiary account list --json | jq -r .email`
}

func (c *accountList) Run(a *app) error {
	return a.inRealm(func(d *desk) error {
		l := a.list(c.listFlags, "USERNAME", "EMAIL", "NUMBER", "KIND", "STATE", "ORG", "ID")
		err := c.each(a, d, func(acc auth.Account) error {
			var object accountJSON
			if c.JSON {
				var err error
				if object, err = d.account(a, acc); err != nil {
					return err
				}
			}
			return l.row(object, acc.Username, acc.Email, acc.Number, acc.Kind, stateOf(acc), acc.Org, acc.ID)
		})
		return cmp.Or(err, l.end())
	})
}

// each calls fn with every account that is to be listed.
func (c *accountList) each(a *app, d *desk, fn func(auth.Account) error) error {
	if c.Prefix == nil {
		return d.eachAccount(a, d.realm.ID, fn)
	}
	return d.EachByPrefix(a, d.realm.ID, *c.Prefix, fn)
}

func stateOf(acc auth.Account) string {
	state := "enabled"
	if acc.Disabled {
		state = "disabled"
	}
	if acc.Apart != "" {
		state += ", apart: " + string(acc.Apart)
	}
	return state
}

// eachAccount calls fn with every account of a realm.
func (d *desk) eachAccount(a *app, realm uuid.UUID, fn func(auth.Account) error) error {
	after := uuid.Nil
	for {
		accounts, err := d.ListAccounts(a, realm, after, page)
		if err != nil || len(accounts) == 0 {
			return err
		}
		for _, acc := range accounts {
			if err := fn(acc); err != nil {
				return err
			}
			after = acc.ID
		}
	}
}

type accountShow struct {
	accountArg
	listFlags
}

func (accountShow) Help() string {
	return `Examples:
    ostiary account show ada
    ostiary account show ada --json`
}

// accountDetail is all that "account show" knows.
type accountDetail struct {
	accountJSON
	Names         []string     `json:"names"`                   // beside the username and the address, such as those of a merge
	Factor        string       `json:"mfa"`                     // none, enrolled, confirmed, or elsewhere
	Elsewhere     auth.Dialect `json:"mfa_elsewhere,omitempty"` // whose legacy server has asked for it until now
	RecoveryCodes int          `json:"recovery_codes"`
	Password      bool         `json:"password"` // one that is good in every dialect
	Passwords     []sourceJSON `json:"passwords"`
	Sessions      int          `json:"sessions"`
	Budgets       []budgetJSON `json:"budgets"`
}

// sourceJSON is a password that the account brought from another server.
type sourceJSON struct {
	Source   auth.Dialect `json:"source"`
	Pending  bool         `json:"pending"` // that server knows it, and is asked
	Joined   bool         `json:"joined"`  // good in the other dialects, too
	ProvenAt *time.Time   `json:"proven_at"`
}

func (p sourceJSON) String() string {
	words := string(p.Source)
	if p.Joined {
		words += ", joined"
	}
	switch {
	case p.Pending:
		return words + ", pending: its legacy server is asked"
	case p.ProvenAt == nil:
		return words + ", not used yet"
	}
	return words + ", since " + stamp(*p.ProvenAt)
}

func (c *accountShow) Run(a *app) error {
	return a.onAccount(c.U, func(d *desk, acc auth.Account) error {
		detail, err := d.detail(a, acc)
		if err != nil {
			return err
		}
		if c.JSON {
			return a.encoder().Encode(detail)
		}
		return detail.print(a)
	})
}

func (d *desk) detail(a *app, acc auth.Account) (detail accountDetail, err error) {
	if detail.accountJSON, err = d.account(a, acc); err != nil {
		return detail, err
	}
	if detail.Names, err = d.OtherNames(a, acc); err != nil {
		return detail, err
	}
	state, err := d.Factor(a, d.realm.ID, acc.ID)
	if err != nil {
		return detail, err
	}
	detail.Factor = factorWord(state)
	rec, err := d.store.AccountByID(a, d.realm.ID, acc.ID, "")
	if err != nil {
		return detail, err
	}
	if state != auth.FactorConfirmed {
		detail.Elsewhere = rec.Elsewhere
	}
	detail.Password, detail.Passwords = rec.PasswordHash != "", []sourceJSON{}
	for _, p := range rec.Passwords {
		detail.Passwords = append(detail.Passwords, sourceJSON{p.Source, p.Hash == "", p.Joined, when(p.ProvenAt)})
	}
	if detail.RecoveryCodes, err = d.store.RecoveryCodes(a, acc.ID); err != nil {
		return detail, err
	}
	err = d.eachSession(a, acc.ID, func(auth.Session) error { detail.Sessions++; return nil })
	if err != nil {
		return detail, err
	}
	budgets, err := d.BudgetOf(a, d.realm.ID, acc.ID)
	detail.Budgets = []budgetJSON{}
	for _, b := range budgets {
		detail.Budgets = append(detail.Budgets, ofBudget(b))
	}
	return detail, err
}

func factorWord(s auth.FactorState) string {
	switch s {
	case auth.FactorEnrolled:
		return "enrolled"
	case auth.FactorConfirmed:
		return "confirmed"
	case auth.FactorElsewhere:
		return "elsewhere"
	}
	return "none"
}

func (d accountDetail) print(a *app) error {
	l := a.list(listFlags{}, "ID\t"+d.ID.String())
	state := "enabled"
	if d.Disabled {
		state = "disabled"
	}
	email := d.Email
	if d.EmailVerified {
		email += " (verified)"
	}
	factor := d.Factor
	if d.Factor == "confirmed" {
		factor += fmt.Sprintf(", %d recovery codes left", d.RecoveryCodes)
	}
	if d.Elsewhere != "" {
		factor += fmt.Sprintf(" (%s's legacy server has it, until one is confirmed here)", d.Elsewhere)
	}
	var aliases []string
	for _, name := range slices.Sorted(maps.Keys(d.Aliases)) {
		aliases = append(aliases, fmt.Sprintf("%s=%s", name, d.Aliases[name]))
	}
	rows := [][]any{
		{"USERNAME", d.Username}, {"EMAIL", email}, {"DISPLAY NAME", d.DisplayName}, {"ORG", d.Org},
		{"NUMBER", d.Number}, {"KIND", d.Kind}, {"REALM", d.Realm}, {"STATE", state},
		{"ALIASES", strings.Join(aliases, ", ")}, {"ROLES", strings.Join(d.Roles, ", ")},
		{"DATASOURCES", strings.Join(d.Datasources, ", ")}, {"SECOND FACTOR", factor}, {"SESSIONS", d.Sessions},
		{"CREATED", fmt.Sprintf("%s by %s", stamp(d.CreatedAt), d.Origin)}, {"UPDATED", d.UpdatedAt},
	}
	if d.Apart != "" {
		rows = append(rows, []any{"APART", fmt.Sprintf("its names are good in %s alone", d.Apart)})
	}
	if len(d.Names) > 0 {
		rows = append(rows, []any{"ALSO CALLED", strings.Join(d.Names, ", ")})
	}
	if d.Kind == auth.KindPerson && !d.Password && len(d.Passwords) == 0 {
		rows = append(rows, []any{"PASSWORD", "none"})
	}
	for _, p := range d.Passwords {
		rows = append(rows, []any{"PASSWORD OF", p})
	}
	for _, b := range d.Budgets {
		rows = append(rows, []any{"WAITS", b.Why})
	}
	for _, r := range rows {
		if err := l.row(nil, r...); err != nil {
			return err
		}
	}
	return l.end()
}
