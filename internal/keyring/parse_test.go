package keyring

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/seal"
)

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func TestParsePublic_Kinds(t *testing.T) {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for algorithm, key := range map[string]any{RS256: r.Public(), ES256: p256.Public(), "ES384": p384.Public(), EdDSA: ed} {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		jwk, err := jose.JSONWebKey{Key: key, KeyID: "k1"}.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		for text, kid := range map[string]string{
			string(pemOf("PUBLIC KEY", der)): "", string(jwk): "k1", `{"keys":[` + string(jwk) + `]}`: "k1", "\n " + string(jwk) + "\n": "k1",
		} {
			keys, left, err := ParsePublic([]byte(text))
			if err != nil || left != 0 || len(keys) != 1 || keys[0].Kid != kid || keys[0].Algorithm != algorithm {
				t.Fatalf("%s: %+v, %d, %v", algorithm, keys, left, err)
			}
			f, err := NewForeign(keys[0], Foreign{})
			if err != nil || string(f.Public) != string(der) || f.Algorithm != algorithm || f.Kid != kid {
				t.Errorf("%+v, %v", f, err)
			}
		}
	}
	if keys, _, err := ParsePublic(pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&r.PublicKey))); err != nil || keys[0].Algorithm != RS256 {
		t.Error(keys, err)
	}
	for _, algorithm := range []string{RS256, "RS384", "RS512", "PS256", "PS384", "PS512"} {
		if err := CheckForeign(algorithm, r.Public()); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
	}
	for algorithm, key := range map[string]any{HS256: r.Public(), ES256: p384.Public(), "ES384": p256.Public(), RS256: p256.Public(), "": ed, "none": r.Public(), "RS256 ": r.Public()} {
		if err := CheckForeign(algorithm, key); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%q: %v", algorithm, err)
		}
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []*rsa.PublicKey{&small.PublicKey, {N: r.N, E: 3}, {N: r.N, E: 65538}} {
		if err := CheckForeign("PS256", key); !errors.Is(err, ErrWeak) {
			t.Errorf("%d bits, exponent %d: %v", key.N.BitLen(), key.E, err)
		}
	}
	private, err := x509.MarshalPKCS8PrivateKey(r)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := jose.JSONWebKey{Key: r, KeyID: "k1"}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]error{
		string(pemOf("PRIVATE KEY", private)): errPrivate, string(pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(r))): errPrivate,
		string(pemOf("ENCRYPTED PRIVATE KEY", private)): errPrivate, string(jwk): errPrivate, `{"keys":[` + string(jwk) + `]}`: errPrivate,
		`{"kty":"oct","k":"AAAA"}`: errSecret, "": errNoKey, "garbage": errNoKey, string(pemOf("CERTIFICATE REQUEST", private)): errNoKey,
	} {
		if keys, _, err := ParsePublic([]byte(text)); !errors.Is(err, want) {
			t.Errorf("%.40q: %+v, %v", text, keys, err)
		}
	}
	for _, text := range []string{
		`{"kty":"RSA"}`, `{"keys":{}}`, `{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}`, `{"kty":"RSA","kty":"RSA"}`, `{}`, `{"keys":[` + strings.Repeat("{},", 64) + `{}]}`,
		string(pemOf("PUBLIC KEY", []byte("x"))), string(pemOf("PUBLIC KEY", private)) + string(pemOf("PUBLIC KEY", private)),
	} {
		if keys, _, err := ParsePublic([]byte(text)); err == nil {
			t.Errorf("%.60q: %+v", text, keys)
		}
	}
}

// A set with a key that is for something else, or of a kind that nobody here knows, has the others.
func TestParsePublic_LeavesOut(t *testing.T) {
	const signs = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a","use":"sig"}`
	for _, other := range []string{
		`{"kty":"OKP","crv":"X25519","x":"3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08","use":"enc"}`, `{"kty":"AKP","alg":"ML-DSA-44","pub":"AA"}`, `{"kty":"EC","crv":"P-999","use":"enc"}`,
	} {
		keys, left, err := ParsePublic([]byte(`{"keys":[` + other + "," + signs + `]}`))
		if err != nil || left != 1 || len(keys) != 1 || keys[0].Kid != "a" {
			t.Errorf("%s: %+v, %d, %v", other, keys, left, err)
		}
	}
	for _, bad := range []string{`{"kty":"OKP","crv":"X25519","d":"AA","use":"enc"}`, `{"kty":"oct","k":"AA","use":"enc"}`, `{"kty":7}`, `{"use":"sig"}`} {
		if keys, _, err := ParsePublic([]byte(`{"keys":[` + bad + "," + signs + `]}`)); err == nil {
			t.Errorf("%s: %+v", bad, keys)
		}
	}
}

// A secret is opened for its record alone, and is never published.
func TestForeign_Secret(t *testing.T) {
	master := seal.New()
	f := Foreign{ID: uuid.New(), RealmID: uuid.New(), Kid: "hs", Dialect: "one", ExpiresAt: time.Now().Add(time.Hour)}
	f.SealSecret(master, []byte("a secret of at least thirty-two bytes"))
	ring, err := Open(master, nil, f)
	if err != nil {
		t.Fatal(err)
	}
	if set := string(ring.JWKS(time.Now())); set != `{"keys":[]}` {
		t.Errorf("published: %s", set)
	}
	if keys := ring.Foreign("hs", HS256, time.Now()); len(keys) != 1 || len(ring.Foreign("hs", RS256, time.Now())) != 0 || len(ring.Foreign("hs", HS256, f.ExpiresAt)) != 0 {
		t.Errorf("%v", keys)
	}
	for name, change := range map[string]func(*Foreign){
		"another dialect": func(f *Foreign) { f.Dialect = "two" }, "another kid": func(f *Foreign) { f.Kid = "x" }, "another realm": func(f *Foreign) { f.RealmID = uuid.New() },
		"a public key as the secret": func(f *Foreign) { f.Public, f.Sealed = []byte("x"), nil }, "the secret as a public key": func(f *Foreign) { f.Algorithm = RS256 },
	} {
		other := f
		change(&other)
		if _, err := Open(master, nil, other); err == nil {
			t.Errorf("%s: it opens", name)
		}
	}
	if ring, err := Open(master, nil, f, f); err != nil || len(ring.Foreign("hs", HS256, time.Now())) != 1 {
		t.Errorf("one kid twice: %v", err)
	}
}

// FuzzParsePublic: whatever the text, what is read can be written and read again.
func FuzzParsePublic(f *testing.F) {
	for _, seed := range []string{
		"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n",
		`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a","alg":"EdDSA"}`,
		`{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},{"kty":"oct","k":"AA"}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, _, err := ParsePublic(text)
		if err != nil {
			return
		}
		for _, k := range keys {
			record, err := NewForeign(k, Foreign{ID: uuid.New(), ExpiresAt: time.Now().Add(time.Hour)})
			if err != nil {
				continue
			}
			ring, err := Open(seal.New(), nil, record)
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			if again, _, err := ParsePublic(ring.JWKS(time.Now())); err != nil || len(again) != 1 {
				t.Fatalf("published: %v", err)
			}
		}
	})
}
