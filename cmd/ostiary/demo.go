package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/commandline"
	"github.com/ostiary/ostiary/internal/config"
)

const (
	originDemo = "demo"         // marks the accounts that the demo made
	demoDir    = "ostiary-demo" // its data directory, unless another is named
	demoAccess = "demo"         // the role of its accounts, and the datasource that this opens
)

// demoData is the data directory of serve --demo where neither a flag nor the environment
// nor the configuration file names one: the demo's accounts are never in the way of real ones.
func (c *commandLine) demoData(_ *commandline.Line, flag *commandline.Value) any {
	if flag.Name == "data" && c.Serve.Demo {
		return demoDir
	}
	return nil
}

// demoAccount is an account of the demo, with its password of this start.
type demoAccount struct {
	mount  *auth.Mount
	name   string
	secret string
}

// recipe is a dialect's part of the demo.
type recipe struct {
	kind  auth.Kind
	email bool // its clients sign in with an e-mail address
	curl  func(url, host, name, secret string) string
}

// recipes are complete curl lines for each dialect. Names and secrets have no character
// that a shell or JSON would read as more than itself.
var recipes = map[auth.Dialect]recipe{
	"cloudio": {kind: auth.KindService, curl: func(url, host, name, secret string) string {
		token := base64.StdEncoding.EncodeToString([]byte(name + ":" + secret))
		return curl(host, `-H 'Authorization: Token `+token+`'`, jsonBody(`{}`), url+"/v1/auth")
	}},
	"mikrocloud": {email: true, curl: func(url, host, name, secret string) string {
		login := "curl -s " + host + jsonBody(`{"email":"`+name+`","password":"`+secret+`"}`) + " " + url + "/user/login"
		ticket := `$(` + login + ` | sed 's/.*"token":"\([^"]*\)".*/\1/')`
		return curl(host, `-H 'Content-Type: application/json' -d '{"totp":null,"token":"'"`+ticket+`"'"}'`, url+"/user/passport")
	}},
	"nomic": {curl: func(url, host, name, secret string) string {
		return curl(host, "-X POST -u "+name+":"+secret, url+"/api/auth/token")
	}},
	"senmo": {curl: func(url, host, name, secret string) string {
		return curl(host, jsonBody(`{"username":"`+name+`","password":"`+secret+`"}`), url+"/v1/auth")
	}},
}

func curl(host string, words ...string) string {
	return `curl -sw '\n' ` + host + strings.Join(words, " ")
}

func jsonBody(text string) string { return `-H 'Content-Type: application/json' -d '` + text + `'` }

// mayDemo refuses settings under which the lines that the demo prints would not work,
// or others than this machine's users could see the passwords.
func (c *serveCmd) mayDemo(set *config.Shared) error {
	switch {
	case set.Postgres():
		return misusef("--demo: keeps its accounts in a database of its own, in its data directory: leave out the one of PostgreSQL")
	case !c.Loopback():
		return misusef("--demo: is for a loopback address only, not %s", c.Listen)
	case c.TLS() || len(c.TrustedProxy) > 0:
		return misusef("--demo: speaks plain HTTP to this machine: leave out tls_cert, acme_domain and trusted_proxy")
	}
	return nil
}

// lockDemo keeps a second demo from giving the first one's accounts new passwords.
func (s *server) lockDemo() (unlock func(), err error) {
	unlock, free, err := tryLock(filepath.Join(filepath.Dir(s.set.DatabasePath()), "demo.lock"))
	if err == nil && !free {
		err = fmt.Errorf("--demo: another demo runs on %s: stop it, or give this one a directory of its own with --data", shellWord(s.set.Data))
	}
	return unlock, err
}

// noteDemo warns of accounts whose passwords were printed, in a store that is served for real.
func (s *server) noteDemo(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, buildWithin) // a stop waits for it
	defer cancel()
	svc, n := s.site.Load().svc, 0
	realms, _ := svc.Realms(ctx)
	for _, r := range realms {
		for name := range recipes {
			acc, err := svc.FindAccount(ctx, r.ID, demoName(name))
			if err != nil {
				acc, err = svc.FindAccount(ctx, r.ID, demoName(name)+demoMail)
			}
			if err == nil && acc.Origin == originDemo {
				n++
			}
		}
	}
	if n > 0 {
		s.log.Warn("the store has accounts that the demo made, whose passwords it printed: delete them, or serve another data directory", "accounts", n)
	}
}

// The names of the demo's accounts, by which they are found again.
const demoMail = "@example.com"

func demoName(d auth.Dialect) string { return string(d) + "-demo" }

// makeDemo makes the demo's accounts, or gives them new passwords. A store with
// accounts that the demo did not make is refused.
func (s *server) makeDemo(site *site) ([]demoAccount, error) {
	d := &desk{Service: site.svc, store: s.store, by: s.by}
	if err := d.onlyDemo(s.app); err != nil {
		return nil, err
	}
	var made []demoAccount
	seen := map[auth.Dialect]bool{}
	for _, m := range site.mounts {
		if seen[m.Dialect] {
			continue
		}
		seen[m.Dialect] = true
		acc, err := d.makeOne(s.app, m)
		if err != nil {
			return nil, fmt.Errorf("the demo's account for %s: %w", m.Dialect, err)
		}
		made = append(made, acc)
	}
	return made, nil
}

func (d *desk) onlyDemo(a *app) error {
	realms, err := d.Realms(a)
	if err != nil {
		return err
	}
	for _, r := range realms {
		err := d.eachAccount(a, r.ID, func(acc auth.Account) error {
			if acc.Origin != originDemo {
				return fmt.Errorf("--demo: the store at %s has accounts that the demo did not make, such as %q: give the demo a data directory of its own",
					d.store.Info().Path, cmp.Or(acc.Username, acc.Email))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *desk) makeOne(a *app, m *auth.Mount) (demoAccount, error) {
	r := recipes[m.Dialect]
	one := demoAccount{mount: m, name: demoName(m.Dialect), secret: strings.ToLower(rand.Text())}
	n := auth.NewAccount{
		Kind: r.kind, Origin: originDemo, DisplayName: "Demo of " + string(m.Dialect), Org: "demo",
		Username: one.name, Email: one.name + demoMail, Roles: []string{demoAccess},
	}
	if r.email {
		one.name, n.Username = n.Email, ""
	}
	if r.kind != auth.KindService {
		n.Password = auth.Secret(one.secret)
	}
	if err := d.openDemo(a, m.RealmID); err != nil {
		return one, err
	}
	acc, err := d.findDemo(a, m.RealmID, n)
	var secret auth.Secret
	switch {
	case auth.CodeOf(err) == auth.CodeNotFound:
		_, secret, err = d.CreateAccount(a, m.RealmID, n, d.by)
	case err != nil:
	case r.kind == auth.KindService:
		secret, err = d.RotateSecret(a, m.RealmID, acc.ID, 0, d.by)
	default:
		err = d.SetPassword(a, m.RealmID, acc.ID, n.Password, d.by)
	}
	if secret != "" {
		one.secret = string(secret)
	}
	if err == nil && acc.ID != uuid.Nil {
		// What was tried out last time is not in the way this time.
		err = d.asNew(a, m.RealmID, acc.ID, n)
	}
	if err != nil {
		err = fmt.Errorf("%s: delete the data directory %s, or give the demo another with --data", explain(err), shellWord(a.set.Data))
	}
	return one, err
}

// findDemo finds an account that an earlier demo made, by either of its names.
func (d *desk) findDemo(a *app, realm uuid.UUID, n auth.NewAccount) (acc auth.Account, err error) {
	for _, name := range []string{n.Username, n.Email} {
		if name == "" {
			continue
		}
		if acc, err = d.FindAccount(a, realm, name); auth.CodeOf(err) != auth.CodeNotFound {
			return acc, err
		}
	}
	return acc, err
}

// openDemo makes the role of the demo's accounts, and what it opens.
func (d *desk) openDemo(a *app, realm uuid.UUID) error {
	for _, create := range []func(context.Context, uuid.UUID, string, auth.Client) error{d.CreateRole, d.CreateDatasource} {
		if err := create(a, realm, demoAccess, d.by); err != nil && auth.CodeOf(err) != auth.CodeConflict {
			return err
		}
	}
	return d.GrantDatasource(a, realm, demoAccess, demoAccess, d.by)
}

// asNew gives an account of the demo its names and its role back, enables it and takes its second factor away.
func (d *desk) asNew(a *app, realm, id uuid.UUID, n auth.NewAccount) error {
	if _, err := d.UpdateAccount(a, realm, id, auth.AccountChange{Username: &n.Username, Email: &n.Email}, d.by); err != nil {
		return err
	}
	err := d.ResetFactor(a, realm, id, d.by)
	if auth.CodeOf(err) == auth.CodeNotFound {
		err = nil
	}
	return errors.Join(err, d.AddRole(a, realm, id, demoAccess, d.by), d.SetDisabled(a, realm, id, false, d.by), d.Unlock(a, realm, id, d.by))
}

// printDemo prints what can be tried now.
func (a *app) printDemo(address string, accounts []demoAccount) error {
	fmt.Fprintf(a.out, `
Ostiary answers at http://%s. The accounts below are for trying out: they are in %s, which is
the demo's own, and each start of the demo gives them new passwords. Paste a line into another shell:
`, address, shellWord(a.set.Data))
	for _, one := range accounts {
		r, ok := recipes[one.mount.Dialect]
		if !ok {
			continue
		}
		url, host := "http://"+address+one.mount.Prefix, ""
		if one.mount.Host != "" {
			_, port, _ := net.SplitHostPort(address)
			host = fmt.Sprintf("-H 'Host: %s:%s' ", one.mount.Host, port)
		}
		fmt.Fprintf(a.out, "\n# %s: %s, %s\n%s\n", one.mount.Dialect, one.name, one.secret, r.curl(url, host, one.name, one.secret))
	}
	fmt.Fprintf(a.out, "\n# Who a token speaks for, its roles and datasources: curl -H 'Authorization: Bearer TOKEN' http://%s/ostiary/whoami (cloudio: and -H 'X-CSRF-Token: CSRF')\n", address)
	fmt.Fprintf(a.out, "# More: ostiary account list --data %s. Ctrl-C stops the server; without --demo it starts on another directory, for real.\n\n", shellWord(a.set.Data))
	return a.out.Flush()
}

// shellWord quotes what a shell would read as more than itself.
func shellWord(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
