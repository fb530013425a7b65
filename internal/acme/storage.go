package acme

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/seal"
)

// Store is the database: values by path, and leases that end by themselves if their
// holder does not make them last.
type Store interface {
	TLSValue(ctx context.Context, key string) (value []byte, modified time.Time, err error)
	SetTLSValue(ctx context.Context, key string, value []byte, modified time.Time) error
	TLSKeys(ctx context.Context, path string) ([]string, error)
	DeleteTLSValues(ctx context.Context, key string) error
	TakeLease(ctx context.Context, name, holder string, now, until time.Time) (bool, error)
	EndLease(ctx context.Context, name, holder string) error
}

const (
	// leaseLife is how long a lock outlives a holder that has crashed. It is made to last
	// three times as often.
	leaseLife = 30 * time.Second
	lockPoll  = 500 * time.Millisecond
)

// storage is what certmagic knows of the database. Every value is sealed, for its own key
// alone: private keys, and what goes with them.
type storage struct {
	store  Store
	master seal.Key
	log    *slog.Logger
	life   time.Duration // of a lease
	now    func() time.Time

	mu   sync.Mutex
	held map[string]lease
}

// lease is a lock that this process has.
type lease struct {
	holder string
	end    context.CancelFunc // of its renewal
}

var (
	_ certmagic.Storage   = (*storage)(nil)
	_ certmagic.TryLocker = (*storage)(nil)
)

func newStorage(store Store, master seal.Key, log *slog.Logger) *storage {
	return &storage{store: store, master: master, log: log, life: leaseLife, now: time.Now, held: map[string]lease{}}
}

// row names what a value is sealed for.
func row(key string) string { return "tls/" + key }

func (s *storage) Store(ctx context.Context, key string, value []byte) error {
	return s.store.SetTLSValue(ctx, key, s.master.Seal(value, row(key)), s.now())
}

func (s *storage) Load(ctx context.Context, key string) ([]byte, error) {
	sealed, _, err := s.store.TLSValue(ctx, key)
	if err != nil {
		return nil, missing(err)
	}
	value, err := s.master.Open(sealed, row(key))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return value, nil
}

func missing(err error) error {
	if errors.Is(err, auth.ErrNotFound) {
		return fs.ErrNotExist
	}
	return err
}

func (s *storage) Delete(ctx context.Context, key string) error {
	return s.store.DeleteTLSValues(ctx, key)
}

func (s *storage) Exists(ctx context.Context, key string) bool {
	_, err := s.Stat(ctx, key)
	return err == nil
}

// List returns what is below a path: with recursive the values, else what is right below
// it, values and paths alike.
func (s *storage) List(ctx context.Context, path string, recursive bool) ([]string, error) {
	keys, err := s.store.TLSKeys(ctx, path)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, fs.ErrNotExist
	}
	if recursive {
		return keys, nil
	}
	above := len(path) + 1
	if path == "" {
		above = 0
	}
	for i, key := range keys {
		first, _, _ := strings.Cut(key[above:], "/")
		keys[i] = key[:above] + first
	}
	slices.Sort(keys)
	return slices.Compact(keys), nil
}

func (s *storage) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	value, modified, err := s.store.TLSValue(ctx, key)
	if err == nil {
		return certmagic.KeyInfo{Key: key, Modified: modified, Size: int64(len(value)), IsTerminal: true}, nil
	}
	if err = missing(err); errors.Is(err, fs.ErrNotExist) {
		_, err = s.List(ctx, key, true)
	}
	return certmagic.KeyInfo{Key: key}, err
}

// Lock waits for a lock, of this process or another one on the same database.
func (s *storage) Lock(ctx context.Context, name string) error {
	for {
		taken, err := s.TryLock(ctx, name)
		if taken || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lockPoll):
		}
	}
}

// TryLock takes a lock that is free. Each time it has another holder's name, so that it
// locks out this process, too.
func (s *storage) TryLock(ctx context.Context, name string) (bool, error) {
	holder := rand.Text()
	now := s.now()
	taken, err := s.store.TakeLease(ctx, name, holder, now, now.Add(s.life))
	if err != nil || !taken {
		return false, err
	}
	renewing, end := context.WithCancel(context.WithoutCancel(ctx))
	s.mu.Lock()
	if old, ok := s.held[name]; ok { // it was lost: see renew
		old.end()
	}
	s.held[name] = lease{holder, end}
	s.mu.Unlock()
	go s.renew(renewing, name, holder)
	return true, nil
}

// renew makes a lease last. One that is lost, since the database could not be reached for
// too long, is another one's: its work may then be done twice, which a CA bears.
func (s *storage) renew(ctx context.Context, name, holder string) {
	tick := time.NewTicker(s.life / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := s.now()
		kept, err := s.store.TakeLease(ctx, name, holder, now, now.Add(s.life))
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.log.Warn("a lock for TLS certificates was not renewed, it is tried again", "lock", name, "err", err)
		case !kept:
			s.log.Warn("a lock for TLS certificates was lost to another server", "lock", name)
			return
		}
	}
}

func (s *storage) Unlock(ctx context.Context, name string) error {
	s.mu.Lock()
	l, ok := s.held[name]
	delete(s.held, name)
	s.mu.Unlock()
	if !ok {
		return fmt.Errorf("%s is not locked", name)
	}
	l.end()
	return s.store.EndLease(ctx, name, l.holder)
}
