package main

import "fmt"

type auditCut struct {
	Through int64 `required:"" placeholder:"SEQ" help:"The number of the last entry to delete."`
}

func (auditCut) Help() string {
	return `For a log in which audit verify has found something: the server signs and deletes nothing of it until that is gone. Keep an
export first, it is the evidence. All entries up to the given one are deleted, whatever is wrong with them; the log goes on behind
it, and an entry says who did this. If the head has no seal, or the end is missing, cut through the last entry that is there.

Examples:
    ostiary audit export --realm default > evidence.jsonl
    ostiary audit cut --realm default --through 4711`
}

func (c *auditCut) Run(a *app) error {
	if c.Through < 1 {
		return misusef("--through: must be the number of an entry")
	}
	return a.inRealm(func(d *desk) error {
		n, err := d.CutAudit(a, d.realm, c.Through, d.by)
		if err == nil {
			_, err = fmt.Fprintf(a.out, "%d entries of realm %s are deleted\n", n, d.realm.Name)
		}
		return err
	})
}
