package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/keyring"
)

type keyCmd struct {
	List   keyList   `cmd:"" help:"List the realm's signing keys, and the keys of other servers."`
	Rotate keyRotate `cmd:"" help:"Make a new signing key in place of the older ones."`
	Import keyImport `cmd:"" help:"Import a key of another server, whose tokens are to be good until a time."`
	End    keyEnd    `cmd:"" aliases:"delete" help:"End a key of another server, and the sessions of its tokens, at once."`
}

type keyList struct{ listFlags }

func (keyList) Help() string {
	return `The newest first: signing, next (published, and signs from its time on), verifying (until the last of its tokens
has ended), or expired. Keys of other servers, whose tokens of one dialect are good, are verify-only until they end; one without
a kid goes by its id.

Example:
    ostiary key list`
}

type keyJSON struct {
	Kid       string     `json:"kid"`
	Algorithm string     `json:"algorithm"`
	State     string     `json:"state"`
	CreatedAt time.Time  `json:"created_at"`
	SignsFrom time.Time  `json:"signs_from,omitzero"` // zero: it signs nothing
	ExpiresAt *time.Time `json:"expires_at"`

	// Of a key of another server:
	ID       *uuid.UUID `json:"id,omitempty"`
	Dialect  string     `json:"dialect,omitempty"`
	Issuer   string     `json:"issuer,omitempty"`
	Audience string     `json:"audience,omitempty"`
}

func ofKey(k keyring.Record, state string) keyJSON {
	return keyJSON{Kid: k.Kid, Algorithm: k.Algorithm, State: state, CreatedAt: k.CreatedAt, SignsFrom: k.SignsFrom, ExpiresAt: when(k.ExpiresAt)}
}

func (c *keyList) Run(a *app) error {
	return a.inRealm(func(d *desk) error {
		keys, err := d.ListKeys(a, d.realm.ID)
		if err != nil {
			return err
		}
		l := a.list(c.listFlags, "KID", "ALGORITHM", "STATE", "DIALECT", "CREATED", "SIGNS FROM", "EXPIRES")
		states := keyStates(keys, time.Now())
		for i, k := range keys {
			if err := l.row(ofKey(k, states[i]), k.Kid, k.Algorithm, states[i], "", k.CreatedAt, k.SignsFrom, k.ExpiresAt); err != nil {
				return err
			}
		}
		foreign, err := d.ListForeignKeys(a, d.realm.ID)
		if err != nil {
			return err
		}
		for _, k := range foreign {
			o := ofForeign(k, time.Now())
			if err := l.row(o, k.Name(), k.Algorithm, o.State, k.Dialect, k.CreatedAt, time.Time{}, k.ExpiresAt); err != nil {
				return err
			}
		}
		return l.end()
	})
}

// keyStates says what each key does now: of each algorithm, the one with the latest
// start signs.
func keyStates(keys []keyring.Record, now time.Time) []string {
	signer := map[string]int{}
	states := make([]string, len(keys))
	for i, k := range keys {
		switch {
		case !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt):
			states[i] = "expired"
		case k.SignsFrom.After(now):
			states[i] = "next"
		default:
			states[i] = "verifying"
			if j, ok := signer[k.Algorithm]; !ok || k.SignsFrom.After(keys[j].SignsFrom) {
				signer[k.Algorithm] = i
			}
		}
	}
	for _, i := range signer {
		states[i] = "signing"
	}
	return states
}

type keyRotate struct {
	Algorithm string           `enum:"RS256,ES256,EdDSA" default:"RS256" help:"RS256, ES256 or EdDSA."`
	Bits      int              `placeholder:"N" help:"Size of an RS256 key: 2048, 3072 or 4096. Default: rsa_bits."`
	Ahead     *config.Duration `placeholder:"DURATION" help:"How long the new key is published before it signs. Default: key_ahead."`
	Now       bool             `help:"The old keys are compromised: refuse them, the next one too, and their tokens from now on."`
}

func (keyRotate) Help() string {
	return `The server replaces keys by itself, as key_rotation says. Verifiers that cache the published keys learn the new one before
it signs. The old keys verify until the last of their tokens has ended. A next key that waits is dropped if it would sign
after the new one. Prints the new key as one JSON object.

Examples:
    ostiary key rotate
    ostiary key rotate --algorithm RS256 --bits 3072 --ahead 48h
    ostiary key rotate --now`
}

func (c *keyRotate) Run(a *app) error {
	policy := keyPolicy(a.set)
	ahead := policy.Ahead
	if c.Ahead != nil {
		ahead = time.Duration(*c.Ahead)
		if err := a.set.CheckAhead("--ahead", *c.Ahead); err != nil {
			return misuse(err.Error())
		}
	}
	if c.Now && c.Ahead != nil {
		return misusef("--now and --ahead can't be used together: a key that is compromised is replaced at once")
	}
	switch {
	case c.Bits != 0 && c.Algorithm != keyring.RS256:
		return misusef("--bits: only RS256 keys have a choice")
	case c.Bits != 0 && c.Bits != 2048 && c.Bits != 3072 && c.Bits != 4096:
		return misusef("--bits: must be 2048, 3072 or 4096")
	}
	var life time.Duration
	if !c.Now { // which must work whatever is wrong with the mounts, and lets no old token live
		mounts, err := mountsOf(a.set)
		if err != nil {
			return misuse(err.Error())
		}
		life = auth.TokenLife(mounts)
	}
	return a.inRealm(func(d *desk) error {
		key, err := d.RotateKey(a, d.realm.ID, auth.KeyRotation{
			Algorithm: c.Algorithm, Bits: c.Bits, Ahead: ahead, Now: c.Now, TokenLife: life,
		}, d.by)
		if err != nil {
			return err
		}
		if c.Now {
			if err := a.warnOthers(d, c.Algorithm); err != nil {
				return err
			}
		} else if (auth.KeyPolicy{Ahead: ahead}).CacheTime() < policy.CacheTime() {
			fmt.Fprintf(a.err, "ostiary: warning: others may keep the published keys for %s, and may meet the new key before they know it\n", policy.CacheTime())
		}
		state := "signing"
		if key.SignsFrom.After(time.Now()) {
			state = "next"
		}
		return a.encoder().Encode(ofKey(key, state))
	})
}

// warnOthers names the algorithms whose keys lay beside the compromised ones.
func (a *app) warnOthers(d *desk, replaced string) error {
	keys, err := d.ListKeys(a, d.realm.ID)
	if err != nil {
		return err
	}
	var others []string
	for i, state := range keyStates(keys, time.Now()) {
		if state != "expired" && keys[i].Algorithm != replaced && !slices.Contains(others, keys[i].Algorithm) {
			others = append(others, keys[i].Algorithm)
		}
	}
	if len(others) > 0 {
		slices.Sort(others)
		fmt.Fprintf(a.err, "ostiary: warning: the realm's keys of %s are as they were: if others may know them too, replace them as well\n", strings.Join(others, ", "))
	}
	return nil
}
