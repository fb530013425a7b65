package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

type auditVerify struct {
	listFlags
	Head *string `placeholder:"SEQ:HASH" help:"A head that was printed earlier, and kept elsewhere: the log must go through it."`
}

func (auditVerify) Help() string {
	return `Each realm has a log of its own: all of them are looked at, or the one of --realm. Prints what is wrong, one line each, and the
head of the log if nothing is. Exit status 1 if anything is wrong.
docs/audit.md says what this proves, and what it does not unless a head is kept elsewhere.

Examples:
    ostiary audit verify
    ostiary audit verify --realm default --head "$(cat last-head)"
    ostiary audit verify --json`
}

type verifyJSON struct {
	Realm       string          `json:"realm"`
	OK          bool            `json:"ok"`
	Entries     int64           `json:"entries"`
	First       int64           `json:"first"`
	Head        audit.Head      `json:"head"`
	Cut         *pointJSON      `json:"cut"`    // the entries up to it are deleted: when
	Signed      *pointJSON      `json:"signed"` // the latest checkpoint
	Unsigned    int64           `json:"unsigned"`
	Checkpoints int             `json:"checkpoints"`
	Key         string          `json:"key"`   // of the checkpoints, Ed25519
	Notes       []eventJSON     `json:"notes"` // entries about the log itself
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
	return a.inRealms(a.typedRealm, func(d *desk, realms []auth.Realm) error {
		if anchor != nil && len(realms) > 1 {
			return misusef("--head: is that of one realm: give --realm, too")
		}
		hidden, err := d.store.CheckEvents(a)
		if err != nil {
			return err
		}
		var bad []string
		for _, d.realm = range realms {
			began := time.Now()
			r, err := d.VerifyAudit(a, d.realm.ID, anchor)
			if err != nil {
				return err
			}
			if hidden != "" {
				r.Findings = append(r.Findings, audit.Finding{What: audit.Hidden, Text: "an index leaves entries out of lists: " + hidden})
			}
			if c.JSON {
				err = c.encode(a, d, r)
			} else {
				err = c.print(a, d.realm.Name, r, time.Since(began))
			}
			if err != nil {
				return err
			}
			if n := len(r.Findings) + r.More; n > 0 {
				bad = append(bad, fmt.Sprintf("that of realm %s: %d found", d.realm.Name, n))
			}
		}
		if len(bad) > 0 {
			return errors.New("the audit log is not as it was written: " + strings.Join(bad, ", "))
		}
		return nil
	})
}

func (c *auditVerify) encode(a *app, d *desk, r *audit.Report) error {
	unsigned, _ := r.Unsigned()
	notes := []eventJSON{}
	for _, e := range r.Notes {
		notes = append(notes, ofEvent(e))
	}
	return a.encoder().Encode(verifyJSON{
		d.realm.Name, len(r.Findings) == 0, r.Entries, r.First, r.Head, ofPoint(r.Cut), ofPoint(r.Signed), unsigned,
		r.Checkpoints, hex.EncodeToString(d.AuditKey()), notes, append([]audit.Finding{}, r.Findings...), r.More,
	})
}

func (c *auditVerify) print(a *app, realm string, r *audit.Report, took time.Duration) error {
	fmt.Fprintf(a.out, "realm %s\n", realm)
	for _, f := range r.Findings {
		fmt.Fprintln(a.out, printable(f.String()))
	}
	if r.More > 0 {
		fmt.Fprintf(a.out, "and %d more\n", r.More)
	}
	fmt.Fprintf(a.out, "%d entries from number %d on, and %d checkpoints, in %s\n", r.Entries, r.First, r.Checkpoints, took.Round(time.Millisecond))
	if r.Cut.Seq > 0 {
		fmt.Fprintf(a.out, "the entries up to %d are deleted, the last of them at %s\n", r.Cut.Seq, stamp(r.Cut.At))
	}
	for _, e := range r.Notes {
		fmt.Fprintf(a.out, "entry %d, %s: %s: %s\n", e.Seq, stamp(e.At), e.Kind, printable(e.Detail))
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
