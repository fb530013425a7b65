package main

import (
	"cmp"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

type sessionCmd struct {
	List   sessionList   `cmd:"" help:"List the live sessions."`
	Revoke sessionRevoke `cmd:"" help:"End a session, or all of an account."`
}

type sessionList struct {
	listFlags
	Account accountName `placeholder:"U" help:"Only this account's."`
}

func (sessionList) Help() string {
	return `Examples:
    ostiary session list
    ostiary session list --account ada --json`
}

type sessionJSON struct {
	ID         uuid.UUID    `json:"id"`
	Account    uuid.UUID    `json:"account"`
	Username   string       `json:"username"`
	Dialect    auth.Dialect `json:"dialect"`
	AMR        []string     `json:"amr"`
	AuthTime   time.Time    `json:"auth_time"`
	LastUsedAt time.Time    `json:"last_used_at"`
	IdleAt     *time.Time   `json:"idle_at"`
	ExpiresAt  time.Time    `json:"expires_at"`
	Address    string       `json:"address"`
	UserAgent  string       `json:"user_agent"`
}

func (c *sessionList) Run(a *app) error {
	return a.inRealm(func(d *desk) error {
		account := uuid.Nil
		if c.Account != "" {
			acc, err := d.FindAccount(a, d.realm.ID, string(c.Account))
			if err != nil {
				return err
			}
			account = acc.ID
		}
		known := map[uuid.UUID]auth.Account{}
		l := a.list(c.listFlags, "ID", "ACCOUNT", "DIALECT", "SIGNED IN", "LAST USED", "ENDS", "ADDRESS", "USER AGENT")
		err := d.eachSession(a, account, func(s auth.Session) error {
			acc, err := d.owner(a, s, known)
			if err != nil {
				return err
			}
			object := sessionJSON{
				ID: s.ID, Account: s.AccountID, Username: acc.Username, Dialect: s.Dialect, AMR: s.AMR, AuthTime: s.AuthTime, LastUsedAt: s.LastUsedAt,
				IdleAt: when(s.IdleAt), ExpiresAt: s.ExpiresAt, Address: s.Address, UserAgent: s.UserAgent,
			}
			return l.row(object, s.ID, handle(acc), s.Dialect, s.AuthTime, s.LastUsedAt, s.ExpiresAt, s.Address, s.UserAgent)
		})
		return cmp.Or(err, l.end())
	})
}

// owner is a session's account; one that was deleted meanwhile has its id alone.
func (d *desk) owner(a *app, s auth.Session, known map[uuid.UUID]auth.Account) (auth.Account, error) {
	if acc, ok := known[s.AccountID]; ok {
		return acc, nil
	}
	acc, err := d.FindAccount(a, d.realm.ID, s.AccountID.String())
	if auth.CodeOf(err) == auth.CodeNotFound {
		acc, err = auth.Account{ID: s.AccountID}, nil
	}
	known[s.AccountID] = acc
	return acc, err
}

// eachSession calls fn with the live sessions of an account, or of all.
func (d *desk) eachSession(a *app, account uuid.UUID, fn func(auth.Session) error) error {
	after := uuid.Nil
	for {
		sessions, err := d.ListSessions(a, d.realm.ID, account, after, page)
		if err != nil || len(sessions) == 0 {
			return err
		}
		for _, s := range sessions {
			if err := fn(s); err != nil {
				return err
			}
			after = s.ID
		}
	}
}

type sessionRevoke struct {
	ID      string      `arg:"" optional:"" name:"ID" help:"The session's id."`
	Account accountName `placeholder:"U" help:"End all sessions of this account."`
}

func (sessionRevoke) Help() string {
	return `Its tokens are refused at once at the logins and refreshes, within 5 seconds at verification. Prints how many sessions ended.
--account also makes logins void that are half done; the audit log counts both, and has no entry if there was neither.

Examples:
    ostiary session revoke 019a0b5e-7e3b-7c11-8d7c-0f5b8e7a4c21
    ostiary session revoke --account ada`
}

func (c *sessionRevoke) Run(a *app) error {
	switch {
	case c.ID == "" && c.Account == "":
		return misusef("give a session's id, or --account")
	case c.ID != "" && c.Account != "":
		return misusef("give a session's id or --account, not both")
	}
	n, err := 1, error(nil)
	if c.Account != "" {
		err = a.onAccount(string(c.Account), func(d *desk, acc auth.Account) error {
			n, err = d.EndSessions(a, d.realm.ID, acc.ID, "revoked", d.by)
			return err
		})
	} else {
		id, bad := uuid.Parse(c.ID)
		if bad != nil {
			return misusef("%q is no session's id", c.ID)
		}
		err = a.inRealm(func(d *desk) error {
			err := d.EndSession(a, d.realm.ID, id, "revoked", d.by)
			if auth.CodeOf(err) == auth.CodeNotFound {
				return fmt.Errorf("there is no live session %s", id)
			}
			return err
		})
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%d ended\n", n)
	return err
}
