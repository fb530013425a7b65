package main

import (
	"fmt"
	"slices"

	"github.com/ostiary/ostiary/internal/auth"
)

type accountCreate struct {
	Username      string   `help:"The name to sign in with. One with @ must be the e-mail address."`
	Email         string   `help:"The e-mail address, which signs in as well."`
	EmailVerified bool     `help:"The address is known to be the account's own."`
	DisplayName   string   `placeholder:"NAME" help:"The name to show."`
	Org           string   `help:"The organization."`
	Kind          string   `enum:"person,service" default:"person" help:"person or service."`
	Number        *int64   `placeholder:"N" help:"The account's integer. Default: the next of the realm's counter."`
	Role          []string `sep:"none" placeholder:"R" help:"A role of the account. May be given again."`

	PasswordStdin bool   `xor:"password" help:"Read the password from standard input; one newline at its end is not part of it."`
	PasswordHash  string `xor:"password" placeholder:"HASH" help:"Take a password hash as another system has it: argon2, bcrypt, scrypt, PBKDF2, crypt, Django, Werkzeug, phpass, LDAP."`
	NoPassword    bool   `xor:"password" help:"The account can't sign in until it has a password."`
}

func (accountCreate) Help() string {
	return `Prints the account as one JSON object. A service gets a generated secret, shown this once.

Examples:
    ostiary account create --username ada --email ada@example.com --password-stdin < password.txt
    ostiary account create --username backup-robot --kind service --org acme
    ostiary account create --username gateway --kind service --role ostiary:introspect`
}

func (c *accountCreate) Run(a *app) error {
	n, err := c.account(a)
	if err != nil {
		return err
	}
	return a.inRealm(func(d *desk) error {
		acc, secret, err := d.CreateAccount(a, d.realm.ID, n, d.by)
		if err != nil {
			return d.unknown(a, err, n.Roles, "")
		}
		a.noteServicesOnly(acc, n.Roles)
		do := "see it with: ostiary account show "
		if acc.Kind == auth.KindService {
			do = "give it another secret with: ostiary account rotate-secret "
		}
		return a.shownOnce(d.print(a, acc, secret), "account "+acc.ID.String()+" was made, and could not be shown", do+acc.ID.String()+auth.RealmFlag(d.realm.Name))
	})
}

func (c *accountCreate) account(a *app) (auth.NewAccount, error) {
	n := auth.NewAccount{
		Username: c.Username, Email: c.Email, EmailVerified: c.EmailVerified, DisplayName: c.DisplayName, Org: c.Org,
		Kind: auth.Kind(c.Kind), Origin: "cli", PasswordHash: c.PasswordHash, NoPassword: c.NoPassword,
		Roles: c.Role,
	}
	if c.Number != nil {
		if n.Number = *c.Number; n.Number < 1 {
			return n, misusef("--number: must be positive")
		}
	}
	given := c.PasswordStdin || c.PasswordHash != "" || c.NoPassword
	switch {
	case c.EmailVerified && c.Email == "":
		return n, misusef("--email-verified: needs --email")
	case c.Username == "" && c.Email == "":
		return n, misusef("give --username or --email, or both")
	case n.Kind == auth.KindService && given:
		return n, misusef("a service gets a generated secret: leave the password out")
	case n.Kind == auth.KindPerson && !given:
		return n, misusef("give one of --password-stdin, --password-hash and --no-password")
	case !c.PasswordStdin:
		return n, nil
	}
	var err error
	n.Password, err = a.readPassword()
	return n, err
}

type accountUpdate struct {
	accountArg
	Username      *string  `help:"The name to sign in with; empty: none."`
	Email         *string  `help:"The e-mail address; empty: none. A new one is not verified."`
	EmailVerified *bool    `negatable:"" help:"Whether the address is known to be the account's own."`
	DisplayName   *string  `placeholder:"NAME" help:"The name to show."`
	Org           *string  `help:"The organization."`
	Number        *int64   `placeholder:"N" help:"The account's integer."`
	Pending       []string `sep:"none" placeholder:"DIALECT" help:"Have the legacy server of this dialect asked at the next login there, whatever the password is here."`
	NoPending     []string `sep:"none" placeholder:"DIALECT" help:"Have it asked no more: the account's own password is good there again, if it has one."`
}

func (accountUpdate) Help() string {
	return `Prints the account as one JSON object. What is not given stays as it is.

Examples:
    ostiary account update ada --email ada@example.org --email-verified
    ostiary account update ada --display-name "Ada Lovelace" --org acme
    ostiary account update ada --pending nomic`
}

func (c *accountUpdate) Run(a *app) error {
	change := auth.AccountChange{
		Username: c.Username, Email: c.Email, DisplayName: c.DisplayName, Org: c.Org,
		EmailVerified: c.EmailVerified, Number: c.Number,
	}
	named := change != auth.AccountChange{}
	pending, err := c.pending(a)
	switch {
	case err != nil:
		return err
	case !named && len(pending) == 0:
		return misusef("say what to change")
	case c.Number != nil && *c.Number < 1:
		return misusef("--number: must be positive")
	}
	verified := c.EmailVerified != nil && *c.EmailVerified
	if verified && c.Email != nil && *c.Email == "" {
		return misusef("--email-verified: there is no address without --email")
	}
	return a.onAccount(c.U, func(d *desk, acc auth.Account) error {
		if verified && c.Email == nil && acc.Email == "" {
			return fmt.Errorf("--email-verified: the account has no e-mail address")
		}
		if acc, err = d.UpdateAccount(a, d.realm.ID, acc.ID, change, d.by, pending...); err != nil {
			return err
		}
		return d.print(a, acc, "")
	})
}

// pending says of which dialects the legacy servers are to be asked, or not any more.
func (c *accountUpdate) pending(a *app) (list []auth.PendingChange, err error) {
	for i, text := range append(c.Pending, c.NoPending...) {
		d, err := knownDialect(a.set, "--pending and --no-pending", text)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(list, func(p auth.PendingChange) bool { return p.Dialect == d }) {
			return nil, misusef("--pending and --no-pending: say only one of them of %s, and once", d)
		}
		list = append(list, auth.PendingChange{Dialect: d, Pending: i < len(c.Pending)})
	}
	return list, nil
}
