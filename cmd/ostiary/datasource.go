package main

import (
	"cmp"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

type datasourceCmd struct {
	Create datasourceCreate `cmd:"" help:"Make a datasource."`
	Delete datasourceDelete `cmd:"" help:"Delete a datasource, and all grants of it."`
	List   datasourceList   `cmd:"" help:"List the datasources, and the roles that open them."`
}

func (datasourceCmd) Help() string {
	return `An account may use the datasources that are granted to its roles.

Examples:
    ostiary datasource create sales
    ostiary role grant analyst --datasource sales`
}

// datasourceArg is the datasource that a command is about.
type datasourceArg struct {
	D string `arg:"" name:"D" help:"The datasource's name: letters, digits, dot, underscore, colon and hyphen; at most 64."`
}

type datasourceCreate struct{ datasourceArg }

func (datasourceCreate) Help() string {
	return `Example:
    ostiary datasource create sales`
}

func (c *datasourceCreate) Run(a *app) error {
	return a.inRealm(func(d *desk) error { return d.CreateDatasource(a, d.realm.ID, c.D, d.by) })
}

type datasourceDelete struct{ datasourceArg }

func (datasourceDelete) Help() string {
	return `Example:
    ostiary datasource delete sales`
}

func (c *datasourceDelete) Run(a *app) error {
	return a.inRealm(func(d *desk) error { return d.DeleteDatasource(a, d.realm.ID, c.D, d.by) })
}

type datasourceList struct{ listFlags }

func (datasourceList) Help() string {
	return `Examples:
    ostiary datasource list
    ostiary datasource list --json`
}

type datasourceJSON struct {
	Name      string    `json:"name"`
	Roles     []string  `json:"roles"`
	CreatedAt time.Time `json:"created_at"`
}

func (c *datasourceList) Run(a *app) error {
	return a.inRealm(func(d *desk) error {
		l := a.list(c.listFlags, "NAME", "ROLES", "CREATED")
		err := d.eachDatasource(a, func(s auth.Datasource) error {
			object := datasourceJSON{s.Name, array(s.Roles), s.CreatedAt}
			return l.row(object, s.Name, strings.Join(s.Roles, ", "), s.CreatedAt)
		})
		return cmp.Or(err, l.end())
	})
}

// eachDatasource calls fn with every datasource of the realm.
func (d *desk) eachDatasource(a *app, fn func(auth.Datasource) error) error {
	after := ""
	for {
		list, err := d.ListDatasources(a, d.realm.ID, after, page)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, s := range list {
			if err := fn(s); err != nil {
				return err
			}
			after = s.Name
		}
	}
}
