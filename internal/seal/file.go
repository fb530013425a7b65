package seal

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ostiary/ostiary/internal/disk"
)

// ErrKey says that a text is no master key.
var ErrKey = errors.New("seal: a master key is 32 bytes in standard base64 (44 characters)")

// maxFile is more than any key file needs.
const maxFile = 1024

// Parse reads a master key from its text: 32 bytes in standard base64 with padding (RFC 4648 section 4),
// with white space around it at most. Its error is ErrKey, and never quotes the text.
func Parse(text string) (Key, error) {
	text = strings.TrimSpace(text)
	if len(text) != base64.StdEncoding.EncodedLen(KeySize) {
		return Key{}, ErrKey
	}
	master, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(master) != KeySize {
		return Key{}, ErrKey
	}
	return newKey((*[KeySize]byte)(master)), nil
}

func (k Key) text() string { return base64.StdEncoding.EncodeToString(k.m.master[:]) }

// Load reads the master key from a file that only its owner can read. A file that is not there gives
// an error that wraps fs.ErrNotExist.
func Load(path string) (Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return Key{}, fmt.Errorf("master key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat() // of the file that is open, whatever the path names by now
	if err != nil {
		return Key{}, fmt.Errorf("master key: %w", err)
	}
	if !info.Mode().IsRegular() {
		return Key{}, fmt.Errorf("master key: %s is not a regular file", path)
	}
	if perm := info.Mode().Perm(); perm&^0o600 != 0 {
		return Key{}, fmt.Errorf("master key: %s has mode %04o, and must not be open to anyone but its owner: set it to 0600", path, perm)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return Key{}, fmt.Errorf("master key: %w", err)
	}
	if len(text) > maxFile {
		return Key{}, fmt.Errorf("master key: %s: %w", path, ErrKey)
	}
	key, err := Parse(string(text))
	if err != nil {
		return Key{}, fmt.Errorf("master key: %s: %w", path, err)
	}
	return key, nil
}

// LoadOrCreate reads the master key from a file, and makes the file with a new key if it is not there.
// A key returned is on disk. However many processes start at once, all get the same key and one of them created it;
// whatever interrupts it, the file is whole or absent.
func LoadOrCreate(path string) (key Key, created bool, err error) {
	key, err = Load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, false, err
	}
	key = New()
	created, err = create(path, key.text()+"\n")
	if err != nil {
		return Key{}, false, fmt.Errorf("master key: %w", err)
	}
	if created {
		return key, true, nil
	}
	key, err = Load(path) // another process was first
	return key, false, err
}

// create makes the file with this text, unless a file of that name exists. The text is written and synced
// under another name first: only a link gives a whole file its name and refuses a name already taken in one step.
func create(path, text string) (created bool, err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, draft(path)+"*") // O_EXCL, mode 0600
	if err != nil {
		return false, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		return false, err
	}
	if err := f.Sync(); err != nil {
		return false, err
	}
	if err := f.Close(); err != nil {
		return false, err
	}
	err = os.Link(f.Name(), path)
	// Another process was first: it has made the key, or has swept ours away after it did.
	if err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return err == nil, disk.SyncDir(dir) // the one that lost, too, uses the key only once its name is on disk
}

// draft is how the name of a key file begins that is being made.
func draft(path string) string { return "." + filepath.Base(path) + "-" }

// Sweep removes what processes that were killed while they made this key file have left
// beside it. Only once the file is there: until then, one of them may be the key to be.
func Sweep(path string) error {
	if _, err := os.Stat(path); err != nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	var failed []error
	for _, e := range entries {
		random, ok := strings.CutPrefix(e.Name(), draft(path))
		if !ok || random == "" || strings.Trim(random, "0123456789") != "" || !e.Type().IsRegular() {
			continue
		}
		err := os.Remove(filepath.Join(filepath.Dir(path), e.Name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // its maker may be quicker
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}
