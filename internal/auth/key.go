package auth

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/keyring"
)

// KeyPolicy is how signing keys come and go.
type KeyPolicy struct {
	Every   time.Duration // a key is replaced when it has signed for so long; 0: never by itself
	Ahead   time.Duration // how long the next key is published before it signs
	RSABits int           // 2048, 3072 or 4096; 0: as the key before it, 2048 for the first
}

// DefaultKeyPolicy is what a server has unless it is told otherwise.
func DefaultKeyPolicy() KeyPolicy {
	return KeyPolicy{Every: 90 * 24 * time.Hour, Ahead: 24 * time.Hour}
}

const (
	// longestCache is how long others may keep the published keys at the most, and so
	// how long they may trust a key that was found out.
	longestCache = 5 * time.Minute
	// leastCache keeps the last moments of an old key from having everybody ask all the time.
	leastCache = 5 * time.Second
	// clockSkew is how far clocks may differ.
	clockSkew = time.Minute
	// leastTokenLife bounds from below how long a rotated key verifies, for servers whose
	// configuration the command line does not see.
	leastTokenLife = 24 * time.Hour
)

// CacheTime is how long others may keep the published keys, so that nobody meets a
// signature of a key that he has not seen: another node may publish a moment late what
// this one does.
func (p KeyPolicy) CacheTime() time.Duration {
	return max(0, min(longestCache, p.Ahead-2*realmFresh))
}

// TokenLife is how long a JWT of the mounts may live at the most.
func TokenLife(mounts []*Mount) time.Duration {
	life := leastTokenLife
	for _, m := range mounts {
		if m.Algorithm != "" {
			life = max(life, cmp.Or(m.AccessTTL, m.SessionMax))
		}
	}
	return life + clockSkew
}

// Rotation of a signing key.
type KeyRotation struct {
	Algorithm string        // RS256, ES256, or EdDSA
	Bits      int           // of an RSA key; 0: by the policy
	Ahead     time.Duration // how long the new key is published before it signs
	TokenLife time.Duration // how long after that the old keys' tokens may still live
	// Now is for keys that others may know: the new key signs, and all others of the
	// algorithm are refused, at once. So is one that waits: it lay in the same place.
	Now bool
}

// ListKeys lists a realm's signing keys, the newest first.
func (s *Service) ListKeys(ctx context.Context, realm uuid.UUID) ([]keyring.Record, error) {
	keys, err := s.store.Keys(ctx, realm)
	return keys, storeError(err)
}

// RotateKey makes a new signing key, and sets an end to the older ones of the algorithm.
func (s *Service) RotateKey(ctx context.Context, realm uuid.UUID, r KeyRotation, cl Client) (keyring.Record, error) {
	key, _, err := s.addKey(ctx, realm, r.Algorithm, r.Bits, cl, func(keys []keyring.Record, now time.Time) (succession, bool) {
		if r.Now {
			return replace(keys, now), true
		}
		return succeed(keys, now, now.Add(r.Ahead), r.TokenLife), true
	})
	return key, err
}

// EnsureKey makes a first signing key of an algorithm for a realm where none signs.
func (s *Service) EnsureKey(ctx context.Context, realm uuid.UUID, algorithm string, cl Client) error {
	_, _, err := s.addKey(ctx, realm, algorithm, 0, cl, func(keys []keyring.Record, now time.Time) (succession, bool) {
		return succession{from: now}, !slices.ContainsFunc(keys, func(k keyring.Record) bool {
			return alive(k, now) && !k.SignsFrom.After(now)
		})
	})
	return err
}

// TendKeys does what is due for a realm's keys of an algorithm: it makes one where none
// signs, sees that none ends before its tokens, and makes the next one ahead of its
// time. It returns when the next one is due, or zero if never.
func (s *Service) TendKeys(ctx context.Context, realm uuid.UUID, algorithm string, cl Client) (next time.Time, err error) {
	if err := s.EnsureKey(ctx, realm, algorithm, cl); err != nil {
		return next, err
	}
	life := TokenLife(s.mounts)
	if err := s.extendKeys(ctx, realm, algorithm, life, cl); err != nil || s.keys.Every == 0 {
		return next, err
	}
	key, made, err := s.addKey(ctx, realm, algorithm, 0, cl, func(keys []keyring.Record, now time.Time) (succession, bool) {
		from := newest(keys, now).SignsFrom.Add(s.keys.Every)
		if next = from.Add(-s.keys.Ahead); now.Before(next) {
			return succession{}, false
		}
		if from.Before(now.Add(s.keys.Ahead)) { // nobody was here in time
			from = now.Add(s.keys.Ahead)
		}
		next = from.Add(s.keys.Every - s.keys.Ahead)
		return succeed(keys, now, from, life), true
	})
	if made {
		st, err := s.state(ctx, realm)
		if err != nil {
			st = &realmState{}
		}
		s.log.Info("signing key rotated", "realm", st.name, "algorithm", algorithm, "kid", key.Kid, "signs_from", key.SignsFrom)
	}
	return next, err
}

// addKey makes a key, if one is due by plan. A key takes long to make, so it is made
// before the transaction, and plan is asked again in there: another node or a command
// may have been first.
func (s *Service) addKey(ctx context.Context, realm uuid.UUID, algorithm string, bits int, cl Client,
	plan func(keys []keyring.Record, now time.Time) (succession, bool)) (key keyring.Record, made bool, err error) {
	keys, err := keysOf(ctx, s.store, realm, algorithm)
	if err != nil {
		return key, false, storeError(err)
	}
	if _, due := plan(keys, s.keyTime()); !due {
		return key, false, nil
	}
	if algorithm == keyring.RS256 && bits == 0 {
		bits = cmp.Or(s.keys.RSABits, likeBits(keys))
	}
	if key, err = keyring.Generate(s.master, realm, algorithm, bits, s.now()); err != nil {
		return key, false, &Error{Code: CodeInvalidInput, Detail: err.Error(), Cause: err}
	}
	err = s.change(ctx, func(tx Tx) error {
		if err := tx.HoldRealm(ctx, realm); err != nil {
			return err
		}
		keys, err := keysOf(ctx, tx, realm, algorithm)
		if err != nil {
			return err
		}
		now := s.keyTime()
		var next succession
		if next, made = plan(keys, now); !made {
			return nil
		}
		key.SignsFrom, key.CreatedAt = next.from, now
		return s.insertKey(ctx, tx, key, next, cl)
	})
	if made = made && err == nil; made {
		// What can't be read now will be by the next request.
		_, _ = s.reload(ctx, realm)
	}
	return key, made, err
}

func (s *Service) insertKey(ctx context.Context, tx Tx, key keyring.Record, next succession, cl Client) error {
	e := s.event(key.RealmID, audit.KeyCreated, uuid.Nil, cl)
	e.Detail = keyDetail(key, next.now)
	for id, end := range next.ends {
		e.Kind = audit.KeyRotated
		if err := tx.EndKey(ctx, id, end); err != nil {
			return err
		}
	}
	if err := tx.InsertKey(ctx, key); err != nil {
		return err
	}
	return tx.InsertEvent(ctx, e)
}

// keyDetail says in an event which key was made: its kid, algorithm, the bits of an RSA key,
// and from when it signs; then "now" if the others are refused from now on.
func keyDetail(key keyring.Record, now bool) string {
	text := key.Kid + " " + key.Algorithm
	if bits := key.Bits(); bits > 0 {
		text += " " + strconv.Itoa(bits)
	}
	text += " signs " + key.SignsFrom.UTC().Format(time.RFC3339)
	if now {
		text += " now"
	}
	return text
}

// extendKeys puts off the ends of keys whose tokens may live longer than whoever
// planned the ends could know.
func (s *Service) extendKeys(ctx context.Context, realm uuid.UUID, algorithm string, life time.Duration, cl Client) error {
	keys, err := keysOf(ctx, s.store, realm, algorithm)
	if err != nil || len(earlyEnds(keys, s.keyTime(), life)) == 0 {
		return storeError(err)
	}
	err = s.change(ctx, func(tx Tx) error {
		if err := tx.HoldRealm(ctx, realm); err != nil {
			return err
		}
		keys, err := keysOf(ctx, tx, realm, algorithm)
		if err != nil {
			return err
		}
		ends := earlyEnds(keys, s.keyTime(), life)
		for _, k := range keys {
			end, early := ends[k.ID]
			if !early {
				continue
			}
			if err := tx.EndKey(ctx, k.ID, end); err != nil {
				return err
			}
			e := s.event(realm, audit.KeyExtended, uuid.Nil, cl)
			e.Detail = k.Kid + " " + k.Algorithm + " ends " + end.UTC().Format(time.RFC3339)
			if err := tx.InsertEvent(ctx, e); err != nil {
				return err
			}
		}
		return nil
	})
	_, _ = s.reload(ctx, realm)
	return err
}

// keyTime is now, as the store keeps it.
func (s *Service) keyTime() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

func keysOf(ctx context.Context, r Reader, realm uuid.UUID, algorithm string) ([]keyring.Record, error) {
	keys, err := r.Keys(ctx, realm)
	return slices.DeleteFunc(keys, func(k keyring.Record) bool { return k.Algorithm != algorithm }), err
}
