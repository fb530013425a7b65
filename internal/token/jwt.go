package token

import (
	"crypto"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/ostiary/ostiary/internal/keyring"
	"github.com/ostiary/ostiary/internal/strictjson"
)

const (
	// MaxSize is the length of the longest JWT that is made or read.
	MaxSize = 12 << 10
	// Leeway is how far ahead of ours the clock may be that wrote iat and nbf. exp has none.
	Leeway = 60 * time.Second
)

// ErrInvalid says that a JWT is not one of the realm's, or is not good now. Errors that wrap it
// give a reason for the log, which never quotes the token.
var ErrInvalid = errors.New("token: invalid JWT")

// ErrUnknownKey is ErrInvalid for a kid that the ring does not have: it may be newer than the ring.
var ErrUnknownKey = fmt.Errorf("%w: header: unknown kid", ErrInvalid)

func invalid(reason string) error { return fmt.Errorf("%w: %s", ErrInvalid, reason) }

// Sign makes a JWT of the claims, which are not changed. They need exp and iat; these, nbf and auth_time must be
// whole seconds (int, int64, or an integral json.Number). What Sign makes, Parse reads.
func Sign(key *keyring.SigningKey, claims Claims) (string, error) {
	payload, err := claims.payload()
	if err != nil {
		return "", err
	}
	compact, err := key.Sign(payload)
	if err != nil {
		return "", err
	}
	if len(compact) > MaxSize {
		return "", fmt.Errorf("token: a JWT of %d bytes, of which %d are allowed", len(compact), MaxSize)
	}
	return compact, nil
}

// SignAssertion makes an assertion of claims, as Sign makes a JWT. Its typ is another, so that Parse refuses it, and
// it may be of any length: no server of ours reads it.
func SignAssertion(key *keyring.SigningKey, claims Claims) (string, error) {
	payload, err := claims.payload()
	if err != nil {
		return "", err
	}
	return key.SignAssertion(payload)
}

// Parse reads a JWT that a key of the ring signed, and that is good now. Whose it is and at which door
// it is good is for the caller to see from the claims: iss, sub, aud, token_use.
//
// The reason of an error follows the order of the checks; nothing is trusted before the signature is verified,
// the header excepted, which only ever chooses one of the ring's keys (RFC 8725 sections 3.1 to 3.3, 3.10, 3.11).
func Parse(r *keyring.Ring, compact string, now time.Time) (Claims, error) {
	claims, _, err := parse(r, compact, now)
	return claims, err
}

func parse(r *keyring.Ring, compact string, now time.Time) (claims Claims, kid string, err error) {
	if len(compact) > MaxSize {
		return nil, "", invalid("too long")
	}
	header, err := split(compact)
	if err != nil {
		return nil, "", err
	}
	k, err := chooseKey(r, header, now)
	if err != nil {
		return nil, "", err
	}
	payload, err := verify(compact, k.public, k.algorithm)
	if err != nil {
		return nil, "", err
	}
	if err := strictjson.Decode(payload, &claims); err != nil {
		return nil, "", invalid("claims: not one strict JSON object")
	}
	if err := claims.checkDates(now); err != nil {
		return nil, "", err
	}
	return claims, k.kid, nil
}

// split checks the shape of a compact JWS (RFC 7515 section 7.1), three parts in their only spelling, and returns its header.
// A JWE has five parts.
func split(compact string) (header []byte, err error) {
	if strings.Count(compact, ".") != 2 {
		return nil, invalid("not three parts")
	}
	for i, part := range strings.Split(compact, ".") {
		decoded, ok := canonical(url, part)
		if !ok {
			return nil, invalid("not canonical base64url")
		}
		if i == 0 {
			header = decoded
		}
	}
	return header, nil
}

// chosenKey is the key that a header names.
type chosenKey struct {
	kid       string
	public    crypto.PublicKey
	algorithm jose.SignatureAlgorithm
}

// chooseKey finds the key that the header names. The header is exactly alg, kid and typ, as Sign writes it: there is
// no room for jwk, jku, x5u and x5c, which would bring a key along, nor for crit and b64, which would change the rules.
// The algorithm is the key's, never the header's choice.
func chooseKey(r *keyring.Ring, header []byte, now time.Time) (chosenKey, error) {
	var h map[string]string
	if err := strictjson.Decode(header, &h); err != nil {
		return chosenKey{}, invalid("header: not an object of texts")
	}
	if len(h) != 3 || h["alg"] == "" || h["kid"] == "" || h["typ"] != "JWT" {
		return chosenKey{}, invalid(`header: not alg, kid, and typ "JWT"`)
	}
	public, algorithm, ok := r.Verifier(h["kid"], now)
	if !ok {
		return chosenKey{}, ErrUnknownKey
	}
	if h["alg"] != algorithm {
		return chosenKey{}, invalid("header: alg is not the key's")
	}
	return chosenKey{h["kid"], public, jose.SignatureAlgorithm(algorithm)}, nil
}

// verify returns the payload of a JWS that the key signed. The key's algorithm is all of the allow-list.
func verify(compact string, key any, algorithm jose.SignatureAlgorithm) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{algorithm})
	if err != nil {
		return nil, invalid("not a JWS")
	}
	payload, err := jws.Verify(key)
	if err != nil {
		return nil, invalid("wrong signature")
	}
	return payload, nil
}

// checkDates checks the claims that say when a JWT is good (RFC 7519 sections 4.1.4 to 4.1.6), of which exp and iat
// must be there.
func (c Claims) checkDates(now time.Time) error {
	for _, name := range [...]string{"exp", "iat"} {
		if _, present := c[name]; !present {
			return invalid(name + ": absent or no date")
		}
	}
	return c.checkPresent(now)
}

// checkPresent checks those that are there.
func (c Claims) checkPresent(now time.Time) error {
	exp, ok := numericDate(c["exp"])
	_, present := c["exp"]
	switch {
	case present && !ok:
		return invalid("exp: absent or no date")
	case present && !exp.After(now):
		return invalid("exp: expired")
	}
	iat, ok := numericDate(c["iat"])
	if _, present = c["iat"]; present && !ok {
		return invalid("iat: absent or no date")
	}
	if _, present := c["nbf"]; present {
		nbf, ok := numericDate(c["nbf"])
		if !ok {
			return invalid("nbf: no date")
		}
		if nbf.After(now.Add(Leeway)) {
			return invalid("nbf: not yet good")
		}
	}
	if iat.After(now.Add(Leeway)) {
		return invalid("iat: in the future")
	}
	return nil
}
