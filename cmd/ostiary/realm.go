package main

import (
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

type realmCmd struct {
	Create realmCreate `cmd:"" help:"Make a realm."`
	List   realmList   `cmd:"" help:"List the realms."`
}

type realmCreate struct {
	Name string `arg:"" help:"Letters, digits, dot, underscore and hyphen; at most 64."`
}

func (realmCreate) Help() string {
	return `Prints the realm as one JSON object. A [[mount]] of the configuration file with realm = "NAME" serves it.

Example:
    ostiary realm create staff`
}

type realmJSON struct {
	ID        uuid.UUID `json:"id"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"`
}

func ofRealm(r auth.Realm) realmJSON { return realmJSON{r.ID, r.Name, stored(r.CreatedAt)} }

func (c *realmCreate) Run(a *app) error {
	return a.inStore(func(d *desk) error {
		r, err := d.CreateRealm(a, c.Name, d.by)
		if err != nil {
			return err
		}
		return a.encoder().Encode(ofRealm(r))
	})
}

type realmList struct{ listFlags }

func (realmList) Help() string {
	return `Example:
    ostiary realm list`
}

func (c *realmList) Run(a *app) error {
	return a.inStore(func(d *desk) error {
		realms, err := d.Realms(a)
		if err != nil {
			return err
		}
		l := a.list(c.listFlags, "NAME", "CREATED", "ID")
		for _, r := range realms {
			if err := l.row(ofRealm(r), r.Name, r.CreatedAt, r.ID); err != nil {
				return err
			}
		}
		return l.end()
	})
}
