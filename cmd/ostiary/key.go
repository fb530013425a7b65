package main

import (
	"cmp"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/keyring"
)

type keyCmd struct {
	List   keyList   `cmd:"" help:"List the realm's signing keys."`
	Rotate keyRotate `cmd:"" help:"Make a new signing key in place of the older ones."`
}

type keyList struct{ listFlags }

func (keyList) Help() string {
	return `The newest first: signing, next (published, and signs from its time on), verifying (until the last of its tokens
has ended), or expired.

Example:
    ostiary key list`
}

type keyJSON struct {
	Kid       string     `json:"kid"`
	Algorithm string     `json:"algorithm"`
	State     string     `json:"state"`
	CreatedAt time.Time  `json:"created_at"`
	SignsFrom time.Time  `json:"signs_from"`
	ExpiresAt *time.Time `json:"expires_at"`
}

func ofKey(k keyring.Record, state string) keyJSON {
	return keyJSON{k.Kid, k.Algorithm, state, k.CreatedAt, k.SignsFrom, when(k.ExpiresAt)}
}

func (c *keyList) Run(a *app) error {
	return a.inRealm(func(d *desk) error {
		keys, err := d.ListKeys(a, d.realm.ID)
		if err != nil {
			return err
		}
		l := a.list(c.listFlags, "KID", "ALGORITHM", "STATE", "CREATED", "SIGNS FROM", "EXPIRES")
		states := keyStates(keys, time.Now())
		for i, k := range keys {
			if err := l.row(ofKey(k, states[i]), k.Kid, k.Algorithm, states[i], k.CreatedAt, k.SignsFrom, k.ExpiresAt); err != nil {
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

// defaultAhead is longer than verifiers cache the published keys.
const defaultAhead = 24 * time.Hour

type keyRotate struct {
	Algorithm string         `enum:"RS256,ES256,EdDSA" default:"RS256" help:"RS256, ES256 or EdDSA."`
	Bits      int            `placeholder:"N" help:"Size of an RS256 key: 2048 (default), 3072 or 4096."`
	Ahead     *time.Duration `placeholder:"DURATION" help:"How long the new key is published before it signs. Default: 24h."`
	Now       bool           `help:"The old keys are compromised: refuse them and their tokens from now on."`
}

func (keyRotate) Help() string {
	return `Verifiers that cache the published keys learn the new one before it signs. The old keys verify until the last of their
tokens has ended. Prints the new key as one JSON object.

Examples:
    ostiary key rotate
    ostiary key rotate --algorithm RS256 --bits 3072 --ahead 48h
    ostiary key rotate --now`
}

func (c *keyRotate) Run(a *app) error {
	ahead := defaultAhead
	if c.Ahead != nil {
		ahead = *c.Ahead
	}
	if ahead < 0 {
		return misusef("--ahead: must not be negative")
	}
	if c.Now && c.Ahead != nil {
		return misusef("--now and --ahead can't be used together: a key that is compromised is replaced at once")
	}
	if c.Bits != 0 && c.Algorithm != keyring.RS256 {
		return misusef("--bits: only RS256 keys have a choice")
	}
	life, err := a.tokenLife()
	if err != nil {
		return misuse(err.Error())
	}
	return a.inRealm(func(d *desk) error {
		key, err := d.RotateKey(a, d.realm.ID, auth.KeyRotation{
			Algorithm: c.Algorithm, Bits: c.Bits, Ahead: ahead, Now: c.Now, TokenLife: life,
		}, d.by)
		if err != nil {
			return err
		}
		state := "signing"
		if key.SignsFrom.After(time.Now()) {
			state = "next"
		}
		return a.encoder().Encode(ofKey(key, state))
	})
}

// leastTokenLife bounds from below how long a rotated key verifies, for servers whose
// configuration this command line does not see.
const leastTokenLife = 24 * time.Hour

// tokenLife is how long a JWT of the realm may live at the most.
func (a *app) tokenLife() (time.Duration, error) {
	mounts, err := a.set.Mounts(dialects())
	if err != nil {
		return 0, err
	}
	life := leastTokenLife
	for _, m := range mounts {
		if m.Algorithm != "" {
			life = max(life, cmp.Or(m.AccessTTL, m.SessionMax))
		}
	}
	return life + time.Minute, nil // clocks differ
}
