package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/ostiary/ostiary/internal/config"
)

// remedied is an error that says what to do about it.
type remedied struct{ text, do string }

func (r remedied) Error() string { return r.text + ": " + r.do }

// lostDatabase says why a database that is not there, or is empty, looks as if there had
// been one; "" if it does not. Of PostgreSQL it does not ask: the reason is one only if
// there are no tables. A first start makes the database before the master key, so
// that one which was killed looks otherwise. An operator who brings a master key along
// looks the same, and so it is no reason to refuse. It is an error where a start would
// destroy what is left: SQLite deletes a write-ahead log that has no database.
func lostDatabase(set *config.Shared) (because string, err error) {
	if set.Postgres() {
		if hasOwnKey(set) {
			because = "it has no tables, and the data directory has a master key"
		}
		return because, nil
	}
	path := set.DatabasePath()
	log, logErr := os.Stat(path + "-wal") // looked at before the database, which is made before it
	switch info, err := os.Stat(path); {
	case err == nil && info.Size() == 0 && info.Mode().IsRegular():
		because = "its file is empty"
	case !errors.Is(err, fs.ErrNotExist):
		return "", nil // it is there, or who opens it says why it can't
	case hasOwnKey(set):
		because = "its file is not there, and its master key is"
	}
	if logErr == nil && log.Size() > 0 {
		return "", remedied{
			fmt.Sprintf("the database %s is lost, and its write-ahead log %s-wal is not", path, path),
			"bring the database of that log back; or move the log away, to start anew or with one from a backup",
		}
	}
	return because, nil
}

// hasOwnKey tells whether the data directory has a master key.
func hasOwnKey(set *config.Shared) bool {
	_, file, err := set.MasterKey()
	if err != nil || file == "" || set.MasterKeyFile != "" {
		return false
	}
	_, err = os.Stat(file)
	return err == nil
}

// noStore is the error of commands that need a store where there is none.
func noStore(set *config.Shared) error {
	because, err := lostDatabase(set)
	switch {
	case err != nil:
		return err
	case because != "":
		return remedied{
			fmt.Sprintf("there is no store at %s (%s): this looks like a lost database", set.DatabaseName(), because),
			"bring it back from a backup; ostiary serve would make a new, empty one",
		}
	}
	where := "--data"
	if set.Postgres() {
		where = "--database"
	}
	return remedied{fmt.Sprintf("there is no store at %s", set.DatabaseName()), "ostiary serve makes one at its first start (see " + where + ")"}
}
