package token

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/ostiary/ostiary/internal/keyring"
)

// remembered is how many JWTs a Verifier remembers at least; at most it is twice as many.
const remembered = 4096

// Verifier is Parse with a memory for signatures that it has verified, since the same
// tokens come again and again, and a signature costs more than all other checks.
// What depends on the time is checked each time: the dates, and that the key still
// lives. A JWT is remembered for one ring alone, so that none outlives a change of keys.
//
// It is safe for concurrent use; the zero Verifier is ready.
type Verifier struct {
	mu sync.RWMutex
	// By the hash of the whole token: the memory holds nothing that could be presented.
	// When recent is full, it becomes older, and what is not used again is forgotten.
	recent, older map[[sha256.Size]byte]verified
}

// verified is a JWT whose signature is right.
type verified struct {
	ring   *keyring.Ring
	kid    string
	claims Claims
}

func (v verified) check(r *keyring.Ring, now time.Time) bool {
	if v.ring != r {
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
	if found, ok := v.find(sum); ok && found.check(r, now) {
		return found.claims, nil
	}
	claims, kid, err := parse(r, compact, now)
	if err != nil {
		return nil, err
	}
	v.keep(sum, verified{r, kid, claims})
	return claims, nil
}

func (v *Verifier) find(sum [sha256.Size]byte) (verified, bool) {
	v.mu.RLock()
	found, recent := v.recent[sum]
	older := false
	if !recent {
		found, older = v.older[sum]
	}
	v.mu.RUnlock()
	if older {
		v.keep(sum, found)
	}
	return found, recent || older
}

func (v *Verifier) keep(sum [sha256.Size]byte, found verified) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.recent) >= remembered || v.recent == nil {
		v.older, v.recent = v.recent, make(map[[sha256.Size]byte]verified)
	}
	v.recent[sum] = found
}
