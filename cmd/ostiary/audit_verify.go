package main

import (
	"encoding/hex"
	"fmt"
	"time"

	"github.com/ostiary/ostiary/internal/audit"
)

type auditVerify struct {
	listFlags
	Head *string `placeholder:"SEQ:HASH" help:"A head that was printed earlier, and kept elsewhere: the log must go through it."`
}

func (auditVerify) Help() string {
	return `Prints what is wrong, one line each, and the head of the log if nothing is. Exit status 1 if anything is wrong.
docs/audit.md says what this proves, and what it does not unless a head is kept elsewhere.

Examples:
    ostiary audit verify
    ostiary audit verify --head "$(cat last-head)"
    ostiary audit verify --json`
}

type verifyJSON struct {
	Realm       string          `json:"realm"`
	OK          bool            `json:"ok"`
	Entries     int64           `json:"entries"`
	First       int64           `json:"first"`
	Head        audit.Head      `json:"head"`
	Cut         *pointJSON      `json:"cut"`    // the entries up to it were deleted because of their age
	Signed      *pointJSON      `json:"signed"` // the latest checkpoint
	Unsigned    int64           `json:"unsigned"`
	Checkpoints int             `json:"checkpoints"`
	Key         string          `json:"key"` // of the checkpoints, Ed25519
	Findings    []audit.Finding `json:"findings"`
	More        int             `json:"more"`
}

type pointJSON struct {
	Head audit.Head `json:"head"`
	At   string     `json:"at"`
}

func ofPoint(c audit.Checkpoint) *pointJSON {
	if c.Seq == 0 {
		return nil
	}
	return &pointJSON{c.Head, audit.Stamp(c.At)}
}

func (c *auditVerify) Run(a *app) error {
	var anchor *audit.Head
	if c.Head != nil {
		head, err := audit.ParseHead(*c.Head)
		if err != nil {
			return misusef("--head: %v", err)
		}
		anchor = &head
	}
	return a.inRealm(func(d *desk) error {
		began := time.Now()
		r, err := d.VerifyAudit(a, d.realm.ID, anchor)
		if err != nil {
			return err
		}
		if c.JSON {
			unsigned, _ := r.Unsigned()
			err = a.encoder().Encode(verifyJSON{
				d.realm.Name, len(r.Findings) == 0, r.Entries, r.First, r.Head, ofPoint(r.Cut), ofPoint(r.Signed), unsigned,
				r.Checkpoints, hex.EncodeToString(d.AuditKey()), append([]audit.Finding{}, r.Findings...), r.More,
			})
		} else {
			err = c.print(a, r, time.Since(began))
		}
		if n := len(r.Findings) + r.More; err == nil && n > 0 {
			err = fmt.Errorf("the audit log of realm %s is not as it was written: %d found", d.realm.Name, n)
		}
		return err
	})
}

func (c *auditVerify) print(a *app, r *audit.Report, took time.Duration) error {
	for _, f := range r.Findings {
		fmt.Fprintln(a.out, f)
	}
	if r.More > 0 {
		fmt.Fprintf(a.out, "and %d more\n", r.More)
	}
	fmt.Fprintf(a.out, "%d entries from number %d on, and %d checkpoints, in %s\n", r.Entries, r.First, r.Checkpoints, took.Round(time.Millisecond))
	if r.Cut.Seq > 0 {
		fmt.Fprintf(a.out, "the entries up to %d were deleted because of their age, the last of them %s\n", r.Cut.Seq, stamp(r.Cut.At))
	}
	if n, since := r.Unsigned(); n > 0 && !since.IsZero() {
		fmt.Fprintf(a.out, "the last %d, after %s, are not signed yet\n", n, stamp(since))
	}
	if len(r.Findings) > 0 {
		return nil
	}
	_, err := fmt.Fprintf(a.out, "head %s\n", r.Head)
	return err
}
