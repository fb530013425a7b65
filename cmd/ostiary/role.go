package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

type roleCmd struct {
	Create roleCreate `cmd:"" help:"Make a role."`
	Delete roleDelete `cmd:"" help:"Delete a role, and take it from all accounts."`
	List   roleList   `cmd:"" help:"List the roles: who has them, and what they open."`
	Add    roleAdd    `cmd:"" help:"Give an account a role."`
	Remove roleRemove `cmd:"" help:"Take a role from an account."`
	Grant  roleGrant  `cmd:"" help:"Open a datasource to the accounts that have a role."`
	Revoke roleRevoke `cmd:"" help:"Close it to them again."`
}

func (roleCmd) Help() string {
	return `An account may use the datasources that are granted to its roles. Resource servers learn both with each verification;
changes show there within 5 seconds, without a new login.

Two roles are the server's own, and every realm has them. They are for service accounts of resource servers:
    ostiary:introspect    may ask at /ostiary/introspect who any token of the realm speaks for
    ostiary:revoke        may end the session of any token of the realm at /ostiary/revoke

Examples:
    ostiary role create analyst
    ostiary role grant analyst --datasource sales
    ostiary role add analyst --account ada
    ostiary role add ostiary:introspect --account gateway`
}

// roleArg is the role that a command is about.
type roleArg struct {
	R string `arg:"" name:"R" help:"The role's name: letters, digits, dot, underscore, colon and hyphen; at most 64."`
}

type roleCreate struct{ roleArg }

func (roleCreate) Help() string {
	return `Names that begin with "ostiary:" are the server's own.

Example:
    ostiary role create analyst`
}

func (c *roleCreate) Run(a *app) error {
	return a.inRealm(func(d *desk) error { return d.CreateRole(a, d.realm.ID, c.R, d.by) })
}

type roleDelete struct{ roleArg }

func (roleDelete) Help() string {
	return `The roles ostiary:introspect and ostiary:revoke stay.

Example:
    ostiary role delete analyst`
}

func (c *roleDelete) Run(a *app) error {
	return a.inRealm(func(d *desk) error { return d.DeleteRole(a, d.realm.ID, c.R, d.by) })
}

type roleList struct{ listFlags }

func (roleList) Help() string {
	return `As JSON it names the accounts; the table counts them.

Examples:
    ostiary role list
    ostiary role list --json`
}

type roleJSON struct {
	Name        string    `json:"name"`
	Accounts    []string  `json:"accounts"` // as handle has it
	Datasources []string  `json:"datasources"`
	CreatedAt   time.Time `json:"created_at"`
}

func (c *roleList) Run(a *app) error {
	return a.inRealm(func(d *desk) error {
		l := a.list(c.listFlags, "NAME", "ACCOUNTS", "DATASOURCES", "CREATED")
		err := d.eachRole(a, func(r auth.Role) error {
			object := roleJSON{r.Name, []string{}, array(r.Datasources), r.CreatedAt}
			if c.JSON {
				err := d.eachWith(a, r.Name, func(acc auth.Account) { object.Accounts = append(object.Accounts, handle(acc)) })
				if err != nil {
					return err
				}
			}
			return l.row(object, r.Name, r.Accounts, strings.Join(r.Datasources, ", "), r.CreatedAt)
		})
		return cmp.Or(err, l.end())
	})
}

// eachRole calls fn with every role of the realm.
func (d *desk) eachRole(a *app, fn func(auth.Role) error) error {
	after := ""
	for {
		roles, err := d.ListRoles(a, d.realm.ID, after, page)
		if err != nil || len(roles) == 0 {
			return err
		}
		for _, r := range roles {
			if err := fn(r); err != nil {
				return err
			}
			after = r.Name
		}
	}
}

// eachWith calls fn with every account that has a role.
func (d *desk) eachWith(a *app, role string, fn func(auth.Account)) error {
	after := uuid.Nil
	for {
		accounts, err := d.RoleAccounts(a, d.realm.ID, role, after, page)
		if err != nil || len(accounts) == 0 {
			return err
		}
		for _, acc := range accounts {
			fn(acc)
			after = acc.ID
		}
	}
}

// handle is what a person would call an account: its username, its e-mail address or its id.
func handle(acc auth.Account) string { return cmp.Or(acc.Username, acc.Email, acc.ID.String()) }

// array is a list as JSON has it: [] where there is nothing.
func array(list []string) []string { return append([]string{}, list...) }

type roleAdd struct {
	roleArg
	ofAccount
}

type ofAccount struct {
	Account accountName `required:"" placeholder:"U" help:"The account: a username, an e-mail address or an id."`
}

func (roleAdd) Help() string {
	return `To give it again changes nothing. The role ostiary:introspect lets a service account ask at /ostiary/introspect who any
token of the realm speaks for, and ostiary:revoke end its session at /ostiary/revoke.

Examples:
    ostiary role add analyst --account ada
    ostiary role add ostiary:introspect --account gateway`
}

func (c *roleAdd) Run(a *app) error {
	return a.onAccount(string(c.Account), func(d *desk, acc auth.Account) error {
		if err := d.AddRole(a, d.realm.ID, acc.ID, c.R, d.by); err != nil {
			return d.unknown(a, err, []string{c.R}, "")
		}
		a.noteServicesOnly(acc, []string{c.R})
		return nil
	})
}

// noteServicesOnly says that a role of the server's own gives nothing to a person.
func (a *app) noteServicesOnly(acc auth.Account, roles []string) {
	for _, name := range roles {
		if acc.Kind == auth.KindPerson && slices.Contains(auth.BuiltInRoles, name) {
			fmt.Fprintf(a.err, "ostiary: note: only service accounts can use the role %s, and %s is a person\n", name, printable(handle(acc)))
		}
	}
}

type roleRemove struct {
	roleArg
	ofAccount
}

func (roleRemove) Help() string {
	return `To take what the account does not have changes nothing.

Example:
    ostiary role remove analyst --account ada`
}

func (c *roleRemove) Run(a *app) error {
	return a.onAccount(string(c.Account), func(d *desk, acc auth.Account) error {
		return d.RemoveRole(a, d.realm.ID, acc.ID, c.R, d.by)
	})
}

type roleGrant struct {
	roleArg
	ofDatasource
}

type ofDatasource struct {
	Datasource string `required:"" placeholder:"D" help:"The datasource."`
}

func (roleGrant) Help() string {
	return `To grant it again changes nothing.

Example:
    ostiary role grant analyst --datasource sales`
}

func (c *roleGrant) Run(a *app) error {
	return a.inRealm(func(d *desk) error {
		err := d.GrantDatasource(a, d.realm.ID, c.R, c.Datasource, d.by)
		return d.unknown(a, err, []string{c.R}, c.Datasource)
	})
}

type roleRevoke struct {
	roleArg
	ofDatasource
}

func (roleRevoke) Help() string {
	return `To revoke what is not granted changes nothing.

Example:
    ostiary role revoke analyst --datasource sales`
}

func (c *roleRevoke) Run(a *app) error {
	return a.inRealm(func(d *desk) error {
		return d.RevokeDatasource(a, d.realm.ID, c.R, c.Datasource, d.by)
	})
}

// unknown adds to a refusal for want of a role or a datasource which command makes it.
func (d *desk) unknown(a *app, err error, roles []string, datasource string) error {
	if auth.CodeOf(err) != auth.CodeNotFound {
		return err
	}
	for _, name := range roles {
		there, bad := d.store.HasRole(a, d.realm.ID, name)
		if bad == nil && !there && !strings.HasPrefix(strings.ToLower(name), "ostiary:") {
			return d.makeFirst(err, "role", name)
		}
	}
	if there, bad := d.store.HasDatasource(a, d.realm.ID, datasource); bad == nil && !there {
		return d.makeFirst(err, "datasource", datasource)
	}
	return err
}

func (d *desk) makeFirst(err error, what, name string) error {
	if !auth.AccessName.MatchString(name) {
		return err // no command can
	}
	return fmt.Errorf("%s: make it with: ostiary %s create %s --realm %s", explain(err), what, name, d.realm.Name)
}
