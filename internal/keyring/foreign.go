package keyring

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/seal"
)

// HS256 is HMAC with SHA-256 (RFC 7518 section 3.2): a foreign secret verifies it. Nothing here signs with it.
const HS256 = "HS256"

// maxRSABits is the largest RSA key of others that is used: beyond it a verification costs too much.
const maxRSABits = 8192

// MinSecret is how many bytes a secret of HS256 has at least (RFC 7518 section 3.2).
const MinSecret = 32

// Foreign is a key of another server, as it is stored. Tokens of one dialect and issuer that it has signed
// are good here until it ends; it signs nothing.
type Foreign struct {
	ID        uuid.UUID
	RealmID   uuid.UUID
	Kid       string // empty: its tokens name none
	Algorithm string
	Dialect   string
	Issuer    string // empty: its tokens have none
	Audience  string // empty: they may have any
	Public    []byte // SubjectPublicKeyInfo; empty for a secret
	Sealed    []byte // the secret, sealed for this record alone; empty for a public key
	CreatedAt time.Time
	ExpiresAt time.Time // never zero
}

// Alive tells whether the key is good for anything.
func (f Foreign) Alive(now time.Time) bool { return now.Before(f.ExpiresAt) }

// Name is what the key is called: its kid, or else its id.
func (f Foreign) Name() string { return cmp.Or(f.Kid, f.ID.String()) }

func (f Foreign) row() string {
	return "verify_key/" + f.ID.String() + "/" + f.RealmID.String() + "/" + f.Algorithm + "/" + f.Dialect + "/" + f.Kid
}

// SealSecret makes the secret that of the record, which is of HS256.
func (f *Foreign) SealSecret(master seal.Key, secret []byte) {
	f.Algorithm, f.Public = HS256, nil
	f.Sealed = master.Seal(secret, f.row())
}

// OpenSecret is the secret of a record of HS256.
func (f Foreign) OpenSecret(master seal.Key) ([]byte, error) { return master.Open(f.Sealed, f.row()) }

// CheckForeign tells whether a public key of another server can be used with an algorithm. Beside those that sign here,
// these are the others of RFC 7518 section 3.1 that RSA keys have, and ES384.
func CheckForeign(algorithm string, public crypto.PublicKey) error {
	switch k := public.(type) {
	case *rsa.PublicKey:
		switch algorithm {
		case RS256, "RS384", "RS512", "PS256", "PS384", "PS512":
			if k.N.BitLen() > maxRSABits {
				return fmt.Errorf("%w: RSA modulus of %d bits, of which %d are allowed", ErrUnsupported, k.N.BitLen(), maxRSABits)
			}
			return checkStrength(RS256, public)
		}
	case *ecdsa.PublicKey:
		if algorithm == "ES384" && k.Curve == elliptic.P384() {
			return nil
		}
	}
	return checkStrength(algorithm, public)
}

// usual is the algorithm that a key is for if nobody says another.
func usual(public crypto.PublicKey) string {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return RS256
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return ES256
		case elliptic.P384():
			return "ES384"
		}
	case ed25519.PublicKey:
		return EdDSA
	}
	return ""
}

// ForeignKey is a foreign key, opened and ready.
type ForeignKey struct {
	Foreign
	verifies any // a public key, or the []byte of a secret
}

// Verifies is what the key verifies its one algorithm with: an *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey; and
// only if that is HS256, a []byte. So no published key is ever the secret of an HMAC (RFC 8725 section 3.1).
func (k *ForeignKey) Verifies() any { return k.verifies }

func openForeign(master seal.Key, f Foreign) (*ForeignKey, error) {
	if f.Algorithm == HS256 {
		if len(f.Public) > 0 || len(f.Sealed) == 0 {
			return nil, errors.New("a key of HS256 that is no secret")
		}
		secret, err := f.OpenSecret(master)
		return &ForeignKey{f, secret}, err
	}
	public, err := x509.ParsePKIXPublicKey(f.Public)
	if err != nil {
		return nil, err
	}
	return &ForeignKey{f, public}, CheckForeign(f.Algorithm, public)
}

// addForeign opens the foreign keys, newest first. A public one stands in the JWK Set, by its thumbprint if its tokens
// name none. Of two with one kid the newest counts: the other one has ended, which a clock that is behind does not know yet.
func (r *Ring) addForeign(master seal.Key, records []Foreign) (published []*key, err error) {
	for _, record := range records {
		if record.Kid != "" && r.foreignBy(record.Kid) {
			continue
		}
		k, err := openForeign(master, record)
		if err != nil {
			return nil, fmt.Errorf("keyring: foreign key %q: %w", record.Name(), err)
		}
		if r.byKid[record.Kid] != nil {
			return nil, fmt.Errorf("keyring: foreign key %q has the kid of one of the realm's own", record.Kid)
		}
		r.foreign = append(r.foreign, k)
		if record.Algorithm == HS256 {
			continue
		}
		kid := record.Kid
		if kid == "" {
			if kid, err = thumbprint(k.verifies); err != nil {
				return nil, err
			}
		}
		published = append(published, &key{
			realm: record.RealmID, kid: kid, algorithm: record.Algorithm,
			signsFrom: record.CreatedAt, expiresAt: record.ExpiresAt, public: k.verifies, issuer: &k.Issuer,
		})
	}
	return published, nil
}

func (r *Ring) foreignBy(kid string) bool {
	for _, k := range r.foreign {
		if k.Kid == kid {
			return true
		}
	}
	return false
}

// HasForeign tells whether there are foreign keys.
func (r *Ring) HasForeign() bool { return len(r.foreign) > 0 }

// Foreign are the live foreign keys that a token may have been signed by: the one that it names, or if it names none, those
// whose tokens do not; and only those of its algorithm.
func (r *Ring) Foreign(kid, algorithm string, now time.Time) (keys []*ForeignKey) {
	for _, k := range r.foreign {
		if k.Kid == kid && k.Algorithm == algorithm && k.Alive(now) {
			keys = append(keys, k)
		}
	}
	return keys
}

// KnowsForeign tells whether a kid is that of a live foreign key, of whatever algorithm.
func (r *Ring) KnowsForeign(kid string, now time.Time) bool {
	for _, k := range r.foreign {
		if k.Kid == kid && k.Alive(now) {
			return true
		}
	}
	return false
}
