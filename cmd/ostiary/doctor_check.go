package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/keyring"
	"github.com/ostiary/ostiary/internal/seal"
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
		d.find(wrong, "clock", "let one time service slew it, in place of setting it", "something sets it while we look: it jumped by %s", moved)
	default:
		d.find(fine, "clock", "", "%s", stamp(end))
	}
}

// checkEvents sees that nothing was recorded at a time that has yet to come.
func (d *doctor) checkEvents(desk *desk) {
	ahead := time.Now().Add(time.Minute)
	events, err := desk.ListAudit(d, desk.realm.ID, auth.AuditFilter{After: firstID(ahead), Limit: 1})
	switch {
	case err != nil:
		d.find(wrong, "realm "+desk.realm.Name, "", "%s", explain(err))
	case len(events) > 0:
		d.find(wrong, "clock", "see which clock was wrong: this machine's, or that of the node that wrote it",
			"the audit log of realm %s has an event of %s, in the future", desk.realm.Name, stamp(events[0].At))
	}
}

// checkFiles sees that nobody else can read what is the server's own.
func (d *doctor) checkFiles() {
	database := d.set.DatabasePath()
	d.checkMode(d.set.Data, 0o700)
	for _, path := range []string{database, database + "-wal", database + "-shm"} {
		d.checkMode(path, 0o600)
	}
	if _, key, err := d.set.MasterKey(); err == nil && key != "" && d.set.MasterKeyFile == "" {
		d.checkMode(key, 0o600)
	}
}

func (d *doctor) checkMode(path string, want fs.FileMode) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist): // the store says what that means
	case err != nil:
		d.find(wrong, "permissions", "run as the user that serves", "%v", err)
	case info.Mode().Perm()&^want != 0:
		d.find(wrong, "permissions", fmt.Sprintf("chmod %o %s", want, shellWord(path)), "%s has mode %04o, open to others", path, info.Mode().Perm())
	default:
		d.find(fine, "permissions", "", "%s has mode %04o", path, info.Mode().Perm())
	}
}

const (
	littleDisk  = 100 << 20
	someDisk    = 1 << 30
	oldKey      = 365 * 24 * time.Hour
	soonExpires = 7 * 24 * time.Hour
)

func (d *doctor) checkDisk() {
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

// checkSettings sees that serve would start with these settings, and whether it runs.
func (d *doctor) checkSettings() []*auth.Mount {
	mounts, err := d.set.Mounts(dialects())
	if err != nil {
		d.find(wrong, "mounts", "correct the configuration file", "%v", err)
	} else {
		d.find(fine, "mounts", "", "%d", len(mounts))
	}
	srv := &d.server
	if err := srv.AfterApply(); err != nil {
		d.find(wrong, "address", "", "%v", err)
		return mounts
	}
	how := "plain HTTP to this machine alone"
	switch {
	case srv.TLSCert != "":
		how = "TLS"
	case len(srv.TrustedProxy) > 0:
		how = "behind a TLS proxy"
	}
	d.find(fine, "address", "", "%s, %s; %s", srv.Listen, how, d.probe(srv))
	return mounts
}

// probe tells whether a server answers at the address.
func (d *doctor) probe(srv *config.Server) string {
	ctx, cancel := context.WithTimeout(d, 2*time.Second)
	defer cancel()
	if srv.TLSCert != "" || len(srv.TrustedProxy) > 0 {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", srv.Listen)
		if err != nil {
			return "nothing answers there now"
		}
		_ = conn.Close()
		return "something answers there now"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+srv.Listen+"/ostiary/readyz", nil)
	if err != nil {
		return "it can't be asked"
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return "no server answers there now"
	}
	_ = res.Body.Close()
	return fmt.Sprintf("a server answers there now, readiness %d", res.StatusCode)
}

// checkKeys sees that each algorithm that the mounts sign with has a key that signs.
func (d *doctor) checkKeys(desk *desk, master seal.Key, mounts []*auth.Mount) {
	subject := "keys of realm " + desk.realm.Name
	keys, err := desk.ListKeys(d, desk.realm.ID)
	if err == nil {
		_, err = keyring.Open(master, keys)
	}
	if err != nil {
		d.find(wrong, subject, "", "%s", explain(err))
		return
	}
	now := time.Now()
	states := keyStates(keys, now)
	signer, next := map[string]keyring.Record{}, map[string]bool{}
	for i, k := range keys {
		switch states[i] {
		case "signing":
			signer[k.Algorithm] = k
		case "next":
			next[k.Algorithm] = true
		}
	}
	used := map[string]bool{}
	for _, m := range mounts {
		if m.Realm != desk.realm.Name || m.Algorithm == "" || used[m.Algorithm] {
			continue
		}
		used[m.Algorithm] = true
		k, ok := signer[m.Algorithm]
		rotate := "ostiary key rotate --realm " + m.Realm + " --algorithm " + m.Algorithm
		switch age := now.Sub(k.SignsFrom); {
		case !ok:
			d.find(wrong, subject, "start ostiary serve with these mounts, or: "+rotate+" --ahead 0s", "no key signs %s", m.Algorithm)
		case !k.ExpiresAt.IsZero() && k.ExpiresAt.Before(now.Add(soonExpires)) && !next[m.Algorithm]:
			d.find(wrong, subject, rotate, "the %s key expires %s and has no successor", m.Algorithm, stamp(k.ExpiresAt))
		case age > oldKey:
			d.find(warn, subject, rotate, "the %s key has signed for %d days", m.Algorithm, age/(24*time.Hour))
		default:
			d.find(fine, subject, "", "%s signs since %s", m.Algorithm, stamp(k.SignsFrom))
		}
	}
}
