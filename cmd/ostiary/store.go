package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/dialect"
	"github.com/ostiary/ostiary/internal/password"
	"github.com/ostiary/ostiary/internal/seal"
	"github.com/ostiary/ostiary/internal/store"
)

// desk is where a command works: the core on an open store, in one realm.
type desk struct {
	*auth.Service
	store *store.Store
	realm auth.Realm
	by    auth.Client
}

// inStore runs a command on the store, beside a server or without one.
func (a *app) inStore(fn func(d *desk) error) error {
	st, err := openStore(a, a.set)
	if err != nil {
		return err
	}
	defer st.Close()
	master, err := unlock(a, st, a.set)
	if err != nil {
		return err
	}
	svc := auth.New(coreOptions(a.set, st, master, password.New(a.set.HashSlots, time.Duration(a.set.HashWait)), nil))
	return fn(&desk{Service: svc, store: st, by: operator()})
}

// inRealm runs a command on the realm of --realm.
func (a *app) inRealm(fn func(d *desk) error) error {
	return a.inStore(func(d *desk) (err error) {
		if d.realm, err = d.Realm(a, a.set.Realm); err != nil {
			return err
		}
		return fn(d)
	})
}

// inRealms runs a command on the one realm of --realm, or on each.
func (a *app) inRealms(one bool, fn func(d *desk, realms []auth.Realm) error) error {
	return a.inStore(func(d *desk) error {
		if one {
			r, err := d.Realm(a, a.set.Realm)
			if err != nil {
				return err
			}
			return fn(d, []auth.Realm{r})
		}
		realms, err := d.Realms(a)
		if err != nil {
			return err
		}
		return fn(d, realms)
	})
}

// onAccount runs a command on one account of the realm.
func (a *app) onAccount(name string, fn func(d *desk, acc auth.Account) error) error {
	return a.inRealm(func(d *desk) error {
		acc, err := d.FindAccount(a, d.realm.ID, name)
		if err != nil {
			return err
		}
		return fn(d, acc)
	})
}

// openStore opens a store that exists: only serve creates one.
func openStore(ctx context.Context, set *config.Shared) (st *store.Store, err error) {
	if set.Postgres() {
		st, err = store.OpenPostgres(ctx, set.Database, set.DatabaseConnections)
	} else {
		if info, err := os.Stat(set.DatabasePath()); err == nil && info.IsDir() {
			return nil, remedied{set.DatabasePath() + " is a directory, in place of the database", "move it away, and bring the database back from a backup"}
		}
		st, err = store.OpenFile(ctx, set.DatabasePath())
	}
	if errors.Is(err, store.ErrNoStore) {
		return nil, noStore(set)
	}
	return st, err
}

// createStore is openStore for serve.
func createStore(ctx context.Context, set *config.Shared) (*store.Store, error) {
	if set.Postgres() {
		return store.CreatePostgres(ctx, set.Database, set.DatabaseConnections)
	}
	return store.CreateFile(ctx, set.DatabasePath())
}

// coreOptions are what the core is made of, in a server and on the command line.
func coreOptions(set *config.Shared, st *store.Store, master seal.Key, hasher *password.Hasher, log *slog.Logger) auth.Options {
	budgets, keys := set.Budgets(), keyPolicy(set)
	o := auth.Options{
		Store: st, Master: master, Hasher: hasher, Log: log, Budgets: &budgets, Keys: &keys,
		TOTPIssuer: set.TOTPIssuer,
	}
	o.Passwords, _ = set.Passwords()              // an error was one of the settings, and ended the command
	if old, _ := set.Writebacks(); len(old) > 0 { // likewise
		o.Writebacks = map[string]auth.Writeback{}
		for _, w := range old {
			o.Writebacks[w.Realm] = auth.Writeback{Format: w.Format, Until: w.End}
		}
	}
	all, _ := spoken(set) // who needs the mounts is told what is wrong
	o.Dialects = dialect.Rules(all)
	return o
}

func keyPolicy(set *config.Shared) auth.KeyPolicy {
	return auth.KeyPolicy{Every: time.Duration(set.KeyRotation), Ahead: time.Duration(set.KeyAhead), RSABits: set.RSABits}
}

// itself is who the audit log names for what the server does of its own accord.
func itself() auth.Client { return auth.Client{Actor: "server", RequestID: uuid.NewString()} }

// operator is who the audit log says did it.
func operator() auth.Client {
	name := "uid " + fmt.Sprint(os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return auth.Client{Actor: "cli: " + printable(who(os.Getuid(), name, os.Getenv("SUDO_USER"))), RequestID: uuid.NewString()}
}

// who is a user, and whom sudo has let be that one. Of root alone that is believed: anybody
// else can say so in the environment.
func who(uid int, name, sudo string) string {
	if uid == 0 && sudo != "" {
		return sudo + " as " + name
	}
	return name
}
