// Package keyring owns the signing keys of a realm: it makes them, seals them at rest, signs with them,
// and publishes their public halves as a JWK Set (RFC 7517).
//
// The life of a key is three moments. From its creation it is published and verifies, so that
// verifiers which cache the set know it before they need it. From SignsFrom it signs. From ExpiresAt,
// which rotation sets once a successor signs, it does nothing more: that moment lies a token's life
// after the last signature, so that no live token loses its key.
// A key that leaves the records altogether is refused from the next Ring on.
//
// Algorithms are RS256 (RFC 7518 section 3.3), ES256 (section 3.4), and EdDSA with Ed25519 (RFC 8037).
// A key has one of them for life, and is named by its JWK thumbprint (RFC 7638).
package keyring

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/seal"
)

// The algorithms of signing keys, by their JOSE names.
const (
	RS256 = "RS256"
	ES256 = "ES256"
	EdDSA = "EdDSA"
)

// The smallest RSA key that is used. NIST SP 800-57 part 1 asks for 2048 bits, SP 800-56B for the exponent.
const (
	minRSABits     = 2048
	minRSAExponent = 65537
)

// ErrUnsupported says that no key can be made of that algorithm or size.
var ErrUnsupported = errors.New("keyring: unsupported key")

// ErrWeak says that a key is weaker than any key used here may be.
var ErrWeak = errors.New("keyring: weak key")

// Record is a signing key as it is stored.
type Record struct {
	ID        uuid.UUID
	RealmID   uuid.UUID
	Kid       string // RFC 7638 thumbprint of the public key
	Algorithm string
	Sealed    []byte // PKCS #8 (RFC 5958), sealed for this record alone
	Public    []byte // SubjectPublicKeyInfo (RFC 5280 section 4.1)
	SignsFrom time.Time
	ExpiresAt time.Time // zero: not planned
	CreatedAt time.Time
}

// Bits is the size of an RSA key; 0 for the others, which have one size.
func (r Record) Bits() int {
	public, err := x509.ParsePKIXPublicKey(r.Public)
	if k, ok := public.(*rsa.PublicKey); ok && err == nil {
		return k.N.BitLen()
	}
	return 0
}

// Generate makes a key for a realm. bits is the size of an RSA key: 2048 (also for 0), 3072 or 4096;
// keys of the other algorithms have one size, and bits is 0. Any other wish is ErrUnsupported.
func Generate(master seal.Key, realm uuid.UUID, algorithm string, bits int, signsFrom time.Time) (Record, error) {
	private, err := generate(algorithm, bits)
	if err != nil {
		return Record{}, err
	}
	return Import(master, realm, algorithm, private, signsFrom)
}

// Import makes a record of a key that exists: an *rsa.PrivateKey, an *ecdsa.PrivateKey on P-256, or an ed25519.PrivateKey.
// A key that is not of the algorithm is ErrUnsupported, a weak one ErrWeak.
func Import(master seal.Key, realm uuid.UUID, algorithm string, private crypto.Signer, signsFrom time.Time) (Record, error) {
	if err := checkStrength(algorithm, private.Public()); err != nil {
		return Record{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Record{}, err
	}
	return newRecord(master, private, Record{
		ID:        id,
		RealmID:   realm,
		Algorithm: algorithm,
		SignsFrom: storable(signsFrom),
		CreatedAt: storable(time.Now()),
	})
}

func generate(algorithm string, bits int) (crypto.Signer, error) {
	if algorithm == RS256 {
		switch bits {
		case 0:
			return rsa.GenerateKey(rand.Reader, 2048)
		case 2048, 3072, 4096:
			return rsa.GenerateKey(rand.Reader, bits)
		}
		return nil, fmt.Errorf("%w: RS256 with %d bits (2048, 3072 or 4096)", ErrUnsupported, bits)
	}
	if bits != 0 {
		return nil, fmt.Errorf("%w: only RS256 keys have a choice of bits", ErrUnsupported)
	}
	switch algorithm {
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case EdDSA:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}
	return nil, fmt.Errorf("%w: algorithm %q (RS256, ES256 or EdDSA)", ErrUnsupported, algorithm)
}

// newRecord fills in what follows from the private key.
func newRecord(master seal.Key, private crypto.Signer, r Record) (Record, error) {
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return Record{}, err
	}
	defer clear(pkcs8)
	if r.Public, err = x509.MarshalPKIXPublicKey(private.Public()); err != nil {
		return Record{}, err
	}
	if r.Kid, err = thumbprint(private.Public()); err != nil {
		return Record{}, err
	}
	r.Sealed = master.Seal(pkcs8, r.row())
	return r, nil
}

// row names what the sealed key belongs to: moved to another record, realm, kid or algorithm, it does not open.
func (r Record) row() string {
	return "signing_key/" + r.ID.String() + "/" + r.RealmID.String() + "/" + r.Algorithm + "/" + r.Kid
}

// storable is a time as it comes back from the store, which keeps microseconds.
func storable(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// thumbprint is the base64url SHA-256 of a public key's required members (RFC 7638 section 3).
func thumbprint(public crypto.PublicKey) (string, error) {
	sum, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
	return base64.RawURLEncoding.EncodeToString(sum), err
}

// checkStrength tells whether a public key is of its algorithm and strong enough for it.
func checkStrength(algorithm string, public crypto.PublicKey) error {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if algorithm != RS256 {
			break
		}
		if n := k.N.BitLen(); n < minRSABits {
			return fmt.Errorf("%w: RSA modulus of %d bits", ErrWeak, n)
		}
		if k.E < minRSAExponent || k.E%2 == 0 {
			return fmt.Errorf("%w: RSA exponent %d", ErrWeak, k.E)
		}
		return nil
	case *ecdsa.PublicKey:
		if algorithm == ES256 && k.Curve == elliptic.P256() {
			return nil
		}
	case ed25519.PublicKey:
		if algorithm == EdDSA {
			return nil
		}
	}
	return fmt.Errorf("%w: a key of type %T with algorithm %q", ErrUnsupported, public, algorithm)
}
