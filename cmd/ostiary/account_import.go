package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"filippo.io/age"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/password"
)

type accountImport struct {
	File string `arg:"" help:"JSON Lines, or CSV whose first line names the members; -: standard input."`

	DryRun         bool   `help:"Say what would be done, and do none of it."`
	Rejects        string `placeholder:"FILE" help:"Import the good lines, and write the others, with reasons, to this file; a dry run writes none. Without it one bad line imports nothing."`
	Report         string `placeholder:"FILE" help:"Write all conflicts and bad lines to this file, as JSON, a line each."`
	Force          bool   `help:"Replace these files if they are there, and are such."`
	Format         string `enum:",jsonl,csv" default:"" placeholder:"jsonl|csv" help:"Default: by the file's name, or jsonl."`
	Source         string `placeholder:"DIALECT" help:"The server that the lines come from, by its dialect: their passwords are good there alone."`
	Pending        bool   `help:"Ask the source for the passwords of people whose lines have none."`
	Apart          bool   `help:"Keep an account apart, in the dialect of its source, if its names are another's."`
	Update         bool   `help:"Change an account to what a later line of the same source says."`
	RestoreDeleted bool   `help:"Make accounts again that were deleted here."`
	CreateRoles    bool   `help:"Make the roles that are not there."`
	IgnoreUnknown  bool   `help:"Leave out members that are not known."`
	Identity       string `placeholder:"FILE" help:"The age key that opens the sealed members of an export."`
	HashTemplate   string `placeholder:"TEMPLATE" help:"What bare digests are of, such as \"sha256({salt}{password})\"."`
	FirebaseConfig string `placeholder:"FILE" help:"The hash parameters of the Firebase project, as its console shows them."`
}

func (accountImport) Help() string {
	return `All lines are checked before the first is imported: by themselves, against each other, and against the accounts that are there. The same
file twice changes nothing, so that an import that was interrupted goes on if the command is given again. docs/import.md has the
members and the formats of password hashes.

Examples:
    ostiary account import accounts.jsonl --dry-run --report conflicts.jsonl
    ostiary account import accounts.jsonl --source nomic --rejects rejected.jsonl
    ostiary account import users.csv --source mikrocloud --pending --apart
    ostiary account import export.jsonl --identity export.key --create-roles`
}

func (c *accountImport) Run(a *app) error {
	o, err := c.options(a)
	if err != nil {
		return err
	}
	file, err := openImport(a, c.File, c.Format)
	if err != nil {
		return err
	}
	defer file.Close()
	defer a.interruptible()()
	var refused error
	err = a.inRealm(func(d *desk) error {
		if err := d.store.Bulk(a); err != nil {
			return err
		}
		o.Pause = importPause(a, d)
		x := &importing{a: a, desk: d, accountImport: c, file: file, options: o, progress: a.progress()}
		return c.withFiles(func(rejects, report io.Writer) (err error) {
			x.rejects, x.report = rejects, report
			refused, err = x.run()
			return err
		})
	})
	return errors.Join(err, refused)
}

// withFiles runs fn with the files that --rejects and --report name; each is whole or not there.
// A dry run rejects nothing, and leaves no file of it that the next run would meet.
func (c *accountImport) withFiles(fn func(rejects, report io.Writer) error) error {
	with := func(flag, path string, fn func(w io.Writer) error) error {
		if path == "" {
			return fn(nil)
		}
		done := false
		err := writeWhole(path, c.Force, reportFile, func(w io.Writer) error {
			err := fn(reportWriter{w, flag, path})
			done = err == nil
			return err
		})
		if err != nil && done {
			err = fmt.Errorf("%w; give the command again when that is mended: what is imported stays, and is not imported twice", unwritten(flag, path, err))
		}
		return err
	}
	rejects := c.Rejects
	if c.DryRun {
		rejects = ""
	}
	return with("rejects", rejects, func(rejects io.Writer) error {
		return with("report", c.Report, func(report io.Writer) error { return fn(rejects, report) })
	})
}

// reportWriter names what could not be written.
type reportWriter struct {
	io.Writer
	flag, path string
}

func (w reportWriter) Write(text []byte) (int, error) {
	n, err := w.Writer.Write(text)
	if err != nil {
		err = unwritten(w.flag, w.path, err)
	}
	return n, err
}

func unwritten(flag, path string, err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok { // it names the file as it is called until it is whole
		err = e.Err
	}
	return fmt.Errorf("--%s: %s can't be written: %w", flag, path, err)
}

// importPause tells how long an import waits after each transaction. SQLite has one writer at
// a time, and a server asks again every 50 ms.
func importPause(a *app, d *desk) func() time.Duration {
	if a.set.Postgres() {
		return nil
	}
	return func() time.Duration {
		if served, err := d.store.LeaseHeld(a, tendTurns, time.Now()); err == nil && !served {
			return 0
		}
		return 60 * time.Millisecond
	}
}

func (c *accountImport) options(a *app) (auth.ImportOptions, error) {
	o := auth.ImportOptions{
		Pending: c.Pending, Apart: c.Apart, Update: c.Update, RestoreDeleted: c.RestoreDeleted,
		IgnoreUnknown: c.IgnoreUnknown, CreateRoles: c.CreateRoles, Partly: c.Rejects != "",
	}
	if c.Rejects != "" && c.Rejects == c.Report {
		return o, misusef("--report: --rejects names this file, too")
	}
	if c.Source != "" {
		d, err := knownDialect(a.set, "--source", c.Source)
		if err != nil {
			return o, err
		}
		o.Source = d
	}
	f := password.ForeignOptions{Template: c.HashTemplate}
	if c.FirebaseConfig != "" {
		firebase, err := readFirebase(c.FirebaseConfig)
		if err != nil {
			return o, err
		}
		f.Firebase = firebase
	}
	o.Hash = func(text, salt string) (string, string, error) {
		f := f
		f.Salt = salt
		return password.ForeignScheme(text, f)
	}
	if c.Identity != "" {
		open, err := opener(c.Identity)
		if err != nil {
			return o, err
		}
		o.Open = open
	}
	return o, nil
}

// opener opens what was sealed to the holder of a key of age.
func opener(path string) (func(sealed string) ([]byte, error), error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	identities, err := age.ParseIdentities(f)
	if err != nil { // it may quote the key
		return nil, fmt.Errorf("--identity: %s is no file of age's secret keys: age-keygen makes one", path)
	}
	return func(sealed string) ([]byte, error) {
		text, err := base64.StdEncoding.DecodeString(sealed)
		if err != nil {
			return nil, errors.New("this is no base64")
		}
		r, err := age.Decrypt(bytes.NewReader(text), identities...)
		if err != nil {
			return nil, errors.New("no key of --identity opens it, or it is damaged")
		}
		plain, err := io.ReadAll(io.LimitReader(r, maxImportLine))
		if err != nil {
			return nil, errors.New("it is damaged")
		}
		return plain, nil
	}, nil
}

// importing is a run of the command.
type importing struct {
	*desk
	*accountImport
	a        *app
	file     *importFile
	options  auth.ImportOptions
	progress *progress
	rejects  io.Writer
	report   io.Writer
	im       *auth.Importer
	lines    func() int           // of a transaction
	workers  int                  // that read lines
	shown    []auth.ImportProblem // the first
}

// run returns an error for what is refused, and one for what has failed.
func (x *importing) run() (refused, err error) {
	o := x.options
	if x.im, err = x.NewImporter(x.a, x.realm, o, x.by); err != nil {
		return nil, err
	}
	sourced := false
	x.lines, x.workers = func() int { return importLines }, runtime.GOMAXPROCS(0)
	sum, err := x.pass("checking", func(entries []*auth.ImportEntry) error {
		for _, e := range entries {
			sourced = sourced || e.Sourced()
		}
		problems, err := x.im.Check(x.a, entries)
		return errors.Join(err, x.tell(problems))
	})
	switch {
	case err != nil:
		return nil, stopped(x.a, err)
	case x.im.Lines == 0:
		return nil, fmt.Errorf("%s, line %d: there is no account in the file", x.file.name, max(1, x.file.lines))
	case (x.Pending || x.Apart) && !sourced:
		return nil, misusef("--pending and --apart: need --source, since no line says its source")
	case x.DryRun:
		x.summary("would be ")
		return x.refusal("a dry run imports nothing"), nil
	case x.im.Refused > 0 && x.rejects == nil:
		x.summary("would be ")
		return x.refusal("nothing was imported"), nil
	}
	x.im.SetFile(hex.EncodeToString(sum))
	if err := x.second(); err != nil {
		return nil, err
	}
	x.summary("")
	return x.refusal("the others were imported"), nil
}

// second is the pass that imports.
func (x *importing) second() error {
	if err := x.im.Begin(x.a); err != nil {
		return err
	}
	x.workers = max(1, x.workers-1) // one is for what writes
	if os.Getenv("GOGC") == "" {    // lines of two transactions are in memory, and those that read have time to collect
		defer debug.SetGCPercent(debug.SetGCPercent(50))
	}
	if pause := x.options.Pause; pause != nil {
		x.lines = func() int {
			if pause() == 0 {
				return importAlone * importLines
			}
			return importLines
		}
	}
	var last int64
	sum, err := x.pass("importing", func(entries []*auth.ImportEntry) error {
		problems, err := x.im.Add(x.a, entries)
		if err == nil && len(problems) > 0 && x.rejects == nil {
			p := problems[0]
			return fmt.Errorf("line %d: %s: this has changed since the file was checked; the lines before %d are imported: give the command again to go on",
				p.Entry.Line, p.Reason, entries[0].Line)
		}
		if err == nil {
			last = entries[len(entries)-1].Line
		}
		return errors.Join(err, x.tell(problems))
	})
	switch {
	case x.a.Err() != nil:
		return fmt.Errorf("interrupted: the lines up to %d are imported; give the command again to go on", last)
	case err != nil && last > 0:
		return fmt.Errorf("%s; the lines up to %d are imported: give the command again to go on", explain(err), last)
	case err != nil:
		return err
	case hex.EncodeToString(sum) != x.im.FileSum():
		return fmt.Errorf("%s was changed while it was read: see what is imported, and give the command again", x.file.name)
	}
	return x.im.Finish(x.a)
}
