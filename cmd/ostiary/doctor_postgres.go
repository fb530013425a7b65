package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/store"
)

const (
	// apart is how far two clocks may be from each other: tokens and budgets live by those
	// of the nodes.
	apart = 3 * time.Second

	plainDatabase = "the connection to the database may be without TLS, which whoever is on the way can have it be"
	useTLS        = "give the URL sslmode=verify-full, and sslrootcert if no public CA has made its certificate"
	shownPassword = "the password of the database is on the command line, where every user of this machine can see it"
	ownTables     = "let the user of the URL own the tables: REASSIGN OWNED, or GRANT ALL ON ALL TABLES"
	hidePassword  = "give the URL in a file (--database-file), or leave the password to PGPASSFILE"
	shownFile     = "every user of this machine can read a file that has a password"
)

// warnDatabase says in the log what is not safe about the way to the database.
func (s *server) warnDatabase() {
	if hosts := s.set.PlainHosts(); len(hosts) > 0 {
		s.log.Warn(plainDatabase+": "+useTLS, "hosts", strings.Join(hosts, ","))
	}
	if s.typedURL && s.set.HasPassword() {
		s.log.Warn(shownPassword + ": " + hidePassword)
	}
	for _, file := range config.ShownFiles(s.set, &s.settings) {
		s.log.Warn(shownFile+": take that away (chmod o-rwx)", "file", file)
	}
}

// checkURL looks at the way to a database that is not a file.
func (d *doctor) checkURL() {
	if hosts := d.set.PlainHosts(); len(hosts) > 0 {
		d.find(warn, "database", useTLS, "%s: %s", plainDatabase, strings.Join(hosts, ", "))
	}
	if d.typedURL && d.set.HasPassword() {
		d.find(warn, "database", hidePassword, shownPassword)
	}
	for _, file := range config.ShownFiles(d.set, &d.server) {
		d.find(warn, "permissions", "chmod o-rwx "+shellWord(file), "%s: %s", shownFile, file)
	}
}

// checkServer looks at the server of a database in PostgreSQL.
func (d *doctor) checkServer(st *store.Store) {
	s, err := st.Server(d)
	if err != nil {
		d.fault("database", err)
		return
	}
	d.judgeServer(s)
}

func (d *doctor) judgeServer(s store.Server) {
	d.judgeDurable(s)
	switch {
	case len(s.Forbidden) > 0:
		d.find(wrong, "database", ownTables,
			"this user may not read and write %s", strings.Join(s.Forbidden, ", "))
	case s.Foreign > 0:
		d.find(warn, "database", "let the user of the URL own the tables: REASSIGN OWNED", "%d tables belong to another user: a newer version could not change them", s.Foreign)
	default:
		d.find(fine, "database", "", "this user may read, write and change all tables")
	}
	for _, h := range s.Holding {
		d.find(warn, "database", fmt.Sprintf("see what it is for, or end it: SELECT pg_terminate_backend(%d)", h.PID),
			"session %d (user %s, %s, from %s) has been idle in a transaction for %s, and others may wait for what it holds of the tables",
			h.PID, h.User, cmp.Or(h.Program, "no name"), cmp.Or(h.Address, "the server itself"), h.Idle)
	}
	want := d.set.DatabaseConnections
	const more = "raise max_connections of the server or the limit of the user, lower database_connections, or put PgBouncer before it"
	switch left := s.Connections - s.Used; {
	case left < 1:
		d.find(wrong, "database", more, "no connections are left of %d", s.Connections)
	case left < want:
		d.find(warn, "database", more, "%d connections are left of %d, and one more node may take %d", left, s.Connections, want)
	default:
		d.find(fine, "database", "", "%d connections are left of %d; a node takes up to %d", left, s.Connections, want)
	}
	if off := s.Ahead.Abs(); off > apart {
		d.find(warn, "clock", "let one time service keep the clocks of all machines", "this machine and the database are %s apart", off.Round(time.Second/10))
	} else {
		d.find(fine, "clock", "", "this machine and the database are less than %s apart", apart)
	}
}

// judgeDurable sees that what was acknowledged is on a disk.
func (d *doctor) judgeDurable(s store.Server) {
	const lost = "what was acknowledged may be lost when the server loses power or is killed"
	sound := true
	for _, setting := range []struct {
		name, value string
		bad         bool
	}{
		{"fsync", s.Fsync, s.Fsync != "on"},
		{"full_page_writes", s.FullPageWrites, s.FullPageWrites != "on"},
		{"synchronous_commit", s.SynchronousCommit, s.SynchronousCommit == "off"},
	} {
		if setting.bad {
			sound = false
			d.find(wrong, "database", "set "+setting.name+" to on, for the server, the database and the user", "%s is %s: %s", setting.name, setting.value, lost)
		}
	}
	switch mode := s.SynchronousCommit; {
	case !sound:
	case s.Standbys != "" && mode == "local":
		d.find(warn, "database", "set synchronous_commit to on", "synchronous_commit is local: a fail-over may lose what was acknowledged, though there are synchronous standbys")
	case s.Standbys != "":
		d.find(fine, "database", "", "a commit is on the server's disk, and as synchronous_standby_names says on those of its standbys, before it is acknowledged")
	default:
		d.find(fine, "database", "", "a commit is on the server's disk before it is acknowledged; there are no synchronous standbys")
	}
}

// remedyPostgres says what to do about an error of a database in PostgreSQL, if it is one.
func remedyPostgres(err error) string {
	if strings.Contains(err.Error(), "is too old: this program needs") {
		return "bring PostgreSQL up to date"
	}
	if store.TakesNoWrites(err) {
		return "name the primary in the URL, too, if this is a standby; else see default_transaction_read_only of the server, the database and the user (ALTER ROLE … RESET default_transaction_read_only)"
	}
	switch store.FaultOf(err) {
	case store.FaultAway:
		return "start it, or correct the URL: host, port and sslmode"
	case store.FaultDenied:
		return "correct the user or the password, and see pg_hba.conf of the server and who owns the database"
	case store.FaultMissing:
		return "give the tables their names and their schema back, or bring the database back from a backup"
	case store.FaultOpen:
		return "make it: createdb --owner USER --encoding UTF8 --template template0 NAME"
	case store.FaultReadOnly:
		return "name the primary in the URL, too: a standby is of no use"
	case store.FaultPooler:
		return "give the URL the parameter default_query_exec_mode=exec"
	case store.FaultBusy:
		return "see what runs there (pg_stat_activity), and raise max_connections or lower database_connections"
	case store.FaultFull, store.FaultIO, store.FaultDamaged:
		return "see the log of the PostgreSQL server, and bring the database back from a backup if it is damaged"
	}
	return ""
}
