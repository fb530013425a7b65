package store

import (
	"context"
	"time"
	"unicode/utf8"

	"github.com/ostiary/ostiary/internal/auth"
)

// What the server's TLS certificates are got and kept by. Keys are paths such as
// "certificates/ca/a.example/a.example.crt"; values come sealed.

// TLSValue returns a value and when it was set, or auth.ErrNotFound.
func (s *Store) TLSValue(ctx context.Context, key string) (value []byte, modified time.Time, err error) {
	err = s.row(ctx, "SELECT value, modified_at FROM tls_storage WHERE key = $1", key).Scan(&value, at{&modified})
	return value, modified, classify(err)
}

// SetTLSValue sets a value that may be there already.
func (s *Store) SetTLSValue(ctx context.Context, key string, value []byte, modified time.Time) error {
	return s.InTx(ctx, func(tx auth.Tx) error {
		_, err := own(tx).exec(ctx, `INSERT INTO tls_storage (key, value, modified_at) VALUES ($1, $2, $3)
			ON CONFLICT (key) DO UPDATE SET value = excluded.value, modified_at = excluded.modified_at`, key, value, micros(modified))
		return err
	})
}

// TLSKeys returns the keys below a path, in order. No path is above all of them.
func (s *Store) TLSKeys(ctx context.Context, path string) ([]string, error) {
	if path != "" {
		path += "/"
	}
	return list(ctx, s.prepared, oneText, "SELECT key FROM tls_storage WHERE substr(key, 1, $2) = $1 ORDER BY key", path, utf8.RuneCountInString(path))
}

// DeleteTLSValues deletes the value of a key, and all below it.
func (s *Store) DeleteTLSValues(ctx context.Context, key string) error {
	return s.InTx(ctx, func(tx auth.Tx) error {
		_, err := own(tx).exec(ctx, "DELETE FROM tls_storage WHERE key = $1 OR substr(key, 1, $3) = $2",
			key, key+"/", utf8.RuneCountInString(key)+1)
		return err
	})
}

// TakeLease takes a lease that nobody holds, or whose time is over, or makes the
// holder's own last longer. It tells whether the holder has it now. The time is the
// caller's: the holders of one lease must agree on it well within the time that it lasts.
func (s *Store) TakeLease(ctx context.Context, name, holder string, now, until time.Time) (taken bool, err error) {
	err = s.InTx(ctx, func(tx auth.Tx) error {
		n, err := own(tx).exec(ctx, `INSERT INTO lease (name, holder, expires_at) VALUES ($1, $2, $4)
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
			WHERE lease.holder = $2 OR lease.expires_at <= $3`, name, holder, micros(now), micros(until))
		taken = n > 0
		return err
	})
	return taken && err == nil, err
}

// LeaseEnd is when a lease ends by itself; zero if nobody has it.
func (s *Store) LeaseEnd(ctx context.Context, name string) (end time.Time, err error) {
	err = s.row(ctx, "SELECT COALESCE((SELECT expires_at FROM lease WHERE name = $1), 0)", name).Scan(at{&end})
	return end, classify(err)
}

// LeaseHeld tells whether somebody has a lease whose name begins so.
func (s *Store) LeaseHeld(ctx context.Context, prefix string, now time.Time) (held bool, err error) {
	err = s.row(ctx, "SELECT EXISTS (SELECT 1 FROM lease WHERE substr(name, 1, $2) = $1 AND expires_at > $3)", prefix, len(prefix), micros(now)).Scan(&held)
	return held, classify(err)
}

// EndLease gives a lease back, if the holder still has it.
func (s *Store) EndLease(ctx context.Context, name, holder string) error {
	return s.InTx(ctx, func(tx auth.Tx) error {
		_, err := own(tx).exec(ctx, "DELETE FROM lease WHERE name = $1 AND holder = $2", name, holder)
		return err
	})
}
