package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrDamaged says that the database's own check found something.
var ErrDamaged = errors.New("the database is damaged")

// Check has SQLite look through the whole database: ErrDamaged if something is wrong with it.
func (s *Store) Check(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return classify(err)
	}
	defer s.leave()
	var found string // the first of what was found
	if err := s.db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&found); err != nil {
		return classify(err)
	}
	if found != "ok" {
		return fmt.Errorf("%w: %s", ErrDamaged, strings.Join(strings.Fields(found), " "))
	}
	return nil
}

// CheckTables sees that all tables are there, with all of their columns.
func (s *Store) CheckTables(ctx context.Context) (missing []error) {
	for _, t := range append(Tables[:len(Tables):len(Tables)], table("lease", 1, "name text", "holder text", "expires_at integer")) {
		var names []string
		for _, c := range t.Columns {
			names = append(names, c.Name)
		}
		_, err := s.db.ExecContext(ctx, "SELECT "+strings.Join(names, ", ")+" FROM "+t.Name+" LIMIT 0")
		if err != nil {
			missing = append(missing, fmt.Errorf("table %s: %w", t.Name, err))
		}
	}
	return missing
}

// CheckEvents sees that the indexes of the audit log have all its entries, without which
// lists by account and by time leave some out. It returns the first thing that is wrong.
func (s *Store) CheckEvents(ctx context.Context) (found string, err error) {
	if s.writer == nil {
		return "", nil // PostgreSQL asks no index for rows that it leaves out
	}
	if err := s.enter(ctx); err != nil {
		return "", classify(err)
	}
	defer s.leave()
	err = s.db.QueryRowContext(ctx, "PRAGMA integrity_check(audit_event)").Scan(&found)
	if found == "ok" {
		found = ""
	}
	return strings.Join(strings.Fields(found), " "), classify(err)
}

// Fault is what is wrong with a database, as far as an error tells.
type Fault int

const (
	FaultOther    Fault = iota
	FaultDamaged        // something in it is not as it was written
	FaultForeign        // it is not a database
	FaultOpen           // it can't be opened
	FaultReadOnly       // it can't be written
	FaultFull           // the disk is full
	FaultIO             // the disk fails
	FaultBusy           // another process has it, or too many do
	FaultAway           // nobody answers
	FaultDenied         // it lets this user do nothing, or not this
	FaultMissing        // a table is not there, or is not found
	FaultPooler         // what stands before it mixes the statements of several clients
)

// remedies say in the log what to do about a fault.
var remedies = map[Fault]string{
	FaultDamaged:  "the database is damaged: run ostiary doctor, and bring it back from a backup",
	FaultForeign:  "the file is no database: run ostiary doctor, and bring it back from a backup",
	FaultOpen:     "the database can't be opened: run ostiary doctor",
	FaultReadOnly: "the database can't be written: run ostiary doctor",
	FaultFull:     "the disk of the database is full: free space on it; ostiary doctor says how much there is",
	FaultIO:       "the disk of the database fails, or a quota is reached: see what the system's log says of it, and run ostiary doctor",
	FaultBusy:     "another process keeps the database to itself: see which has it open (fuser), and end its transaction",
	FaultAway:     "the database can't be reached: see whether it runs, and whether the host, the port and the network let this machine to it",
	FaultDenied:   "the database refuses the user, the password, or what was asked: see the URL, pg_hba.conf, and who owns the tables",
	FaultMissing:  "a table is not there, or in a schema that is not in the search_path: run ostiary doctor",
	FaultPooler:   "the pooler before the database mixes prepared statements: give the URL the parameter default_query_exec_mode=exec",
}

// remedyOf is that of an error. PostgreSQL is busy otherwise than a file is.
func remedyOf(err error) string {
	if TakesNoWrites(err) {
		return "PostgreSQL lets this user write nothing: the server is a standby, or default_transaction_read_only is on, for it, the database or the user"
	}
	fault := FaultOf(err)
	e, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case !ok || fault != FaultBusy:
		return remedies[fault]
	case e.Code == "53300":
		return "the database has no connection left: raise max_connections of the server or the limit of the user or the database, lower database_connections, or put PgBouncer before it"
	}
	return "the database is too busy: see what runs and what waits there (pg_stat_activity)"
}

// TakesNoWrites tells whether PostgreSQL was reached, and no server of the URL lets this user
// write. Until one does the database is away: after a fail-over one will.
func TakesNoWrites(err error) bool { return errors.Is(err, pgconn.ErrReadOnlyConnection) }

// FaultOf is what an error of this package says about the database.
func FaultOf(err error) Fault {
	if errors.Is(err, ErrDamaged) {
		return FaultDamaged
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return postgresFault(e)
	}
	if _, away, _ := postgresMeans(err); away {
		return FaultAway
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return FaultOther
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_CORRUPT:
		return FaultDamaged
	case sqlite3.SQLITE_NOTADB:
		return FaultForeign
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH:
		return FaultOpen
	case sqlite3.SQLITE_READONLY:
		return FaultReadOnly
	case sqlite3.SQLITE_FULL:
		return FaultFull
	case sqlite3.SQLITE_IOERR:
		return FaultIO
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return FaultBusy
	}
	return FaultOther
}
