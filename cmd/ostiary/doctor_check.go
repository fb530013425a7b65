package main

import (
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/keyring"
)

// earliest is before any clock that is right can be: this program was written after it.
var earliest = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// checkClock sees whether the clock can be right, and whether something moves it.
func (d *doctor) checkClock() {
	const sets = "set the clock, and let a time service keep it"
	start := time.Now()
	time.Sleep(50 * time.Millisecond)
	end := time.Now()
	moved := end.Round(0).Sub(start.Round(0)) - end.Sub(start) // Round(0) drops the monotonic reading
	switch {
	case end.Before(earliest) || end.Year() > 2200:
		d.find(wrong, "clock", sets, "it says %s", stamp(end))
	case moved.Abs() > 20*time.Millisecond:
		d.find(wrong, "clock", "let one time service slew it, in place of setting it", "something sets it: it jumped by %s while it was looked at", moved)
	default:
		d.find(fine, "clock", "", "%s", stamp(end))
	}
}

// checkNodes sees that the clock agrees with that of the node that tidies up, if there is one.
func (d *doctor) checkNodes(desk *desk) {
	behind, err := clockBehind(d, desk.store, tidyTurn)
	switch {
	case err != nil:
		d.fault("clock", err)
	case behind > clocksAgree:
		d.find(wrong, "clock", "see which of the two is wrong, and let a time service keep both", "it is %s behind that of a node that serves", behind.Round(time.Second))
	}
}

// checkEvents sees that nothing was recorded at a time that has yet to come.
func (d *doctor) checkEvents(desk *desk) {
	ahead := time.Now().Add(time.Minute)
	err := desk.EachEvent(d, desk.realm.ID, auth.AuditFilter{Since: ahead, Limit: 1}, func(e audit.Event) error {
		d.find(wrong, "clock", "see which clock was wrong: this machine's, or that of the node that wrote it",
			"the audit log of realm %s has an event of %s, in the future", desk.realm.Name, stamp(e.At))
		return nil
	})
	if err != nil {
		d.fault("realm "+desk.realm.Name, err)
	}
}

// checkAudit looks at both ends of the realm's log, and at what was signed last.
func (d *doctor) checkAudit(desk *desk) {
	subject := "audit log of realm " + desk.realm.Name
	found, err := desk.GlanceAudit(d, desk.realm.ID)
	switch {
	case err != nil:
		d.fault(subject, err)
	case len(found) > 0:
		d.find(wrong, subject, "ostiary audit verify --realm "+desk.realm.Name+" says all of it, and docs/audit.md how to go on", "%s", found[0])
	default:
		d.find(fine, subject, "", "it begins with its realm or a cut, its head has its seal, and its last signature is good")
	}
}

const (
	littleDisk  = 100 << 20
	someDisk    = 1 << 30
	oldKey      = 365 * 24 * time.Hour
	soonExpires = 7 * 24 * time.Hour
)

func (d *doctor) checkDisk() {
	if d.set.Postgres() {
		return // it is on the server, which does not say
	}
	path := filepath.Dir(d.set.DatabasePath())
	free, ok := freeSpace(path)
	switch {
	case !ok:
	case free < littleDisk:
		d.find(wrong, "disk", "make room: without it nobody can sign in", "%s has %d MiB left", path, free>>20)
	case free < someDisk:
		d.find(warn, "disk", "make room soon", "%s has %d MiB left", path, free>>20)
	default:
		d.find(fine, "disk", "", "%s has %d GiB left", path, free>>30)
	}
}

// checkBreached sees that the passwords of known breaches can be looked up.
func (d *doctor) checkBreached() {
	all, _ := d.set.Passwords() // an error was one of the settings, and ended the command
	for _, realm := range slices.Sorted(maps.Keys(all)) {
		breached := all[realm].Breached
		if breached == nil {
			continue
		}
		subject := "passwords of realm " + realm
		if err := breached.Verify(); err != nil {
			d.find(wrong, subject, "download it again (docs/passwords.md), and let the user that serves read it: ostiary serve does not start, and nobody can choose a password", "%v", err)
			continue
		}
		d.find(fine, subject, "", "those of %s can be looked up", breached.Path())
	}
}

// checkKeys sees that each algorithm that the realm signs with has a key that signs.
func (d *doctor) checkKeys(desk *desk, mounts []*auth.Mount) {
	subject := "keys of realm " + desk.realm.Name
	keys, err := desk.ListKeys(d, desk.realm.ID)
	if err == nil {
		_, _, err = desk.JWKS(d, desk.realm.ID) // opens all that a login needs
	}
	if err != nil {
		d.fault(subject, err)
		return
	}
	now := time.Now()
	states := keyStates(keys, now)
	signing, next := map[string]keyring.Record{}, map[string]bool{}
	for i, k := range keys {
		switch states[i] {
		case "signing":
			signing[k.Algorithm] = k
		case "next":
			next[k.Algorithm] = true
		}
	}
	for _, m := range signers(mounts) {
		if m.realm != desk.realm.Name {
			continue
		}
		k, ok := signing[m.algorithm]
		rotate := "ostiary key rotate --realm " + m.realm + " --algorithm " + m.algorithm
		switch age := now.Sub(k.SignsFrom); {
		case !ok:
			d.find(wrong, subject, "start ostiary serve with these mounts, or: "+rotate+" --ahead 0s", "no key signs %s", m.algorithm)
		case !k.ExpiresAt.IsZero() && k.ExpiresAt.Before(now.Add(soonExpires)) && !next[m.algorithm]:
			d.find(wrong, subject, rotate, "the %s key expires %s and has no successor", m.algorithm, stamp(k.ExpiresAt))
		case age > oldKey:
			d.find(warn, subject, rotate, "the %s key has signed for %d days", m.algorithm, age/(24*time.Hour))
		default:
			d.find(fine, subject, "", "%s signs since %s", m.algorithm, stamp(k.SignsFrom))
		}
	}
}
