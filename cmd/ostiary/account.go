package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/config"
)

type accountCmd struct {
	Create       accountCreate       `cmd:"" help:"Make an account."`
	Show         accountShow         `cmd:"" help:"Show an account: its names, roles, passwords of other servers, second factor, sessions, and why it must wait."`
	List         accountList         `cmd:"" help:"List the accounts."`
	Update       accountUpdate       `cmd:"" help:"Change an account's names, or which legacy server is asked for its password."`
	Disable      accountDisable      `cmd:"" help:"Keep an account out, and end its sessions."`
	Enable       accountEnable       `cmd:"" help:"Let a disabled account in again."`
	Delete       accountDelete       `cmd:"" help:"Delete an account with its credentials and sessions."`
	Unlock       accountUnlock       `cmd:"" help:"Forget all wrong guesses at an account."`
	SetPassword  accountSetPassword  `cmd:"" help:"Reset a person's password, and end the account's sessions."`
	RotateSecret accountRotateSecret `cmd:"" help:"Give a service a new secret."`
	Import       accountImport       `cmd:"" help:"Make accounts of a file from another system, with their passwords and second factors."`
	Export       accountExport       `cmd:"" help:"Write all accounts as JSON, a line each, for another server."`
	Alias        accountAlias        `cmd:"" help:"Set what an account is called in a dialect's tokens."`
	Merge        accountMerge        `cmd:"" help:"Make one account of two that are of one person; or undo that."`
}

// accountArg is the account that a command is about.
type accountArg struct {
	U string `arg:"" name:"U" help:"A username, an e-mail address or an id."`
}

// accountJSON is an account as commands print it.
type accountJSON struct {
	ID            uuid.UUID               `json:"id"`
	Realm         string                  `json:"realm"`
	Number        int64                   `json:"number"`
	Kind          auth.Kind               `json:"kind"`
	Username      string                  `json:"username"`
	Email         string                  `json:"email"`
	EmailVerified bool                    `json:"email_verified"`
	DisplayName   string                  `json:"display_name"`
	Org           string                  `json:"org"`
	Disabled      bool                    `json:"disabled"`
	Origin        string                  `json:"origin"`
	CreatedAt     time.Time               `json:"created_at"`
	UpdatedAt     time.Time               `json:"updated_at"`
	Aliases       map[auth.Dialect]string `json:"aliases"`
	Roles         []string                `json:"roles"`
	Datasources   []string                `json:"datasources"`      // that the roles open
	Apart         auth.Dialect            `json:"apart,omitempty"`  // its names are good in this dialect alone
	Secret        string                  `json:"secret,omitempty"` // of a service, shown once
}

// account gathers what is printed of an account.
func (d *desk) account(a *app, acc auth.Account) (accountJSON, error) {
	aliases, err := d.Aliases(a, acc.ID)
	if err != nil {
		return accountJSON{}, err
	}
	roles, datasources, err := d.Access(a, acc.RealmID, acc.ID)
	return accountJSON{
		ID: acc.ID, Realm: d.realm.Name, Number: acc.Number, Kind: acc.Kind,
		Username: acc.Username, Email: acc.Email, EmailVerified: acc.EmailVerified,
		DisplayName: acc.DisplayName, Org: acc.Org, Disabled: acc.Disabled, Origin: acc.Origin,
		CreatedAt: stored(acc.CreatedAt), UpdatedAt: stored(acc.UpdatedAt), Aliases: aliases,
		Roles: array(roles), Datasources: array(datasources), Apart: acc.Apart,
	}, err
}

// stored is a time as the store keeps it, so that it prints the same before and after.
func stored(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

type accountDisable struct{ accountArg }

func (accountDisable) Help() string {
	return `Logins and refreshes see it at once, verification within 5 seconds.

Example:
    ostiary account disable ada`
}

func (c *accountDisable) Run(a *app) error { return c.set(a, true) }

type accountEnable struct{ accountArg }

func (accountEnable) Help() string {
	return `Example:
    ostiary account enable ada`
}

func (c *accountEnable) Run(a *app) error { return c.set(a, false) }

func (c accountArg) set(a *app, disabled bool) error {
	return a.onAccount(c.U, func(d *desk, acc auth.Account) error {
		return d.SetDisabled(a, d.realm.ID, acc.ID, disabled, d.by)
	})
}

type accountDelete struct{ accountArg }

func (accountDelete) Help() string {
	return `The audit log keeps what the account did. Its id is never used again.

Example:
    ostiary account delete ada@example.com`
}

func (c *accountDelete) Run(a *app) error {
	return a.onAccount(c.U, func(d *desk, acc auth.Account) error {
		return d.DeleteAccount(a, d.realm.ID, acc.ID, d.by)
	})
}

type accountUnlock struct{ accountArg }

func (accountUnlock) Help() string {
	return `"ostiary account show U" says who must wait, why and until when.

Example:
    ostiary account unlock ada`
}

func (c *accountUnlock) Run(a *app) error {
	return a.onAccount(c.U, func(d *desk, acc auth.Account) error {
		return d.Unlock(a, d.realm.ID, acc.ID, d.by)
	})
}

type accountSetPassword struct {
	accountArg
	PasswordStdin bool `required:"" help:"Read the password from standard input; one newline at its end is not part of it."`
}

func (accountSetPassword) Help() string {
	return `A password has at least 15 characters, or 8 beside a confirmed second factor; none that is common, or little more than the
account's own names, is taken. docs/passwords.md has the rules, and how a realm changes them.

Example:
    ostiary account set-password ada --password-stdin < password.txt`
}

func (c *accountSetPassword) Run(a *app) error {
	password, err := a.readPassword()
	if err != nil {
		return err
	}
	return a.onAccount(c.U, func(d *desk, acc auth.Account) error {
		return d.SetPassword(a, d.realm.ID, acc.ID, password, d.by)
	})
}

// maxPassword is more than any password can have, in bytes.
const maxPassword = 64 << 10

// readPassword reads a password from standard input, without one newline at its end.
func (a *app) readPassword() (auth.Secret, error) {
	data, err := io.ReadAll(io.LimitReader(a.in, maxPassword+1))
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	if len(data) > maxPassword {
		return "", fmt.Errorf("the password on standard input is longer than %d KiB", maxPassword>>10)
	}
	text := strings.TrimSuffix(string(data), "\n")
	if len(text) < len(data) {
		text = strings.TrimSuffix(text, "\r")
	}
	if text == "" {
		return "", fmt.Errorf("there is no password on standard input")
	}
	return auth.Secret(text), nil
}

type accountRotateSecret struct {
	accountArg
	Overlap config.Duration `default:"0s" placeholder:"DURATION" help:"How long the old secret stays good, such as 24h. 0s: it ends now, and so do its sessions."`
}

func (accountRotateSecret) Help() string {
	return `Prints the account as one JSON object with the new secret, which is shown this once.

Example:
    ostiary account rotate-secret backup-robot --overlap 24h`
}

func (c *accountRotateSecret) Run(a *app) error {
	if c.Overlap < 0 {
		return misusef("--overlap: must not be negative")
	}
	return a.onAccount(c.U, func(d *desk, acc auth.Account) error {
		secret, err := d.RotateSecret(a, d.realm.ID, acc.ID, time.Duration(c.Overlap), d.by)
		if err != nil {
			return err
		}
		again := "ostiary account rotate-secret " + acc.ID.String() + auth.RealmFlag(d.realm.Name)
		return a.shownOnce(d.print(a, acc, secret), "account "+acc.ID.String()+" has a new secret, which could not be shown", "give it another one with: "+again)
	})
}

// shownOnce sees that what a command shows this once is written. What it has done is done all the same.
func (a *app) shownOnce(err error, done, do string) error {
	if err == nil {
		err = a.out.Flush()
	}
	if err == nil {
		return nil
	}
	return unshown{remedied{done + " (" + explain(err) + ")", do}, err}
}

// unshown is what could not be written, and what has been done before.
type unshown struct {
	remedied
	cause error
}

func (u unshown) Is(err error) bool { return errors.Is(u.cause, err) }

// print prints an account as one JSON object, with its secret if there is a new one.
func (d *desk) print(a *app, acc auth.Account, secret auth.Secret) error {
	object, err := d.account(a, acc)
	if err != nil {
		return err
	}
	object.Secret = string(secret)
	return a.encoder().Encode(object)
}

type accountAlias struct {
	accountArg
	Dialect string  `required:"" help:"cloudio, mikrocloud, nomic, senmo, or one that the configuration declares."`
	Subject *string `required:"" help:"The subject that the dialect's clients know the account by; empty: its default."`
}

func (accountAlias) Help() string {
	return `Records that are keyed by an old system's user id still fit: its id becomes the subject of the dialect's tokens.
JWTs that name the account's subject before are refused from then on; a senmo client refreshes, others sign in again.

Example:
    ostiary account alias ada --dialect nomic --subject 1`
}

func (c *accountAlias) Run(a *app) error {
	name, err := knownDialect(a.set, "--dialect", c.Dialect)
	if err != nil {
		return err
	}
	return a.onAccount(c.U, func(d *desk, acc auth.Account) error {
		return d.SetAlias(a, d.realm.ID, acc.ID, name, *c.Subject, d.by)
	})
}

// someDialect is knownDialect for a flag that may be left out.
func someDialect(set *config.Shared, text string) error {
	if text == "" {
		return nil
	}
	_, err := knownDialect(set, "--dialect", text)
	return err
}

// knownDialect is the dialect that a flag names.
func knownDialect(set *config.Shared, flag, text string) (auth.Dialect, error) {
	all, err := spoken(set)
	if err != nil {
		return "", misuse(err.Error())
	}
	var names []string
	for _, d := range all {
		if names = append(names, string(d.Name())); text == string(d.Name()) {
			return d.Name(), nil
		}
	}
	return "", misusef("%s: %q is not one of %s", flag, text, strings.Join(names, ", "))
}
