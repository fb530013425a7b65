package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/keyring"
	"github.com/ostiary/ostiary/internal/seal"
)

// rotation is the rings of a realm before and after a rotation: the next key signs from noon + 10 min,
// and the old one ends at noon + 30 min.
func rotation(t testing.TB) (before, after *keyring.Ring) {
	t.Helper()
	master, id := seal.New(), uuid.New()
	generate := func(from time.Time) keyring.Record {
		r, err := keyring.Generate(master, id, keyring.EdDSA, 0, from)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	open := func(records ...keyring.Record) *keyring.Ring {
		r, err := keyring.Open(master, records)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	old, next := generate(noon.Add(-time.Hour)), generate(noon.Add(10*time.Minute))
	before = open(old)
	old.ExpiresAt = noon.Add(30 * time.Minute)
	return before, open(old, next)
}

// benchClaims are those of an access token.
func benchClaims() Claims {
	c := good()
	c["iss"], c["jti"], c["token_use"] = "urn:ostiary:default:senmo", JTI(uuid.New()), "access"
	c["client_id"], c["scope"], c["username"], c["auth_time"] = "ostiary", "openid", "someone@example.com", noon.Unix()
	return c
}

func BenchmarkSign(b *testing.B) {
	claims := benchClaims()
	for _, algorithm := range algorithms {
		k := signer(b, algorithm)
		b.Run(algorithm, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Sign(k, claims); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(algorithm+"/limit", func(b *testing.B) {
			private := ours().private[algorithm]
			message := []byte(signed(b, keyring.EdDSA, claims))
			b.ReportAllocs()
			for b.Loop() {
				if err := rawSign(private, message); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// rawSign is the signature alone: the limit of Sign.
func rawSign(private crypto.Signer, message []byte) error {
	if _, ok := private.(ed25519.PrivateKey); ok {
		_, err := private.Sign(rand.Reader, message, crypto.Hash(0))
		return err
	}
	sum := sha256.Sum256(message)
	_, err := private.Sign(rand.Reader, sum[:], crypto.SHA256)
	return err
}

func BenchmarkParse(b *testing.B) {
	for _, algorithm := range algorithms {
		compact := signed(b, algorithm, benchClaims())
		b.Run(algorithm, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(ring(b), compact, noon); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(algorithm+"/limit", func(b *testing.B) {
			message := []byte(compact)
			sum := sha256.Sum256(message)
			var verify func() bool
			switch k := ours().private[algorithm].(type) {
			case *rsa.PrivateKey:
				signature, _ := rsa.SignPKCS1v15(nil, k, crypto.SHA256, sum[:])
				verify = func() bool {
					sum := sha256.Sum256(message)
					return rsa.VerifyPKCS1v15(&k.PublicKey, crypto.SHA256, sum[:], signature) == nil
				}
			case *ecdsa.PrivateKey:
				signature, _ := ecdsa.SignASN1(rand.Reader, k, sum[:])
				verify = func() bool {
					sum := sha256.Sum256(message)
					return ecdsa.VerifyASN1(&k.PublicKey, sum[:], signature)
				}
			case ed25519.PrivateKey:
				signature := ed25519.Sign(k, message)
				public := k.Public().(ed25519.PublicKey)
				verify = func() bool { return ed25519.Verify(public, message, signature) }
			}
			b.ReportAllocs()
			for b.Loop() {
				if !verify() {
					b.Fatal("does not verify")
				}
			}
		})
	}
}
