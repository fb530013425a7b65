package keyring

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/seal"
)

// Ring is the keys of one realm, opened and ready. It never changes, and is safe for concurrent use.
type Ring struct {
	byKid  map[string]*key
	newest []*key // those that sign latest first
	jwks   keySet

	foreign []*ForeignKey
}

// key is one opened record.
type key struct {
	realm                uuid.UUID
	kid, algorithm       string
	signsFrom, expiresAt time.Time
	public               crypto.PublicKey
	signing              *SigningKey
	issuer               *string // of the tokens of a foreign key
}

// alive tells whether the key is good for anything.
func (k *key) alive(now time.Time) bool { return k.expiresAt.IsZero() || now.Before(k.expiresAt) }

// SigningKey signs with one private key. It is safe for concurrent use and holds no lock, so callers
// who must keep processors free for other work bound the number of signatures made at once.
type SigningKey struct {
	kid, algorithm string
	jwt, assertion string // protected headers, encoded, which differ in typ
	private        crypto.Signer
}

func newSigningKey(kid, algorithm string, private crypto.Signer) (*SigningKey, error) {
	k := &SigningKey{kid: kid, algorithm: algorithm, private: private}
	for typ, encoded := range map[string]*string{"JWT": &k.jwt, "at+jwt": &k.assertion} {
		header, err := json.Marshal(map[string]string{"alg": algorithm, "kid": kid, "typ": typ})
		if err != nil {
			return nil, err
		}
		*encoded = base64.RawURLEncoding.EncodeToString(header)
	}
	return k, nil
}

// Kid is the key's name in the header of what it signs.
func (k *SigningKey) Kid() string { return k.kid }

// Algorithm is the JOSE name of the key's algorithm.
func (k *SigningKey) Algorithm() string { return k.algorithm }

// Sign makes a JWS of the payload in the compact serialization (RFC 7515 section 7.1). Its protected header
// is alg, kid, and typ "JWT". The caller leaves the payload alone until Sign returns.
func (k *SigningKey) Sign(payload []byte) (string, error) { return k.sign(k.jwt, payload) }

// SignAssertion is Sign with the typ "at+jwt" (RFC 9068 section 2.1), which keeps the two kinds apart
// (RFC 8725 section 3.11).
func (k *SigningKey) SignAssertion(payload []byte) (string, error) {
	return k.sign(k.assertion, payload)
}

// sign follows RFC 7515 section 5.1.
func (k *SigningKey) sign(header string, payload []byte) (string, error) {
	compact := make([]byte, 0, len(header)+len(payload)*4/3+512)
	compact = append(append(compact, header...), '.')
	compact = base64.RawURLEncoding.AppendEncode(compact, payload)
	signature, err := k.signature(compact)
	if err != nil {
		return "", fmt.Errorf("keyring: sign with %s: %w", k.kid, err)
	}
	return string(base64.RawURLEncoding.AppendEncode(append(compact, '.'), signature)), nil
}

// signature is that of RFC 7518 sections 3.3 and 3.4, and of RFC 8037 section 3.1.
func (k *SigningKey) signature(input []byte) ([]byte, error) {
	sum := sha256.Sum256(input)
	switch private := k.private.(type) {
	case ed25519.PrivateKey:
		return ed25519.Sign(private, input), nil
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, private, sum[:])
		if err != nil {
			return nil, err
		}
		signature := make([]byte, 64) // 32 bytes each, on P-256
		r.FillBytes(signature[:32])
		s.FillBytes(signature[32:])
		return signature, nil
	}
	return k.private.Sign(rand.Reader, sum[:], crypto.SHA256) // RSA: PKCS #1 v1.5
}

// Open unseals the keys of one realm. It fails as a whole if any of them does not open, is not the key
// that its record says, is weak (ErrWeak), or is of another realm than the first. Foreign keys that have ended are not given.
func Open(master seal.Key, records []Record, foreign ...Foreign) (*Ring, error) {
	r := &Ring{byKid: make(map[string]*key, len(records))}
	for _, record := range records {
		k, err := open(master, record)
		if err != nil {
			return nil, fmt.Errorf("keyring: key %q: %w", record.Kid, err)
		}
		if k.realm != records[0].RealmID {
			return nil, fmt.Errorf("keyring: key %q is of another realm", record.Kid)
		}
		if r.byKid[k.kid] != nil {
			return nil, fmt.Errorf("keyring: key %q is there twice", record.Kid)
		}
		r.byKid[k.kid] = k
		r.newest = append(r.newest, k)
	}
	slices.SortFunc(r.newest, func(a, b *key) int {
		return cmp.Or(b.signsFrom.Compare(a.signsFrom), cmp.Compare(a.kid, b.kid))
	})
	published, err := r.addForeign(master, foreign)
	if err != nil {
		return nil, err
	}
	r.jwks, err = newKeySet(append(published, r.newest...))
	return r, err
}

func open(master seal.Key, record Record) (*key, error) {
	pkcs8, err := master.Open(record.Sealed, record.row())
	if err != nil {
		return nil, err
	}
	defer clear(pkcs8)
	parsed, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return nil, errors.New("the sealed key is damaged") // the cause may quote the key
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%w: %T does not sign", ErrUnsupported, parsed)
	}
	public := private.Public()
	if err := checkStrength(record.Algorithm, public); err != nil {
		return nil, err
	}
	kid, err := thumbprint(public)
	if err != nil {
		return nil, err
	}
	if spki, err := x509.MarshalPKIXPublicKey(public); err != nil || kid != record.Kid || !bytes.Equal(spki, record.Public) {
		return nil, errors.New("the record's kid or public key is not the private key's")
	}
	signing, err := newSigningKey(kid, record.Algorithm, private)
	if err != nil {
		return nil, err
	}
	return &key{
		realm:     record.RealmID,
		kid:       kid,
		algorithm: record.Algorithm,
		signsFrom: record.SignsFrom,
		expiresAt: record.ExpiresAt,
		public:    public,
		signing:   signing,
	}, nil
}

// Signer finds the key to sign with: of those of the algorithm that sign by now, the newest.
func (r *Ring) Signer(algorithm string, now time.Time) (*SigningKey, bool) {
	for _, k := range r.newest {
		if k.algorithm == algorithm && !now.Before(k.signsFrom) && k.alive(now) {
			return k.signing, true
		}
	}
	return nil, false
}

// Verifier finds the public key of that name, and the one algorithm that it verifies (RFC 8725 section 3.1):
// an *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey. A key that does not sign yet verifies already,
// because the clock of the node that signs may be ahead. The kid is looked up and nothing else is done with it.
func (r *Ring) Verifier(kid string, now time.Time) (public crypto.PublicKey, algorithm string, ok bool) {
	k, ok := r.byKid[kid]
	if !ok || !k.alive(now) {
		return nil, "", false
	}
	return k.public, k.algorithm, true
}

// JWKS is the JWK Set (RFC 7517 section 5) of the keys that sign, are about to, or whose tokens still live.
// The caller must not change it.
func (r *Ring) JWKS(now time.Time) []byte { return r.jwks.at(now) }

// NextEnd is when the first of the published keys ends; zero if none has an end.
func (r *Ring) NextEnd(now time.Time) time.Time { return r.jwks.nextEnd(now) }
