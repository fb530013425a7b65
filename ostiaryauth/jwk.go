package ostiaryauth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"math"
	"math/big"
)

// The RSA keys that are used: NIST SP 800-57 part 1 asks for 2048 bits, SP 800-56B for the exponent; beyond 8192
// bits a verification costs too much.
const (
	minRSABits     = 2048
	maxRSABits     = 8192
	minRSAExponent = 65537
)

// publicKey is a key of the set, which verifies one algorithm (RFC 8725 section 3.1).
type publicKey struct {
	alg string
	key crypto.PublicKey // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
	// foreign is set for a key of another server that Ostiary takes over from: it is good for the access tokens of
	// that issuer, and for nothing that is Ostiary's own.
	foreign bool
	issuer  string
}

// parseJWKS reads a JWK Set (RFC 7517 section 5), by kid. Keys of other kinds and uses, weak and damaged ones are left
// out; so is a kid that is there twice, since it names no key.
func parseJWKS(text []byte) (map[string]publicKey, error) {
	o, err := parseObject(text)
	if err != nil {
		return nil, err
	}
	members, ok := o["keys"].([]any)
	if !ok {
		return nil, errors.New("no JWK Set")
	}
	keys, seen := map[string]publicKey{}, map[string]bool{}
	for _, member := range members {
		jwk, _ := member.(object)
		kid := jwk.text("kid")
		if kid == "" || seen[kid] {
			delete(keys, kid)
			continue
		}
		seen[kid] = true
		if k, ok := parseJWK(jwk); ok {
			keys[kid] = k
		}
	}
	return keys, nil
}

// parseJWK reads a key that signs. Its alg may be absent, but not another than that of the key's type.
func parseJWK(jwk object) (k publicKey, ok bool) {
	switch {
	case jwk.is("kty", "RSA"):
		k.alg = "RS256"
		k.key, ok = parseRSA(jwk) // RFC 7518 section 6.3.1
	case jwk.is("kty", "EC") && jwk.is("crv", "P-256"):
		k.alg = "ES256"
		k.key, ok = parseEC(jwk) // RFC 7518 section 6.2.1
	case jwk.is("kty", "OKP") && jwk.is("crv", "Ed25519"):
		k.alg = "EdDSA"
		x, decoded := decode(jwk.text("x")) // RFC 8037 section 2
		k.key, ok = ed25519.PublicKey(x), decoded && len(x) == ed25519.PublicKeySize
	}
	k.foreign, k.issuer = !jwk.lacks("iss"), jwk.text("iss")
	ok = ok && (jwk.lacks("use") || jwk.is("use", "sig")) && (jwk.lacks("alg") || jwk.is("alg", k.alg))
	return k, ok
}

func parseRSA(jwk object) (*rsa.PublicKey, bool) {
	n, ok1 := decode(jwk.text("n"))
	e, ok2 := decode(jwk.text("e"))
	if !ok1 || !ok2 || len(e) > 4 {
		return nil, false
	}
	k := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	bits := k.N.BitLen()
	return k, bits >= minRSABits && bits <= maxRSABits && k.N.Bit(0) == 1 && k.E >= minRSAExponent && k.E&1 == 1 && k.E <= math.MaxInt32
}

func parseEC(jwk object) (*ecdsa.PublicKey, bool) {
	x, ok1 := decode(jwk.text("x"))
	y, ok2 := decode(jwk.text("y"))
	if !ok1 || !ok2 || len(x) != 32 || len(y) != 32 {
		return nil, false
	}
	// It checks that the point is on the curve.
	k, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	return k, err == nil
}

// verify checks the signature of a JWS. The algorithm is the key's; that the header names it too is checked, and
// chooses nothing.
func (k publicKey) verify(t jws) error {
	if t.alg != k.alg {
		return invalid("header: alg is not the key's")
	}
	sum := sha256.Sum256([]byte(t.signed))
	good := false
	switch key := k.key.(type) {
	case *rsa.PublicKey:
		good = rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], t.signature) == nil
	case *ecdsa.PublicKey: // RFC 7518 section 3.4: r and s, of 32 bytes each
		if len(t.signature) == 64 {
			r, s := new(big.Int).SetBytes(t.signature[:32]), new(big.Int).SetBytes(t.signature[32:])
			good = ecdsa.Verify(key, sum[:], r, s)
		}
	case ed25519.PublicKey:
		good = ed25519.Verify(key, []byte(t.signed), t.signature)
	}
	if !good {
		return invalid("wrong signature")
	}
	return nil
}
