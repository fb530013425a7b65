package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
)

// checkFiles sees that the server's own files are what they should be, and that this user
// can use them and nobody else.
func (d *doctor) checkFiles() {
	owner := -1 // of the data directory, whom all the rest belongs to
	if info, err := os.Stat(d.set.Data); err == nil {
		owner = ownerOf(info)
	}
	d.checkFile(d.set.Data, true, 0o700, owner)
	if !d.set.Postgres() {
		owner = d.checkDatabaseFiles(d.set.DatabasePath(), owner)
	}
	if _, key, err := d.set.MasterKey(); err == nil && key != "" && d.set.MasterKeyFile == "" {
		d.checkFile(key, false, 0o600, owner)
	}
}

// checkDatabaseFiles looks at those of SQLite, and returns whom they are to belong to.
func (d *doctor) checkDatabaseFiles(database string, owner int) int {
	if dir := filepath.Dir(database); filepath.Clean(dir) != filepath.Clean(d.set.Data) {
		if err := mayUse(dir, true, true); err != nil && !errors.Is(err, fs.ErrNotExist) {
			d.find(wrong, "permissions", "let this user make files there, which the database needs", "%v", err)
		}
		if info, err := os.Stat(dir); err == nil {
			owner = ownerOf(info)
		}
	}
	for _, path := range []string{database, database + "-wal", database + "-shm"} {
		d.checkFile(path, false, 0o600, owner)
	}
	return owner
}

// checkFile looks at a file or directory of the server's own, which others must not use.
func (d *doctor) checkFile(path string, dir bool, want fs.FileMode, owner int) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return // the store says what that means
	}
	if err != nil {
		d.find(wrong, "permissions", "run as the user that serves", "%v", err)
		return
	}
	word, mode := shellWord(path), info.Mode().Perm()
	write := filepath.Base(path) != "master.key"
	switch own, me := ownerOf(info), os.Geteuid(); {
	case info.IsDir() && !dir:
		d.find(wrong, "permissions", "move it away, and bring the file back from a backup", "%s is a directory, in place of a file", path)
	case !info.IsDir() && dir:
		d.find(wrong, "permissions", "move it away, or name another place with --data", "%s is no directory", path)
	case me > 0 && own >= 0 && own != me:
		d.find(wrong, "permissions", fmt.Sprintf("run as %s, or: chown %s %s", userName(own), userName(me), word),
			"%s belongs to %s, and this is %s", path, userName(own), userName(me))
	case own >= 0 && owner >= 0 && own != owner:
		d.find(wrong, "permissions", fmt.Sprintf("chown %s %s", userName(owner), word),
			"%s belongs to %s, and its directory to %s, who can't use it then", path, userName(own), userName(owner))
	case mode&^want != 0:
		d.find(wrong, "permissions", fmt.Sprintf("chmod %o %s", want, word), "%s has mode %04o, open to others", path, mode)
	case write && mode&want != want:
		d.find(wrong, "permissions", fmt.Sprintf("chmod %o %s", want, word), "%s has mode %04o, and must be written", path, mode)
	default:
		if err := mayUse(path, dir, write); err != nil {
			d.find(wrong, "permissions", "let this user write it: see how its file system is mounted, and its attributes", "%v", err)
			return
		}
		d.find(fine, "permissions", "", "%s has mode %04o", path, mode)
	}
}

func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}
