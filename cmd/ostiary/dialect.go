package main

import (
	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/dialect/declared"
)

type dialectCmd struct {
	Check dialectCheck `cmd:"" help:"Check a file that declares a dialect, and show what it declares."`
}

type dialectCheck struct {
	listFlags
	File string `arg:"" help:"The definition (TOML)."`
}

func (dialectCheck) Help() string {
	return `Prints a line for each route: what it runs, where it finds what that needs, and the status of its answer; and one for
each error. What is wrong with the file is one line with its place, and exit status 1. docs/dialects/declared.md is the
reference of these files.

Example:
    ostiary dialect check acme.toml`
}

func (c *dialectCheck) Run(a *app) error {
	d, err := declared.Load(c.File, dialectNames(dialects())...)
	if err != nil {
		return err
	}
	l := a.list(c.listFlags, "STATUS", "WHAT", "FLOW", "FROM")
	for _, r := range d.Routes() {
		if err := l.row(r, r.Status, r.Method+" "+r.Path, r.Flow, r.From); err != nil {
			return err
		}
	}
	for _, code := range auth.Codes() {
		e := struct {
			Error  auth.Code `json:"error"`
			Status int       `json:"status"`
		}{code, d.Status(code)}
		if err := l.row(e, e.Status, string(e.Error), "-", "-"); err != nil {
			return err
		}
	}
	return l.end()
}

// checkDefinitions sees that the files that declare dialects are right. What is wrong with
// one is a finding of the mounts.
func (d *doctor) checkDefinitions() {
	for _, path := range d.set.Definitions() {
		if one, err := declared.Load(path, dialectNames(dialects())...); err == nil {
			d.find(fine, "dialect "+string(one.Name), "", "%s declares %d routes", path, len(one.Routes()))
		}
	}
}
