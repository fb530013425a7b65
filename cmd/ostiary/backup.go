package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/ostiary/ostiary/internal/backup"
	"github.com/ostiary/ostiary/internal/store"
)

type backupCmd struct {
	File           string   `arg:"" help:"Where to write it; - is standard output."`
	Recipient      []string `sep:"none" placeholder:"age1…" help:"Encrypt it to the holder of this public key of age. May be given again."`
	RecipientsFile []string `sep:"none" placeholder:"FILE" help:"Encrypt it to those whose keys are in this file, a line each. May be given again."`
	Force          bool     `help:"Replace the file if it is there, and is a backup."`
}

func (backupCmd) Help() string {
	return `All of the database, of one moment, while the servers go on; the same file restores into SQLite and into PostgreSQL. The master key
is not in it: keep a copy of that elsewhere, since a backup is worth nothing without it, and both together are all that there is.
Encrypt it to a key of age (age-keygen makes one) whose secret half is not on this machine. See docs/backup.md.

Examples:
    ostiary backup ostiary-2026-11-22.backup --recipient age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p
    ostiary backup - --recipients-file keys.txt | ssh vault 'cat > ostiary.backup'`
}

func (c *backupCmd) Run(a *app) error {
	to, err := c.recipients()
	if err != nil {
		return err
	}
	if c.File == "-" && isTerminal(os.Stdout) {
		return misusef("standard output is a terminal: give a file, or send it on to something")
	}
	defer a.interruptible()()
	st, err := openStore(a, a.set)
	if err != nil {
		return err
	}
	defer st.Close()
	var sums store.Sums
	var header backup.Header
	write := func(w io.Writer) error {
		sums, header, err = a.dump(st, w, to)
		return stopped(a, err)
	}
	if c.File == "-" {
		if err := write(a.out); err != nil {
			return err
		}
		if err := a.out.Flush(); err != nil {
			return err
		}
		a.noteBackup(st, header)
		return c.report(a, a.err, header, sums)
	}
	if err := writeWhole(c.File, c.Force, backupFile, write); err != nil {
		return err
	}
	a.noteBackup(st, header)
	return c.report(a, a.out, header, sums)
}

// noteBackup has the store know that there is a backup, for the metrics of its servers.
func (a *app) noteBackup(st *store.Store, h backup.Header) {
	if err := st.SetValue(store.Unrefused(a), store.BackupFact, h.Time.Format(time.RFC3339)); err != nil {
		fmt.Fprintf(a.err, "ostiary: the backup is whole, but the metrics will not know of it: %s\n", explain(err))
	}
}

func (c *backupCmd) recipients() (to backup.Recipients, err error) {
	for _, key := range c.Recipient {
		if err := to.Add(key); err != nil {
			return nil, misusef("--recipient: %v", err)
		}
	}
	for _, file := range c.RecipientsFile {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("--recipients-file: %w", err)
		}
		if err := to.Add(string(text)); err != nil {
			return nil, fmt.Errorf("--recipients-file: %s: %w", file, err)
		}
	}
	return to, nil
}

// dump writes a backup of a store.
func (a *app) dump(st *store.Store, to io.Writer, recipients backup.Recipients) (store.Sums, backup.Header, error) {
	h := backup.Header{Schema: st.Info().Schema, Program: version(), Engine: st.Info().Engine}
	if err := usable(a, st); err != nil {
		return nil, h, err
	}
	h.Time = time.Now().UTC().Truncate(time.Microsecond) // what is committed by now is in the snapshot
	n, err := st.Snapshot(a)
	if err != nil {
		return nil, h, err
	}
	defer n.Close()
	if h.MasterKey, err = n.Value(a, keyFact); err != nil {
		return nil, h, err
	}
	if h.MasterKey == "" {
		return nil, h, remedied{fmt.Sprintf("the store at %s is not finished", st.Info().Path), "start ostiary serve once"}
	}
	if h.Epoch, err = epochOf(n.Value(a, store.EpochFact)); err != nil {
		return nil, h, err
	}
	p := a.progress()
	defer p.end()
	if h.Rows, err = rowsOf(a, n); err != nil {
		return nil, h, err
	}
	p.start("backup", h.Rows)
	out, err := recipients.Encrypt(to)
	if err != nil {
		return nil, h, err
	}
	w, err := backup.NewWriter(out, h)
	if err != nil {
		return nil, h, err
	}
	sums, err := n.Dump(a, w, p.step)
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = out.Close()
	}
	return sums, h, err
}

// epochOf reads the fact.
func epochOf(text string, err error) (int64, error) {
	if err != nil || text == "" {
		return 0, err
	}
	return strconv.ParseInt(text, 10, 64)
}

// rowsOf counts the rows of all tables.
func rowsOf(ctx context.Context, n *store.Snapshot) (total int64, err error) {
	for _, t := range store.Tables {
		rows, err := n.Count(ctx, t)
		if err != nil {
			return 0, err
		}
		total += rows
	}
	return total, nil
}

func (c *backupCmd) report(a *app, to io.Writer, h backup.Header, sums store.Sums) error {
	text := fmt.Sprintf("backed up as of %s: %s\n", stamp(h.Time), contents(sums))
	if len(c.Recipient)+len(c.RecipientsFile) == 0 {
		text += "it is not encrypted: whoever reads it has the password hashes and all that is known of everybody (see --recipient)\n"
	}
	text += "the master key is not in it, and it is worth nothing without: keep " + keyPlace(a) + " elsewhere\n"
	_, err := io.WriteString(to, text)
	return err
}

// keyPlace is where the master key is, in words.
func keyPlace(a *app) string {
	if _, file, err := a.set.MasterKey(); err == nil && file != "" {
		return "a copy of " + file
	}
	return "a copy of OSTIARY_MASTER_KEY"
}

// contents says what there is in a store.
func contents(sums store.Sums) string {
	total := int64(0)
	for _, s := range sums {
		total += s.Rows
	}
	return fmt.Sprintf("%s, %s, %s, %s in all", plural(sums["account"].Rows, "account", "accounts"), plural(sums["session"].Rows, "session", "sessions"),
		plural(sums["audit_event"].Rows, "entry of the audit log", "entries of the audit log"), plural(total, "row", "rows"))
}
