package keyring

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/seal"
)

var (
	master = seal.New()
	realm  = uuid.New()
	noon   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

func generated(t testing.TB, algorithm string, signsFrom, expiresAt time.Time) Record {
	t.Helper()
	r, err := Generate(master, realm, algorithm, 0, signsFrom)
	if err != nil {
		t.Fatal(err)
	}
	r.ExpiresAt = expiresAt
	return r
}

func opened(t testing.TB, records ...Record) *Ring {
	t.Helper()
	r, err := Open(master, records)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestGenerate_Algorithms(t *testing.T) {
	for _, c := range []struct {
		algorithm  string
		bits, want int
	}{
		{RS256, 0, 2048}, {RS256, 2048, 2048}, {RS256, 3072, 3072}, {RS256, 4096, 4096}, {ES256, 0, 256}, {EdDSA, 0, 256},
	} {
		if testing.Short() && c.bits > 2048 {
			continue // slow to generate
		}
		r, err := Generate(master, realm, c.algorithm, c.bits, noon.Add(1234))
		if err != nil {
			t.Fatalf("%s %d: %v", c.algorithm, c.bits, err)
		}
		public, err := x509.ParsePKIXPublicKey(r.Public)
		if err != nil {
			t.Fatal(err)
		}
		var bits int
		switch k := public.(type) {
		case *rsa.PublicKey:
			bits = k.N.BitLen()
		case *ecdsa.PublicKey:
			bits = k.Curve.Params().BitSize
		case ed25519.PublicKey:
			bits = 8 * len(k)
		}
		kid, err := thumbprint(public)
		if err != nil {
			t.Fatal(err)
		}
		if bits != c.want || r.Kid != kid || len(kid) != 43 || r.Algorithm != c.algorithm || r.RealmID != realm || r.ID.Version() != 7 {
			t.Errorf("%s %d: %d bits, kid %q of %q, record %+v", c.algorithm, c.bits, bits, r.Kid, kid, r)
		}
		if rsaBits := r.Bits(); rsaBits != c.want && (c.algorithm == RS256 || rsaBits != 0) {
			t.Errorf("%s %d: its record says %d bits", c.algorithm, c.bits, rsaBits)
		}
		if !r.SignsFrom.Equal(noon.Add(1000)) || !r.ExpiresAt.IsZero() || r.CreatedAt.IsZero() {
			t.Errorf("%s: times %v, %v, %v", c.algorithm, r.SignsFrom, r.ExpiresAt, r.CreatedAt)
		}
		if _, ok := opened(t, r).Signer(c.algorithm, noon.Add(time.Second)); !ok {
			t.Errorf("%s %d: does not sign", c.algorithm, c.bits)
		}
	}
}

func TestGenerate_Refuses(t *testing.T) {
	for _, c := range []struct {
		algorithm string
		bits      int
	}{
		{RS256, 1024}, {RS256, 2047}, {RS256, -1}, {RS256, 1 << 20}, {ES256, 256}, {EdDSA, 2048},
		{"", 0}, {"none", 0}, {"HS256", 0}, {"rs256", 0}, {"PS256", 0}, {"RS512", 0}, {"ES384", 0},
	} {
		if _, err := Generate(master, realm, c.algorithm, c.bits, noon); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s %d: %v", c.algorithm, c.bits, err)
		}
	}
}

// RFC 7638 section 3.1, RFC 8037 appendix A.3.
func TestThumbprint_RFCVectors(t *testing.T) {
	n := "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs" +
		"tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbI" +
		"SD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
	decode := func(s string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, c := range []struct {
		public crypto.PublicKey
		want   string
	}{
		{&rsa.PublicKey{N: new(big.Int).SetBytes(decode(n)), E: 65537}, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"},
		{ed25519.PublicKey(decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"},
	} {
		if got, err := thumbprint(c.public); err != nil || got != c.want {
			t.Errorf("%T: %s, %v, want %s", c.public, got, err, c.want)
		}
	}
}

func TestOpen_Refuses(t *testing.T) {
	good, other := generated(t, EdDSA, noon, time.Time{}), generated(t, EdDSA, noon, time.Time{})
	change := func(f func(*Record)) []Record {
		r := good
		f(&r)
		return []Record{r}
	}
	for name, records := range map[string][]Record{
		"another id":           change(func(r *Record) { r.ID = uuid.New() }),
		"another realm":        change(func(r *Record) { r.RealmID = uuid.New() }),
		"another kid":          change(func(r *Record) { r.Kid = other.Kid }),
		"another algorithm":    change(func(r *Record) { r.Algorithm = RS256 }),
		"another public key":   change(func(r *Record) { r.Public = other.Public }),
		"another's sealed key": change(func(r *Record) { r.Sealed = other.Sealed }),
		"no sealed key":        change(func(r *Record) { r.Sealed = nil }),
		"a flipped bit": change(func(r *Record) {
			r.Sealed = bytes.Clone(r.Sealed)
			r.Sealed[len(r.Sealed)/2] ^= 1
		}),
		"no key inside":       change(func(r *Record) { r.Sealed = master.Seal([]byte("x"), r.row()) }),
		"another key inside":  change(func(r *Record) { r.Sealed = resealed(t, other, *r) }),
		"the same key twice":  {good, good},
		"keys of two realms":  {good, inRealm(t, uuid.New())},
		"a bad one among two": {other, change(func(r *Record) { r.Sealed = nil })[0]},
	} {
		if ring, err := Open(master, records); err == nil || ring != nil {
			t.Errorf("%s: opened", name)
		}
	}
	if _, err := Open(seal.New(), []Record{good}); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("another master key: %v", err)
	}
}

// resealed is the private key of one record, sealed for another.
func resealed(t *testing.T, from, to Record) []byte {
	t.Helper()
	pkcs8, err := master.Open(from.Sealed, from.row())
	if err != nil {
		t.Fatal(err)
	}
	return master.Seal(pkcs8, to.row())
}

func inRealm(t *testing.T, realm uuid.UUID) Record {
	t.Helper()
	r, err := Generate(master, realm, EdDSA, 0, noon)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestOpen_Empty(t *testing.T) {
	ring := opened(t)
	if _, ok := ring.Signer(RS256, noon); ok {
		t.Error("an empty ring signs")
	}
	if _, _, ok := ring.Verifier("", noon); ok {
		t.Error("an empty ring verifies")
	}
	if got := string(ring.JWKS(noon)); got != `{"keys":[]}` {
		t.Errorf("an empty ring publishes %s", got)
	}
}

func TestRecord_HoldsNoPrivateKey(t *testing.T) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Import(master, realm, EdDSA, private, noon)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(r.Sealed, private.Seed()) || bytes.Contains(r.Public, private.Seed()) {
		t.Error("the record holds the private key in the clear")
	}
}

func TestThreat33_WeakKey(t *testing.T) {
	short := rsaKey(t, 1024, 65537)
	cube := rsaKey(t, 2048, 3)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, algorithm string
		private         crypto.Signer
		want            error
	}{
		{"1024 bits", RS256, short, ErrWeak},
		{"exponent 3", RS256, cube, ErrWeak},
		{"P-384 as ES256", ES256, p384, ErrUnsupported},
		{"P-256 as RS256", RS256, p256, ErrUnsupported},
		{"RSA as ES256", ES256, cube, ErrUnsupported},
		{"P-256 as none", "none", p256, ErrUnsupported},
		{"P-256 as HS256", "HS256", p256, ErrUnsupported},
	} {
		if _, err := Import(master, realm, c.algorithm, c.private, noon); !errors.Is(err, c.want) {
			t.Errorf("import %s: %v", c.name, err)
		}
		// A record that is in the database by whatever way is refused all the same.
		record, err := newRecord(master, c.private, Record{ID: uuid.New(), RealmID: realm, Algorithm: c.algorithm, SignsFrom: noon})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(master, []Record{record}); !errors.Is(err, c.want) {
			t.Errorf("open %s: %v", c.name, err)
		}
	}
}

// rsaKey makes a key with any exponent, which crypto/rsa does not.
func rsaKey(t *testing.T, bits, e int) *rsa.PrivateKey {
	t.Helper()
	one := big.NewInt(1)
	for {
		p, err := rand.Prime(rand.Reader, bits/2)
		if err != nil {
			t.Fatal(err)
		}
		q, err := rand.Prime(rand.Reader, bits/2)
		if err != nil {
			t.Fatal(err)
		}
		n := new(big.Int).Mul(p, q)
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		d := new(big.Int).ModInverse(big.NewInt(int64(e)), phi)
		if n.BitLen() != bits || d == nil {
			continue
		}
		key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: e}, D: d, Primes: []*big.Int{p, q}}
		key.Precompute()
		return key
	}
}
