package keyring

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// checkSignature verifies a compact JWS with the standard library alone, and returns its header.
func checkSignature(public crypto.PublicKey, compact string) (map[string]any, error) {
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("%d parts", len(parts))
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		return nil, err
	}
	var header map[string]any
	if err := json.Unmarshal(raw, &header); err != nil {
		return nil, err
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return nil, err
	}
	input := []byte(parts[0] + "." + parts[1])
	sum := sha256.Sum256(input)
	ok := false
	switch k := public.(type) {
	case *rsa.PublicKey:
		ok = rsa.VerifyPKCS1v15(k, crypto.SHA256, sum[:], signature) == nil
	case *ecdsa.PublicKey:
		ok = len(signature) == 64 && ecdsa.Verify(k, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	case ed25519.PublicKey:
		ok = ed25519.Verify(k, input, signature)
	}
	if !ok {
		return nil, fmt.Errorf("the signature does not verify with %T", public)
	}
	return header, nil
}

func TestSign_VerifiesWithStandardLibrary(t *testing.T) {
	ring := opened(t, generated(t, RS256, noon, time.Time{}), generated(t, ES256, noon, time.Time{}), generated(t, EdDSA, noon, time.Time{}))
	for _, algorithm := range []string{RS256, ES256, EdDSA} {
		k, ok := ring.Signer(algorithm, noon)
		if !ok || k.Algorithm() != algorithm {
			t.Fatalf("%s: no signer", algorithm)
		}
		compact, err := k.Sign([]byte(`{"a":1}`))
		if err != nil {
			t.Fatal(err)
		}
		public, alg, ok := ring.Verifier(k.Kid(), noon)
		if !ok || alg != algorithm {
			t.Fatalf("%s: no verifier, or of %s", algorithm, alg)
		}
		header, err := checkSignature(public, compact)
		if err != nil {
			t.Fatalf("%s: %v", algorithm, err)
		}
		if len(header) != 3 || header["alg"] != algorithm || header["kid"] != k.Kid() || header["typ"] != "JWT" {
			t.Errorf("%s: header %v", algorithm, header)
		}
	}
}

// Sixty-four clients sign with one key at once.
func TestSign_Parallel(t *testing.T) {
	ring := opened(t, generated(t, RS256, noon, time.Time{}), generated(t, EdDSA, noon, time.Time{}))
	var group sync.WaitGroup
	for i := range 64 {
		group.Go(func() {
			algorithm := []string{RS256, EdDSA}[i%2]
			k, _ := ring.Signer(algorithm, noon)
			compact, err := k.Sign(fmt.Appendf(nil, `{"i":%d}`, i))
			if err != nil {
				t.Error(err)
				return
			}
			public, _, _ := ring.Verifier(k.Kid(), noon)
			if _, err := checkSignature(public, compact); err != nil {
				t.Errorf("%s, client %d: %v", algorithm, i, err)
			}
		})
	}
	group.Wait()
}

func TestRing_LifeOfAKey(t *testing.T) {
	const instant = time.Microsecond
	r := generated(t, ES256, noon, noon.Add(time.Hour))
	ring := opened(t, r)
	for _, c := range []struct {
		at                         time.Time
		signs, verifies, published bool
	}{
		{noon.Add(-time.Hour), false, true, true},
		{noon.Add(-instant), false, true, true},
		{noon, true, true, true},
		{noon.Add(time.Hour - instant), true, true, true},
		{noon.Add(time.Hour), false, false, false},
		{noon.Add(999 * time.Hour), false, false, false},
	} {
		_, signs := ring.Signer(ES256, c.at)
		_, _, verifies := ring.Verifier(r.Kid, c.at)
		published := slices.Contains(kids(t, ring, c.at), r.Kid)
		if signs != c.signs || verifies != c.verifies || published != c.published {
			t.Errorf("at %v: signs %v, verifies %v, published %v", c.at, signs, verifies, published)
		}
	}
	if _, ok := ring.Signer(RS256, noon); ok {
		t.Error("an ES256 key signs RS256")
	}
}

func TestSigner_NewestOfTheAlgorithm(t *testing.T) {
	old := generated(t, EdDSA, noon, noon.Add(3*time.Hour))
	next := generated(t, EdDSA, noon.Add(time.Hour), time.Time{})
	brief := generated(t, EdDSA, noon.Add(2*time.Hour), noon.Add(150*time.Minute))
	ring := opened(t, brief, old, generated(t, ES256, noon.Add(90*time.Minute), time.Time{}), next)
	for _, c := range []struct {
		after time.Duration
		want  string
	}{{0, old.Kid}, {59 * time.Minute, old.Kid}, {time.Hour, next.Kid}, {2 * time.Hour, brief.Kid}, {150 * time.Minute, next.Kid}, {999 * time.Hour, next.Kid}} {
		if k, ok := ring.Signer(EdDSA, noon.Add(c.after)); !ok || k.Kid() != c.want {
			t.Errorf("after %v: not the key due", c.after)
		}
	}
}

// kids reads a published set, which must be whole JSON with no member that is not public.
func kids(t *testing.T, ring *Ring, now time.Time) []string {
	t.Helper()
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	if err := json.Unmarshal(ring.JWKS(now), &set); err != nil {
		t.Fatalf("%s: %v", ring.JWKS(now), err)
	}
	members := map[string][]string{
		RS256: {"alg", "e", "kid", "kty", "n", "use"},
		ES256: {"alg", "crv", "kid", "kty", "use", "x", "y"},
		EdDSA: {"alg", "crv", "kid", "kty", "use", "x"},
	}
	var got []string
	for _, k := range set.Keys {
		var names []string
		for name := range k {
			names = append(names, name)
		}
		slices.Sort(names)
		if !slices.Equal(names, members[k["alg"]]) || k["use"] != "sig" {
			t.Errorf("a key of %s is published with %v, use %q", k["alg"], names, k["use"])
		}
		got = append(got, k["kid"])
	}
	return got
}

func TestThreat33_JWKSIsPublic(t *testing.T) {
	records := []Record{generated(t, RS256, noon, time.Time{}), generated(t, ES256, noon, time.Time{}), generated(t, EdDSA, noon, time.Time{})}
	ring := opened(t, records...)
	if got := kids(t, ring, noon); len(got) != 3 {
		t.Fatalf("published %v", got)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(ring.JWKS(noon), &set); err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		found := set.Key(r.Kid)
		if len(found) != 1 || !found[0].Valid() || !found[0].IsPublic() || found[0].Algorithm != r.Algorithm {
			t.Errorf("%s is published as %v", r.Algorithm, found)
			continue
		}
		if k, ok := found[0].Key.(*rsa.PublicKey); ok && (k.N.BitLen() < 2048 || k.E != 65537) {
			t.Errorf("RSA modulus of %d bits, exponent %d", k.N.BitLen(), k.E)
		}
		public, _, _ := ring.Verifier(r.Kid, noon)
		if !found[0].Key.(interface{ Equal(crypto.PublicKey) bool }).Equal(public) {
			t.Errorf("%s: another key is published", r.Algorithm)
		}
	}
}

func TestJWKS_ShrinksAsKeysExpire(t *testing.T) {
	var records []Record
	for i := range 5 {
		expires := noon.Add(time.Duration(i) * time.Hour)
		if i == 4 {
			expires = time.Time{}
		}
		records = append(records, generated(t, EdDSA, noon.Add(-time.Hour), expires))
	}
	records[1].ExpiresAt = records[2].ExpiresAt // two expire together
	ring := opened(t, records...)
	whole := bytes.Clone(ring.JWKS(noon.Add(-time.Second)))
	for _, c := range []struct {
		hours float64
		want  int
	}{{-1, 5}, {0, 4}, {1, 4}, {1.5, 4}, {2, 2}, {3, 1}, {999, 1}} {
		now := noon.Add(time.Duration(c.hours * float64(time.Hour)))
		got := kids(t, ring, now)
		if len(got) != c.want {
			t.Errorf("at %v h: %d keys", c.hours, len(got))
		}
		if next := ring.NextEnd(now); next.IsZero() != (c.want <= 1) || !next.IsZero() && len(kids(t, ring, next)) >= c.want {
			t.Errorf("at %v h: the next key ends %v", c.hours, next)
		}
		for _, r := range records {
			if _, _, ok := ring.Verifier(r.Kid, now); ok != slices.Contains(got, r.Kid) {
				t.Errorf("at %v h: key published %v, verifies %v", c.hours, !ok, ok)
			}
		}
	}
	if !bytes.Equal(whole, ring.JWKS(noon.Add(-time.Second))) {
		t.Error("reading a shorter set changed the whole")
	}
	if got := string(opened(t, records[0]).JWKS(noon)); got != `{"keys":[]}` {
		t.Errorf("with all keys expired: %s", got)
	}
}

// A verifier that fetches the set only every cacheLife, and never on a miss, follows a rotation that was
// planned that far ahead without one failure, while tokens are signed all the time.
func TestThreat34_RotationUnderLoad(t *testing.T) {
	const cacheLife, tokenLife = 10 * time.Minute, 30 * time.Minute
	old := generated(t, EdDSA, noon.Add(-time.Hour), time.Time{})
	rings := atomic.Pointer[Ring]{}
	rings.Store(opened(t, old))

	rotatedAt := noon.Add(time.Hour)
	signsFrom := rotatedAt.Add(cacheLife)
	next := generated(t, EdDSA, signsFrom, time.Time{})
	old.ExpiresAt = signsFrom.Add(tokenLife)
	rotated := opened(t, old, next)

	type issued struct {
		compact, kid string
		at           time.Time
	}
	var living []issued
	var cached jose.JSONWebKeySet
	var fetched time.Time
	used := map[string]int{}
	for now := noon; now.Before(noon.Add(3 * time.Hour)); now = now.Add(time.Minute) {
		if !now.Before(rotatedAt) {
			rings.Store(rotated)
		}
		ring := rings.Load()
		if now.Sub(fetched) >= cacheLife {
			cached = jose.JSONWebKeySet{}
			if err := json.Unmarshal(ring.JWKS(now), &cached); err != nil {
				t.Fatal(err)
			}
			fetched = now
		}
		k, ok := ring.Signer(EdDSA, now)
		if !ok {
			t.Fatalf("%v: nothing signs", now)
		}
		compact, err := k.Sign([]byte(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		used[k.Kid()]++
		living = append(living, issued{compact, k.Kid(), now})
		living = slices.DeleteFunc(living, func(i issued) bool { return now.Sub(i.at) >= tokenLife })
		for _, i := range living {
			found := cached.Key(i.kid)
			if len(found) != 1 {
				t.Fatalf("%v: the key of a token of %v is not in the cached set", now, i.at)
			}
			if _, err := checkSignature(found[0].Key, i.compact); err != nil {
				t.Fatal(err)
			}
			if _, _, ok := ring.Verifier(i.kid, now); !ok {
				t.Fatalf("%v: a live token's key does not verify", now)
			}
		}
	}
	if used[old.Kid] != 70 || used[next.Kid] != 110 {
		t.Errorf("signatures by the old and the new key: %d, %d", used[old.Kid], used[next.Kid])
	}
	// Emergency: a key taken out of the records is refused at once.
	if _, _, ok := opened(t, next).Verifier(old.Kid, noon); ok {
		t.Error("a removed key verifies")
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, algorithm := range []string{RS256, ES256, EdDSA} {
		records := []Record{generated(b, algorithm, noon, time.Time{})}
		b.Run(algorithm, func(b *testing.B) {
			for b.Loop() {
				if _, err := Open(master, records); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkJWKS(b *testing.B) {
	records := []Record{generated(b, RS256, noon, noon.Add(time.Hour)), generated(b, RS256, noon, time.Time{})}
	ring := opened(b, records...)
	for name, now := range map[string]time.Time{"whole": noon, "shrunk": noon.Add(time.Hour)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ring.JWKS(now)
			}
		})
	}
}
