package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/commandline"
	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/seal"
	"github.com/ostiary/ostiary/internal/store"
)

type doctorCmd struct {
	listFlags
	Server unchecked `embed:""`
}

// unchecked are the settings of serve without their checks, which are findings here.
type unchecked config.Server

// AfterParse does of config.Server's what is no check.
func (u *unchecked) AfterParse(line *commandline.Line) error {
	(*config.Server)(u).SettleRedis(line)
	return nil
}

func (doctorCmd) Help() string {
	return `Prints a line for each finding: what is right, what to look at (warn), and what is wrong with what to do about it. Works
beside a running server and without one, and changes nothing. Exit status 1 if something is wrong.

Example:
    ostiary doctor --data /var/lib/ostiary --config /etc/ostiary.toml`
}

// The states of a finding.
const (
	fine  = "ok"
	warn  = "warn"
	wrong = "wrong"
)

// finding is one thing that was looked at.
type finding struct {
	State   string `json:"state"` // ok, warn or wrong
	Subject string `json:"subject"`
	Text    string `json:"text"`
	Do      string `json:"do,omitempty"`
}

// doctor gathers findings.
type doctor struct {
	*app
	server   config.Server
	findings []finding
}

func (d *doctor) find(state, subject, do, format string, args ...any) {
	d.findings = append(d.findings, finding{state, subject, printable(fmt.Sprintf(format, args...)), do})
}

// fault is a finding of what an error says is wrong.
func (d *doctor) fault(subject string, err error) {
	text, do := explain(err), ""
	if r, ok := errors.AsType[remedied](err); ok {
		text, do = r.text, r.do
	}
	if errors.Is(err, store.ErrLog) {
		text, do, _ = strings.Cut(text, ": ")
	}
	for _, known := range []string{"use a newer ostiary", "start ostiary serve once to bring it up to date", "set it to 0600", "take that away", "make one with UTF8"} {
		if before, ok := strings.CutSuffix(text, ": "+known); ok {
			text, do = before, known
		}
	}
	if do == "" {
		do = d.remedy(err)
	}
	d.find(wrong, subject, do, "%s", text)
}

// remedy says what to do about an error that does not say so itself.
func (d *doctor) remedy(err error) string {
	const restore = "stop the server, move the database away with its -wal and -shm, and bring it back from a backup"
	if do := remedyPostgres(err); d.set.Postgres() && do != "" {
		return do
	}
	switch store.FaultOf(err) {
	case store.FaultDamaged, store.FaultForeign:
		return restore
	case store.FaultOpen, store.FaultReadOnly:
		return "run as the user that serves, and see that the database and its directory can be read and written"
	case store.FaultFull:
		return "make room on the disk"
	case store.FaultIO:
		return "see what the system's log says of the disk, and bring the database back from a backup if it is damaged"
	case store.FaultBusy:
		return "see which process has the database, and try again"
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "run as the user that serves"
	case errors.Is(err, seal.ErrOpen):
		return "what is sealed in the database is damaged, or not of it: bring the database and the master key back from one backup"
	case errors.Is(err, seal.ErrKey):
		return "bring the master key back as it was when the store was made, from a backup"
	case strings.Contains(err.Error(), "master key"):
		return "make it a file of this user's own, of mode 0600, that holds the key that the store was made with"
	}
	return "if ostiary serve does not start either, bring the database back from a backup"
}

func (c *doctorCmd) Run(a *app) error {
	d := &doctor{app: a, server: config.Server(c.Server)}
	d.examine()
	l := a.list(c.listFlags, "STATE", "SUBJECT", "FINDING")
	bad := 0
	for _, f := range d.findings {
		if f.State == wrong {
			bad++
		}
		text := f.Text
		if f.Do != "" {
			text += ": " + f.Do
		}
		if err := l.row(f, f.State, f.Subject, text); err != nil {
			return err
		}
	}
	if err := l.end(); err != nil {
		return err
	}
	switch bad {
	case 0:
		return nil
	case 1:
		return errors.New("1 thing is wrong")
	}
	return fmt.Errorf("%d things are wrong", bad)
}

func (d *doctor) examine() {
	d.checkClock()
	d.checkFiles()
	d.checkDisk()
	mounts := d.checkSettings()
	d.checkURL()
	st, err := openStore(d, d.set)
	if err != nil {
		d.fault("store", err)
		return
	}
	defer st.Close()
	info := st.Info()
	d.find(fine, "store", "", "%s has schema %d, as this program needs", info.Path, info.Schema)
	d.find(fine, "engine", "", "%s", info.Engine)
	if d.set.Postgres() {
		d.checkServer(st)
	} else if err := st.Check(d); err != nil {
		d.fault("store", err)
	} else {
		d.find(fine, "store", "", "its pages are as they were written")
	}
	if !d.checkWhole(st) {
		return
	}
	master, err := unlock(d, st, d.set)
	if err != nil {
		d.fault("master key", err)
		return
	}
	d.find(fine, "master key", "", "it is the one that the store was made with")
	d.checkRealms(st, master, mounts)
}

// checkWhole sees that all tables are there, and that they may be written.
func (d *doctor) checkWhole(st *store.Store) bool {
	for _, err := range st.CheckTables(d) {
		do := "bring the database back from a backup"
		if store.FaultOf(err) == store.FaultDenied {
			do = ownTables
		}
		d.find(wrong, "store", do, "%s", explain(err))
	}
	state, err := st.Value(d, store.CopiedFact)
	if err == nil && unfinished[state] != "" {
		what, do, _ := strings.Cut(unfinished[state], ": ")
		d.find(wrong, "store", do, "%s can't be used: %s", st.Info().Path, what)
		return false
	}
	r, refusalErr := st.Refusal(d)
	switch err = errors.Join(err, refusalErr); {
	case err != nil:
		d.fault("store", err)
	case r.ForGood():
		d.find(wrong, "store", "or, to go on with this one: ostiary database resume", "it takes no writes: %s", r.Why)
	case !r.Until.IsZero():
		d.find(warn, "store", "wait until that has ended; if it was killed, this ends by itself", "it takes no writes until %s: %s", stamp(r.Until), r.Why)
	}
	return true
}

func (d *doctor) checkRealms(st *store.Store, master seal.Key, mounts []*auth.Mount) {
	desk := &desk{Service: auth.New(coreOptions(d.set, st, master, nil, nil)), store: st}
	realms, err := desk.Realms(d)
	if err != nil {
		d.fault("store", err)
		return
	}
	d.checkNodes(desk)
	known := map[string]bool{}
	for _, desk.realm = range realms {
		known[desk.realm.Name] = true
		d.checkEvents(desk)
		d.checkAudit(desk)
		d.checkKeys(desk, mounts)
		d.checkPending(desk, mounts)
	}
	missing := map[string]bool{}
	rules, _ := d.set.Passwords() // an error was one of the settings, and ended the command
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		if !known[name] && !missing[name] {
			missing[name] = true
			d.find(wrong, "realm "+name, "ostiary realm create "+name, "a [[policy]] is for it, and it is not there")
		}
	}
	for _, m := range mounts {
		if !known[m.Realm] && !missing[m.Realm] {
			missing[m.Realm] = true
			d.find(wrong, "realm "+m.Realm, "ostiary realm create "+m.Realm, "the mount of %s is for it, and it is not there", m.Dialect)
		}
	}
}
