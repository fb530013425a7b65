package token

import (
	"crypto/sha256"
	"time"

	"github.com/ostiary/ostiary/internal/keyring"
	"github.com/ostiary/ostiary/internal/recent"
)

// Verifier is Parse with a memory for signatures that it has verified, since the same
// tokens come again and again, and a signature costs more than all other checks.
// What depends on the time is checked each time: the dates, and that the key still
// lives. A JWT is remembered for one ring alone, so that none outlives a change of keys.
//
// It is safe for concurrent use; the zero Verifier is ready.
type Verifier struct {
	// By the hash of the whole token: the memory holds nothing that could be presented.
	known recent.Map[[sha256.Size]byte, verified]
}

// verified is a JWT whose signature is right.
type verified struct {
	ring    *keyring.Ring
	kid     string
	claims  Claims
	foreign *keyring.ForeignKey // that has signed it, instead of the ring's kid
}

func (v verified) check(r *keyring.Ring, now time.Time) bool {
	if v.ring != r || v.foreign != nil {
		return false
	}
	_, _, alive := r.Verifier(v.kid, now)
	return alive && v.claims.checkDates(now) == nil
}

// Parse does what the function Parse does. The caller must not change the claims.
func (v *Verifier) Parse(r *keyring.Ring, compact string, now time.Time) (Claims, error) {
	if len(compact) > MaxSize {
		return nil, invalid("too long")
	}
	sum := sha256.Sum256([]byte(compact))
	if found, ok := v.known.Get(sum); ok && found.check(r, now) {
		return found.claims, nil
	}
	claims, kid, err := parse(r, compact, now)
	if err != nil {
		return nil, err
	}
	v.known.Put(sum, verified{ring: r, kid: kid, claims: claims}, 4*len(compact)) // what becomes of JSON is some times as long
	return claims, nil
}

// ParseForeign does what the function ParseForeign does. The caller must not change the claims.
func (v *Verifier) ParseForeign(r *keyring.Ring, compact string, now time.Time) (Claims, *keyring.ForeignKey, error) {
	if len(compact) > MaxSize {
		return nil, nil, invalid("too long")
	}
	sum := sha256.Sum256([]byte(compact))
	if found, ok := v.known.Get(sum); ok && found.checkForeign(r, now) {
		return found.claims, found.foreign, nil
	}
	claims, key, err := ParseForeign(r, compact, now)
	if err != nil {
		return nil, nil, err
	}
	v.known.Put(sum, verified{ring: r, claims: claims, foreign: key}, 4*len(compact))
	return claims, key, nil
}

func (v verified) checkForeign(r *keyring.Ring, now time.Time) bool {
	return v.ring == r && v.foreign != nil && v.foreign.Alive(now) && v.claims.checkPresent(now) == nil
}
