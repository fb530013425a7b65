package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/seal"
	"github.com/ostiary/ostiary/internal/store"
)

// keyFact is the fact of a store that names its master key by its fingerprint.
const keyFact = "master_key"

// unlock loads the master key of a store that has one, and sees that it is the right one.
func unlock(ctx context.Context, st *store.Store, set *config.Shared) (seal.Key, error) {
	if err := usable(ctx, st); err != nil {
		return seal.Key{}, err
	}
	want, err := st.Value(ctx, keyFact)
	if err != nil {
		return seal.Key{}, err
	}
	if want == "" {
		return seal.Key{}, remedied{fmt.Sprintf("the store at %s is not finished", st.Info().Path), "start ostiary serve once"}
	}
	key, source, err := loadKey(set)
	if errors.Is(err, fs.ErrNotExist) {
		return seal.Key{}, noKey(source, st, set)
	}
	if err != nil {
		return seal.Key{}, err
	}
	return key, checkKey(want, key, source, st, set)
}

// firstUnlock is unlock for serve, which makes the key of a new store; made is its file, if
// it is new. A store that has had a key never gets another one.
func firstUnlock(ctx context.Context, st *store.Store, set *config.Shared) (key seal.Key, made string, err error) {
	if err := servable(ctx, st); err != nil {
		return seal.Key{}, "", err
	}
	want, err := st.Value(ctx, keyFact)
	if err != nil {
		return seal.Key{}, "", err
	}
	if want != "" {
		if key, err = unlock(ctx, st, set); err == nil {
			sweepKey(set)
		}
		return key, "", err
	}
	key, source, created, err := makeKey(set)
	if err != nil {
		return seal.Key{}, "", err
	}
	if created {
		made = source
	}
	return key, made, keepKey(ctx, st, set, key, source, created)
}

// keepKey makes a key that of the store, unless another node was first: then nothing is
// sealed with one that was just made, and it is removed.
func keepKey(ctx context.Context, st *store.Store, set *config.Shared, key seal.Key, source string, created bool) error {
	want, err := st.KeepValue(ctx, keyFact, key.Fingerprint())
	switch {
	case err != nil:
		return err
	case created && key.Fingerprint() != want:
		return errors.Join(noKey(source, st, set), os.Remove(source))
	}
	return checkKey(want, key, source, st, set)
}

// noKey is the error of a store whose master key is not at hand.
func noKey(source string, st *store.Store, set *config.Shared) error {
	do := "bring it back from a backup, or, if the key is kept elsewhere, say where with OSTIARY_MASTER_KEY_FILE or OSTIARY_MASTER_KEY"
	if set.Postgres() {
		do = "bring a copy of the one that all nodes on it share, which the first of them made, or say where one is with OSTIARY_MASTER_KEY_FILE or OSTIARY_MASTER_KEY"
	}
	return remedied{fmt.Sprintf("%s is not there, and the store at %s can't be opened without it", source, st.Info().Path), do}
}

// sweepKey removes what first starts that were killed have left beside the key that is
// there now. It is none of the server's business if that fails.
func sweepKey(set *config.Shared) {
	if _, file, err := set.MasterKey(); err == nil && file != "" && set.MasterKeyFile == "" {
		_ = seal.Sweep(file)
	}
}

func checkKey(want string, key seal.Key, source string, st *store.Store, set *config.Shared) error {
	if key.Fingerprint() == want {
		return nil
	}
	do := "bring that one back"
	if set.Postgres() {
		do = "bring a copy of that one, which all nodes on it share, and which the first of them made"
	}
	return remedied{fmt.Sprintf("%s is not the master key that the store at %s was made with", source, st.Info().Path), do}
}

// loadKey reads the master key from where the settings say; source names that place.
func loadKey(set *config.Shared) (key seal.Key, source string, err error) {
	text, file, err := set.MasterKey()
	switch {
	case err != nil:
		return key, "", err
	case file == "":
		key, err = seal.Parse(string(text))
		return key, "OSTIARY_MASTER_KEY", wrap("OSTIARY_MASTER_KEY", err)
	case set.MasterKeyFile != "":
		key, err = readKey(file)
		return key, file, err
	}
	key, err = seal.Load(file)
	return key, file, err
}

// makeKey is loadKey for a new store: it makes the data directory's own key file. One
// that the operator named is expected to be there.
func makeKey(set *config.Shared) (key seal.Key, source string, created bool, err error) {
	text, file, err := set.MasterKey()
	if err != nil {
		return key, "", false, err
	}
	if text == "" && file != "" && set.MasterKeyFile == "" {
		if err := os.MkdirAll(set.Data, 0o700); err != nil {
			return key, "", false, err
		}
		key, created, err = seal.LoadOrCreate(file)
		if err == nil {
			sweepKey(set)
		}
		return key, file, created, err
	}
	key, source, err = loadKey(set)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("master key: %s is not there: make it with: openssl rand -base64 32", source)
	}
	return key, source, false, err
}

// readKey reads a key file that the operator named. It may be a mounted secret, of another
// owner and for this user's group; nobody else may read it, or write it.
func readKey(path string) (seal.Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return seal.Key{}, fmt.Errorf("master key: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return seal.Key{}, fmt.Errorf("master key: %w", err)
	} else if mode := info.Mode(); mode.IsRegular() && mode.Perm()&0o022 != 0 {
		return seal.Key{}, fmt.Errorf("master key: others can write %s (mode %04o): take that away", path, mode.Perm())
	} else if mode.IsRegular() && mode.Perm()&0o004 != 0 {
		return seal.Key{}, fmt.Errorf("master key: others can read %s (mode %04o): take that away", path, mode.Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, 1<<10))
	if err != nil {
		return seal.Key{}, fmt.Errorf("master key: %w", err)
	}
	key, err := seal.Parse(string(text))
	return key, wrap("master key: "+path, err)
}

func wrap(what string, err error) error {
	if err != nil {
		err = fmt.Errorf("%s: %w", what, err)
	}
	return err
}
