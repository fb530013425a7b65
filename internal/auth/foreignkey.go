package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/keyring"
)

const (
	// maxForeignKeys live in a realm at most, maxUnnamed of them without a kid and of one
	// algorithm: a token without one is tried with each.
	maxForeignKeys = 64
	maxUnnamed     = 4
	// ForeignLife is how far ahead what others have issued may end: a takeover has an end.
	ForeignLife = 366 * 24 * time.Hour
	maxKid      = 255
)

// NewForeignKeys are keys of another server whose tokens are to be good.
type NewForeignKeys struct {
	Dialect  Dialect
	Issuer   string // exactly theirs; "": they have none
	Audience string // exactly theirs; "": any
	Until    time.Time
	Keys     []keyring.PublicKey
	Secret   []byte // or a secret of HS256
	Kid      string // of the secret
}

// ImportKeys imports keys of another server, all or none. A key that is there with all that
// is said of it is left as it is. CodeConflict if a kid is taken.
func (s *Service) ImportKeys(ctx context.Context, realm uuid.UUID, n NewForeignKeys, cl Client) ([]keyring.Foreign, error) {
	now := s.keyTime()
	n.Until = n.Until.UTC().Truncate(time.Microsecond)
	if err := s.checkForeign(n, now); err != nil {
		return nil, err
	}
	keys, err := s.foreignKeys(realm, n, now)
	if err != nil {
		return nil, &Error{Code: CodeInvalidInput, Detail: err.Error(), Cause: err}
	}
	err = s.change(ctx, func(tx Tx) error {
		if err := tx.HoldRealm(ctx, realm); err != nil {
			return err
		}
		own, err := tx.Keys(ctx, realm)
		if err != nil {
			return err
		}
		others, err := tx.ForeignKeys(ctx, realm)
		if err != nil {
			return err
		}
		others = slices.DeleteFunc(others, func(k keyring.Foreign) bool { return !k.Alive(now) })
		for i, k := range keys {
			if j := slices.IndexFunc(others, func(o keyring.Foreign) bool { return s.sameKey(o, k, n.Secret) }); j >= 0 {
				keys[i] = others[j]
				continue
			}
			if err := roomFor(k, own, others); err != nil {
				return err
			}
			others = append(others, k)
			if err := tx.InsertForeignKey(ctx, k); err != nil {
				return err
			}
			e := s.event(realm, audit.KeyImported, uuid.Nil, cl)
			e.Dialect = string(n.Dialect)
			e.Detail = fmt.Sprintf("%s %s until %s", k.Name(), k.Algorithm, k.ExpiresAt.Format(time.RFC3339))
			if err := tx.InsertEvent(ctx, e); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		_, _ = s.reload(ctx, realm) // what can't be read now will be by the next request
	}
	return keys, err
}

func (s *Service) checkForeign(n NewForeignKeys, now time.Time) error {
	if _, known := s.dialects[n.Dialect]; !known {
		return Errorf(CodeInvalidInput, "there is no dialect %q", n.Dialect)
	}
	if !n.Until.After(now) || n.Until.After(now.Add(ForeignLife)) {
		return Errorf(CodeInvalidInput, "until: it must be in the year that begins now: by then their tokens have lived out their time")
	}
	for _, text := range []string{n.Issuer, n.Audience} {
		if err := checkText("issuer and audience", text); err != nil {
			return err
		}
	}
	return nil
}

// foreignKeys makes the records of new keys.
func (s *Service) foreignKeys(realm uuid.UUID, n NewForeignKeys, now time.Time) (keys []keyring.Foreign, err error) {
	record := func(kid string) (keyring.Foreign, error) {
		if len(kid) > maxKid || !utf8.ValidString(kid) || strings.ContainsFunc(kid, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return keyring.Foreign{}, fmt.Errorf("kid %.40q: it must be UTF-8 that can be printed, of at most %d bytes", kid, maxKid)
		}
		return keyring.Foreign{
			ID: newID(), RealmID: realm, Kid: kid, Dialect: string(n.Dialect), Issuer: n.Issuer, Audience: n.Audience, CreatedAt: now, ExpiresAt: n.Until,
		}, nil
	}
	if n.Secret != nil {
		k, err := record(n.Kid)
		k.SealSecret(s.master, n.Secret)
		return []keyring.Foreign{k}, err
	}
	for _, public := range n.Keys {
		k, err := record(public.Kid)
		if err == nil {
			k, err = keyring.NewForeign(public, k)
		}
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// sameKey tells whether a key is there already, with all that is said of it.
func (s *Service) sameKey(there, k keyring.Foreign, secret []byte) bool {
	if there.Kid != k.Kid || there.Algorithm != k.Algorithm || there.Dialect != k.Dialect || there.Issuer != k.Issuer ||
		there.Audience != k.Audience || !there.ExpiresAt.Equal(k.ExpiresAt) || !bytes.Equal(there.Public, k.Public) {
		return false
	}
	if k.Algorithm != keyring.HS256 {
		return true
	}
	known, err := there.OpenSecret(s.master)
	return err == nil && bytes.Equal(known, secret)
}

// roomFor tells whether a key can stand beside the others.
func roomFor(k keyring.Foreign, own []keyring.Record, others []keyring.Foreign) error {
	name, err := k.PublishedKid()
	if err != nil {
		return err
	}
	taken := Errorf(CodeConflict, "the kid %s is that of another key: end that one first (ostiary key end), if it is not the realm's own", name)
	if slices.ContainsFunc(own, func(o keyring.Record) bool { return name == o.Kid }) {
		return taken
	}
	unnamed := 0
	for _, o := range others {
		other, err := o.PublishedKid()
		if err != nil {
			return err
		}
		if name != "" && name == other {
			return taken
		}
		if o.Kid == "" && o.Algorithm == k.Algorithm {
			unnamed++
		}
	}
	switch {
	case len(others) >= maxForeignKeys:
		return Errorf(CodeConflict, "the realm has %d keys of other servers already", len(others))
	case k.Kid == "" && unnamed >= maxUnnamed:
		return Errorf(CodeConflict, "the realm has %d keys of %s without a kid already: each is tried with every token that names none", unnamed, k.Algorithm)
	}
	return nil
}

// ListForeignKeys lists the keys of other servers, the newest first, ended ones too.
func (s *Service) ListForeignKeys(ctx context.Context, realm uuid.UUID) ([]keyring.Foreign, error) {
	keys, err := s.store.ForeignKeys(ctx, realm)
	return keys, storeError(err)
}

// EndForeignKey ends a key of another server, by its kid or its id, and the sessions that
// tokens signed by it have become: who has it may have signed them. It counts the sessions.
func (s *Service) EndForeignKey(ctx context.Context, realm uuid.UUID, name string, cl Client) (k keyring.Foreign, sessions int, err error) {
	now := s.keyTime()
	end := now.Add(-clockSkew) // so that it has ended for a node that is behind, too
	err = s.change(ctx, func(tx Tx) error {
		if err := tx.HoldRealm(ctx, realm); err != nil {
			return err
		}
		keys, err := tx.ForeignKeys(ctx, realm)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(keys, func(k keyring.Foreign) bool {
			return k.Alive(now) && (k.Kid == name && name != "" || k.ID.String() == name)
		})
		if i < 0 {
			return ErrNotFound
		}
		k = keys[i]
		if _, err := tx.EndForeignKey(ctx, realm, k.ID, end); err != nil {
			return err
		}
		if sessions, err = tx.EndKeySessions(ctx, realm, k.ID, "key_ended", now); err != nil {
			return err
		}
		e := s.event(realm, audit.KeyEnded, uuid.Nil, cl)
		e.Dialect, e.Detail = k.Dialect, fmt.Sprintf("%s %s sessions=%d", k.Name(), k.Algorithm, sessions)
		return tx.InsertEvent(ctx, e)
	})
	if CodeOf(err) == CodeNotFound || errors.Is(err, ErrNotFound) {
		return k, 0, Errorf(CodeNotFound, "no key of another server that is in use has the kid or id %q: ostiary key list shows them", name)
	}
	if err == nil {
		_, _ = s.reload(ctx, realm)
	}
	k.ExpiresAt = end
	return k, sessions, err
}
