package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/backup"
	"github.com/ostiary/ostiary/internal/password"
	"github.com/ostiary/ostiary/internal/seal"
	"github.com/ostiary/ostiary/internal/store"
)

type restoreCmd struct {
	File     string   `arg:"" help:"The backup; - is standard input."`
	Identity []string `sep:"none" placeholder:"FILE" help:"File of the age identity that an encrypted backup is for. May be given again."`
}

func (restoreCmd) Help() string {
	return `Into the database of --data or --database, which must have no accounts and is made if it is not there; put the master key in its
place before. All that could be used once may have been since the backup, and so nothing of it is good any more: sessions and tokens end,
the servers sign with new keys, and recovery codes that were left are void. See docs/backup.md.

Examples:
    ostiary restore ostiary-2026-11-22.backup --data /var/lib/ostiary --identity age.txt
    ssh vault cat ostiary.backup | ostiary restore - --database postgres://ostiary@db.example.com/ostiary`
}

func (c *restoreCmd) Run(a *app) error {
	if a.onlyData && a.set.Database != "" { // whoever tries a restore in a directory must not meet production
		return misusef("--data: the environment or the configuration file names another database than the one in %s: say which by --database or --database-file, too (sqlite:%s)",
			a.set.Data, filepath.Join(a.set.Data, store.DatabaseFile))
	}
	defer a.interruptible()()
	ids, err := c.identities()
	if err != nil {
		return err
	}
	in := a.in
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer f.Close()
		// All of it, before anything is touched.
		if err := c.check(f, ids); err != nil {
			return err
		}
		in = f
	}
	from, err := c.open(in, ids)
	if err != nil {
		return err
	}
	r := &restoration{app: a, from: from, by: operator()}
	return stopped(a, c.named(r.run()))
}

// named says which file an error is about.
func (c *restoreCmd) named(err error) error {
	for _, known := range []error{backup.ErrForeign, backup.ErrNewer, backup.ErrTruncated, backup.ErrDamaged} {
		if errors.Is(err, known) {
			return fmt.Errorf("%s: %w", c.File, err)
		}
	}
	return err
}

func (c *restoreCmd) identities() (ids backup.Identities, err error) {
	for _, file := range c.Identity {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("--identity: %w", err)
		}
		list, err := backup.ParseIdentities(f)
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, fmt.Errorf("--identity: %s: %w", file, err)
		}
		ids = append(ids, list...)
	}
	return ids, nil
}

func (c *restoreCmd) open(in io.Reader, ids backup.Identities) (*backup.Reader, error) {
	plain, err := ids.Decrypt(in)
	if errors.Is(err, backup.ErrEncrypted) {
		return nil, remedied{c.File + " is encrypted", "give the file of the age identity that it is for by --identity"}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.File, err)
	}
	r, err := backup.NewReader(plain)
	return r, c.named(err)
}

func (c *restoreCmd) check(f *os.File, ids backup.Identities) error {
	r, err := c.open(f, ids)
	if err == nil {
		_, err = r.Skip()
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	return c.named(err)
}

// restoration brings a store back.
type restoration struct {
	*app
	from   *backup.Reader
	by     auth.Client
	store  *store.Store
	master seal.Key
	epoch  int64
	raised store.Epoch
	sums   store.Sums
	others []string // the keys of other servers that are good
}

func (r *restoration) run() error {
	h := r.from.Header
	if current := store.Schema(); h.Schema > current {
		return fmt.Errorf("the backup has schema %d and this binary knows %d: use a newer ostiary", h.Schema, current)
	} else if h.Schema < current {
		return fmt.Errorf("the backup has schema %d and this binary %d: restore it by ostiary %s, which has made it, and start this one after that", h.Schema, current, h.Program)
	}
	key, source, err := loadKey(r.set)
	if errors.Is(err, fs.ErrNotExist) {
		return remedied{source + " is not there", "put the master key of the backup in that place first, or say where it is with OSTIARY_MASTER_KEY_FILE or OSTIARY_MASTER_KEY"}
	}
	if err != nil {
		return err
	}
	if key.Fingerprint() != h.MasterKey {
		return remedied{source + " is not the master key of the store that the backup is of", "bring that one back"}
	}
	r.master = key
	if _, err := lostDatabase(r.set); err != nil {
		return err
	}
	if r.store, err = createStore(r, r.set); err != nil {
		return err
	}
	defer r.store.Close()
	end, err := r.alone(r.store)
	if err != nil {
		return err
	}
	defer end()
	if err := r.fill(); err != nil {
		return err
	}
	return r.report()
}

// fill does all of it. Until it is done, nobody can use the store.
func (r *restoration) fill() error {
	if err := mayFill(r, r.store, store.Restoring); err != nil {
		return err
	}
	if err := beginFill(r, r.store, store.Restoring); err != nil {
		return err
	}
	if err := r.load(); err != nil {
		return err
	}
	ctx := store.Unrefused(r)
	r.epoch = r.from.Header.Epoch + 1
	if err := r.store.SetValue(ctx, store.EpochFact, strconv.FormatInt(r.epoch, 10)); err != nil {
		return err
	}
	svc := auth.New(coreOptions(r.set, r.store, r.master, password.New(r.set.HashSlots, time.Duration(r.set.HashWait)), nil))
	realms, err := svc.Realms(r)
	if err != nil {
		return err
	}
	detail := fmt.Sprintf("backup of %s, epoch %d", r.from.Header.Time.Format(time.RFC3339), r.epoch)
	for _, realm := range realms {
		if err := svc.Restored(ctx, realm, detail, r.by); err != nil {
			return fmt.Errorf("realm %s: %w", realm.Name, err)
		}
		keys, err := svc.ListForeignKeys(r, realm.ID)
		if err != nil {
			return fmt.Errorf("realm %s: %w", realm.Name, err)
		}
		for _, k := range keys {
			if k.Alive(time.Now()) {
				r.others = append(r.others, fmt.Sprintf("ostiary key end %s --realm %s  # %s of %s, until %s",
					k.ID, realm.Name, shellWord(printable(k.Name())), k.Dialect, stamp(k.ExpiresAt)))
			}
		}
	}
	if err := r.store.DropValue(ctx, store.CopiedFact); err != nil {
		return err
	}
	return r.store.TakeWrites(r)
}

func (r *restoration) load() error {
	l, err := r.store.Load(r)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := l.Empty(r); err != nil {
		return err
	}
	r.raised.Now, r.raised.Backup = time.Now(), r.from.Header.Time
	if r.from.Header.Time.After(r.raised.Now) {
		r.raised.Now = r.from.Header.Time
	}
	p := r.progress()
	defer p.end()
	p.start("restore", r.from.Header.Rows)
	r.sums, err = l.Restore(r, r.from, r.raised.Raise, p.step)
	return err
}

func (r *restoration) report() error {
	h, e := r.from.Header, r.raised
	text := fmt.Sprintf("restored as of %s into %s: %s\n", stamp(h.Time), r.store.Info().Path, contents(r.sums))
	text += fmt.Sprintf("epoch %d: %s ended, %s void, and all keys that sign are new: everybody signs in again\n", r.epoch,
		plural(int64(e.Sessions), "session was", "sessions were"), plural(int64(e.Tickets), "ticket is", "tickets are"))
	if e.Holders > 0 {
		text += fmt.Sprintf("%s void: %s new ones (ostiary mfa recovery U)\n", plural(int64(e.Codes), "unused recovery code is", "unused recovery codes are"),
			plural(int64(e.Holders), "account needs", "accounts need"))
	}
	text += "what was changed after that moment is as it was then: see whom you have disabled since, whose password or secret you have replaced, and who has lost a role\n"
	if len(r.others) > 0 {
		text += "keys of other servers are as they were, too; end those again that were ended since:\n    " + strings.Join(r.others, "\n    ") + "\n"
	}
	text += "then start the servers, anew if they run\n"
	_, err := io.WriteString(r.out, text)
	return err
}
