package auth

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/keyring"
)

// Rotation of a signing key.
type KeyRotation struct {
	Algorithm string        // RS256, ES256, or EdDSA
	Bits      int           // of an RSA key; 0: 2048
	Ahead     time.Duration // how long the new key is published before it signs
	TokenLife time.Duration // how long after that the old keys' tokens may still live
	Now       bool          // the new key signs, and the old ones are refused, at once
}

// ListKeys lists a realm's signing keys, the newest first.
func (s *Service) ListKeys(ctx context.Context, realm uuid.UUID) ([]keyring.Record, error) {
	keys, err := s.store.Keys(ctx, realm)
	return keys, storeError(err)
}

// RotateKey makes a new signing key, and sets an end to the older ones of the algorithm.
func (s *Service) RotateKey(ctx context.Context, realm uuid.UUID, r KeyRotation, cl Client) (keyring.Record, error) {
	now := s.now()
	// Another node may sign with the old key a moment longer, until it has read the new one.
	from, until := now.Add(r.Ahead), now.Add(r.Ahead+r.TokenLife+2*realmFresh)
	if r.Now {
		from, until = now, now
	}
	key, err := keyring.Generate(s.master, realm, r.Algorithm, r.Bits, from)
	if err != nil {
		return keyring.Record{}, &Error{Code: CodeInvalidInput, Detail: err.Error(), Cause: err}
	}
	return key, s.insertKey(ctx, key, until, cl)
}

// insertKey stores a key; the older ones of its algorithm end at the given time, if any.
func (s *Service) insertKey(ctx context.Context, key keyring.Record, until time.Time, cl Client) error {
	return s.change(ctx, func(tx Tx) error {
		kind := audit.KeyCreated
		if !until.IsZero() {
			kind = audit.KeyRotated
			if err := tx.ExpireKeys(ctx, key.RealmID, key.Algorithm, key.ID, until); err != nil {
				return err
			}
		}
		if err := tx.InsertKey(ctx, key); err != nil {
			return err
		}
		e := s.event(key.RealmID, kind, uuid.Nil, cl)
		e.Detail = key.Kid
		return tx.InsertEvent(ctx, e)
	})
}
