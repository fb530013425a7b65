package token

import (
	"crypto/sha256"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/ostiary/ostiary/internal/keyring"
	"github.com/ostiary/ostiary/internal/strictjson"
)

// HashForeign is the SHA-256 of an opaque token's text that another server made, by which it is stored. It is false for
// what is no word of visible ASCII, or longer than a header may be.
func HashForeign(text string) ([32]byte, bool) {
	if text == "" || len(text) > MaxSize {
		return [32]byte{}, false
	}
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return [32]byte{}, false
		}
	}
	return sha256.Sum256([]byte(text)), true
}

// HashSigned is the SHA-256 of what is signed of a JWT: an ES256 signature has two spellings, which must not make
// two tokens of one.
func HashSigned(compact string) [32]byte {
	return sha256.Sum256([]byte("jwt " + compact[:strings.LastIndexByte(compact, '.')+1]))
}

// ParseForeign reads a JWT that a foreign key of the ring has signed. Dates that it has must be good now; that it needs
// some, and whose it is, and iss and aud, are for the caller to see, from the claims and the key.
//
// It is as strict as Parse, but that other servers write other headers: kid and typ may be absent.
func ParseForeign(r *keyring.Ring, compact string, now time.Time) (Claims, *keyring.ForeignKey, error) {
	if len(compact) > MaxSize {
		return nil, nil, invalid("too long")
	}
	header, err := split(compact)
	if err != nil {
		return nil, nil, err
	}
	keys, err := chooseForeign(r, header, now)
	if err != nil {
		return nil, nil, err
	}
	for _, key := range keys {
		var payload []byte
		if payload, err = verify(compact, key.Verifies(), jose.SignatureAlgorithm(key.Algorithm)); err != nil {
			continue
		}
		var claims Claims
		if err := strictjson.Decode(payload, &claims); err != nil {
			return nil, nil, invalid("claims: not one strict JSON object")
		}
		return claims, key, claims.checkPresent(now)
	}
	return nil, nil, err
}

// foreignTypes are what other servers call a JWT (RFC 7519 section 5.1, RFC 9068 section 2.1).
var foreignTypes = []string{"", "JWT", "at+jwt", "application/at+jwt"}

// chooseForeign finds the keys that a header may mean: by its kid, or without one, those whose tokens have none. It
// has no room for jwk, jku, x5u and x5c, which would bring a key along, nor for crit and b64, which would change the
// rules; the hashes of a certificate are not looked at.
func chooseForeign(r *keyring.Ring, header []byte, now time.Time) ([]*keyring.ForeignKey, error) {
	var h map[string]string
	if err := strictjson.Decode(header, &h); err != nil {
		return nil, invalid("header: not an object of texts")
	}
	for name := range h {
		switch name {
		case "alg", "kid", "typ", "x5t", "x5t#S256":
		default:
			return nil, invalid("header: more than alg, kid and typ")
		}
	}
	typed := false
	for _, typ := range foreignTypes {
		typed = typed || strings.EqualFold(h["typ"], typ)
	}
	if !typed {
		return nil, invalid("header: typ is not that of a JWT")
	}
	if kid, named := h["kid"]; named && kid == "" {
		return nil, invalid("header: an empty kid")
	}
	keys := r.Foreign(h["kid"], h["alg"], now)
	switch {
	case len(keys) > 0:
		return keys, nil
	case r.KnowsForeign(h["kid"], now):
		return nil, invalid("header: alg is not the key's")
	}
	return nil, ErrUnknownKey
}
