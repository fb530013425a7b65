package keyring

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/ostiary/ostiary/internal/strictjson"
)

// PublicKey is a key of others as they publish it.
type PublicKey struct {
	Kid       string // empty: it has none
	Algorithm string // what it says, or what keys of its kind are for; empty: nothing that is known
	Key       crypto.PublicKey
}

// maxParsed is how many keys a set has at most.
const maxParsed = 64

// What is no public key, and what to do about it.
var (
	errPrivate = errors.New("this is a private key, which stays where it is: its public half is enough (openssl pkey -in FILE -pubout)")
	errSecret  = errors.New("this is a shared secret, which is not published: give it by --secret-file, as its bytes are")
	errNoKey   = errors.New("neither a public key or certificate in PEM, nor a JWK or JWK Set")
)

// ParsePublic reads a public key or a certificate in PEM (RFC 7468), a JWK (RFC 7517 section 4) or a JWK Set
// (section 5), of which keys that are not for signatures are left out, and counted. Private keys are refused.
func ParsePublic(text []byte) (keys []PublicKey, left int, err error) {
	text = bytes.TrimSpace(text)
	if !bytes.HasPrefix(text, []byte("{")) {
		key, err := parsePEM(text)
		return []PublicKey{key}, 0, err
	}
	object, err := strictjson.Object(text)
	if err != nil {
		return nil, 0, fmt.Errorf("JWK: %w", err)
	}
	members := []json.RawMessage{text}
	if set, there := object["keys"]; there {
		members = nil
		if err := json.Unmarshal(set, &members); err != nil {
			return nil, 0, errors.New("JWK Set: keys is no list")
		}
	}
	if len(members) > maxParsed {
		return nil, 0, fmt.Errorf("JWK Set: %d keys, of which %d are allowed", len(members), maxParsed)
	}
	for i, member := range members {
		key, signs, err := parseJWK(member)
		switch {
		case err != nil && len(members) > 1:
			return nil, 0, fmt.Errorf("key %d: %w", i+1, err)
		case err != nil:
			return nil, 0, err
		case signs:
			keys = append(keys, key)
		default:
			left++
		}
	}
	return keys, left, nil
}

func parsePEM(text []byte) (PublicKey, error) {
	block, rest := pem.Decode(text)
	if block == nil {
		return PublicKey{}, errNoKey
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return PublicKey{}, errors.New("more than one PEM block: give them one by one")
	}
	var public crypto.PublicKey
	var err error
	switch {
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return PublicKey{}, errPrivate
	case block.Type == "PUBLIC KEY":
		public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case block.Type == "RSA PUBLIC KEY":
		public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case block.Type == "CERTIFICATE":
		var c *x509.Certificate
		if c, err = x509.ParseCertificate(block.Bytes); err == nil {
			public = c.PublicKey
		}
	default:
		return PublicKey{}, errNoKey
	}
	if err != nil {
		return PublicKey{}, fmt.Errorf("PEM: the %s is damaged: %w", strings.ToLower(block.Type), err)
	}
	return PublicKey{Algorithm: usual(public), Key: public}, nil
}

// parseJWK reads a JWK; signs is false for one that is for something else than signatures.
func parseJWK(text []byte) (k PublicKey, signs bool, err error) {
	object, err := strictjson.Object(text)
	if err != nil {
		return k, false, fmt.Errorf("JWK: %w", err)
	}
	for _, member := range []string{"d", "p", "q", "dp", "dq", "qi", "oth"} { // RFC 7518 sections 6.2.2 and 6.3.2
		if _, private := object[member]; private {
			return k, false, errPrivate
		}
	}
	if _, secret := object["k"]; secret {
		return k, false, errSecret
	}
	said := func(member string) (text string) {
		_ = json.Unmarshal(object[member], &text) // what is no text is refused below
		return text
	}
	// Section 5: keys of kinds that are not known are left out. So are those for something else, whatever is in them.
	use, kty := said("use"), said("kty")
	if use != "" && use != "sig" || kty != "" && !slices.Contains([]string{"RSA", "EC", "OKP"}, kty) {
		return k, false, nil
	}
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON(text); err != nil {
		return k, false, fmt.Errorf("JWK: %w", err)
	}
	k = PublicKey{jwk.KeyID, jwk.Algorithm, jwk.Key}
	if k.Algorithm == "" {
		k.Algorithm = usual(jwk.Key)
	}
	return k, true, nil
}

// NewForeign fills in what follows from a public key.
func NewForeign(k PublicKey, f Foreign) (Foreign, error) {
	if err := CheckForeign(k.Algorithm, k.Key); err != nil {
		return f, err
	}
	var err error
	f.Kid, f.Algorithm, f.Sealed = k.Kid, k.Algorithm, nil
	f.Public, err = x509.MarshalPKIXPublicKey(k.Key)
	return f, err
}

// PublishedKid is by which name a foreign key stands in the JWK Set; "" for a secret, which never does.
func (f Foreign) PublishedKid() (string, error) {
	if f.Algorithm == HS256 || f.Kid != "" {
		return f.Kid, nil
	}
	public, err := x509.ParsePKIXPublicKey(f.Public)
	if err != nil {
		return "", err
	}
	return thumbprint(public)
}
