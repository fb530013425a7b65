package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/ostiary/ostiary/internal/writeback"
)

// checkWritebacks sees that the old systems that are to be told of passwords can be. None is
// told anything.
func (d *doctor) checkWritebacks() {
	all, _ := d.set.Writebacks() // an error was one of the settings, and ended the command
	for _, w := range all {
		subject := "writeback of realm " + w.Realm
		to, do, err := w.File, "", error(nil)
		if w.URL == nil {
			do, err = checkBackFile(w.File)
		} else {
			to, do = w.URL.Scheme+"://"+w.URL.Host, "give webhook_secret_file a file with the secret, that only the user that serves can read"
			_, err = writeback.NewWebhook(w.URL, w.WebhookSecretFile)
		}
		switch {
		case err != nil:
			d.find(wrong, subject, do, "%v", err)
		case !time.Now().Before(w.End):
			d.find(warn, subject, "take the table out of the configuration when nothing waits any more, or give it another until",
				"its time was over on %s: %s is told of no new password", stamp(w.End), to)
		default:
			d.find(fine, subject, "", "%s is told of new passwords until %s; nothing was sent there now", to, stamp(w.End))
		}
	}
}

// checkBackFile tells whether a line can be added to a file.
func checkBackFile(path string) (do string, err error) {
	const let = "let the user that serves write there, or name another file"
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return let, mayUse(filepath.Dir(path), true, true)
	case err != nil:
		return let, err
	case !info.Mode().IsRegular():
		return "name another file", fmt.Errorf("%s is no regular file", path)
	case info.Mode().Perm()&0o077 != 0:
		return "chmod 600 " + shellWord(path), fmt.Errorf("%s has mode %04o, open to others", path, info.Mode().Perm())
	}
	return let, mayUse(path, false, true)
}
