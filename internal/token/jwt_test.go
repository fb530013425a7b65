package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/keyring"
	"github.com/ostiary/ostiary/internal/seal"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var algorithms = []string{keyring.RS256, keyring.ES256, keyring.EdDSA}

// realm is a realm's ring, with the private keys that only tests have outside of it.
type realm struct {
	ring    *keyring.Ring
	private map[string]crypto.Signer // by algorithm
}

func newRealm() realm {
	_, ed, err1 := ed25519.GenerateKey(rand.Reader)
	ec, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	rs, err3 := rsa.GenerateKey(rand.Reader, 2048)
	r := realm{private: map[string]crypto.Signer{keyring.RS256: rs, keyring.ES256: ec, keyring.EdDSA: ed}}
	master, id := seal.New(), uuid.New()
	var records []keyring.Record
	err := errors.Join(err1, err2, err3)
	for algorithm, private := range r.private {
		record, err4 := keyring.Import(master, id, algorithm, private, noon.Add(-time.Hour))
		err = errors.Join(err, err4)
		records = append(records, record)
	}
	ring, err5 := keyring.Open(master, records)
	if err = errors.Join(err, err5); err != nil {
		panic(err)
	}
	r.ring = ring
	return r
}

var ours = sync.OnceValue(newRealm)

func ring(testing.TB) *keyring.Ring { return ours().ring }

func signer(t testing.TB, algorithm string) *keyring.SigningKey {
	t.Helper()
	k, ok := ours().ring.Signer(algorithm, noon)
	if !ok {
		t.Fatal("no signer for " + algorithm)
	}
	return k
}

// good are claims that are good at noon.
func good() Claims { return Claims{"sub": "7", "iat": noon.Unix(), "exp": noon.Unix() + 3600} }

func signed(t testing.TB, algorithm string, claims Claims) string {
	t.Helper()
	compact, err := Sign(signer(t, algorithm), claims)
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// signedText signs a payload that Sign would not make.
func signedText(t testing.TB, payload string) string {
	t.Helper()
	compact, err := signer(t, keyring.EdDSA).Sign([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// signedWith signs any header with the realm's own Ed25519 key: whatever is refused, is not for its signature.
func signedWith(t testing.TB, header, payload string) string {
	t.Helper()
	input := url.EncodeToString([]byte(header)) + "." + url.EncodeToString([]byte(payload))
	signature := ed25519.Sign(ours().private[keyring.EdDSA].(ed25519.PrivateKey), []byte(input))
	return input + "." + url.EncodeToString(signature)
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// refused checks that a JWT is refused by ErrInvalid with this reason ("" for any), and that the error does not quote it.
func refused(t *testing.T, what, compact, reason string) {
	t.Helper()
	claims, err := Parse(ring(t), compact, noon)
	switch {
	case !errors.Is(err, ErrInvalid) || claims != nil:
		t.Errorf("%s: %v, %v", what, claims, err)
	case !strings.Contains(err.Error(), reason):
		t.Errorf("%s: refused for another reason: %v", what, err)
	case len(err.Error()) > 100:
		t.Errorf("%s: an error of %d bytes", what, len(err.Error()))
	}
}

func TestJWT_ExactClaims(t *testing.T) {
	claims := Claims{
		"iss": "https://login.example.com/?a=1&b=<2>", "sub": "7", "aud": "my-app", "jti": JTI(uuid.New()), "token_use": "access",
		"name": "Zoë \u2028 \U0001F600 \"quoted\" \\ \x01", "email_verified": true, "nothing": nil,
		"big": int64(9007199254740993), "list": []any{"a", json.Number("1")}, "object": map[string]any{"x": "y"},
	}
	claims["iat"] = noon.Add(999 * time.Millisecond).Unix()
	claims["nbf"] = noon.Unix()
	claims["exp"] = noon.Add(2 * time.Hour).Unix()
	claims["auth_time"] = noon.Add(-time.Minute).Unix()
	before := maps.Clone(claims)
	want := maps.Clone(claims)
	want["iat"], want["nbf"], want["exp"], want["auth_time"] = json.Number("1772366400"), json.Number("1772366400"), json.Number("1772373600"), json.Number("1772366340")
	want["big"] = json.Number("9007199254740993")
	for _, algorithm := range algorithms {
		compact := signed(t, algorithm, claims)
		got, err := Parse(ring(t), compact, noon)
		if err != nil {
			t.Fatalf("%s: %v", algorithm, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", algorithm, got, want)
		}
		if !reflect.DeepEqual(claims, before) {
			t.Errorf("%s: Sign changed the claims: %v", algorithm, claims)
		}
		// What was parsed can be signed again.
		if again := signed(t, keyring.EdDSA, got); again != signed(t, keyring.EdDSA, claims) {
			t.Errorf("%s: signed again, it differs", algorithm)
		}
	}
}

func TestSign_Wire(t *testing.T) {
	claims := good()
	claims["iss"] = "a<b>&c"
	parts := strings.Split(signed(t, keyring.RS256, claims), ".")
	header, _ := canonical(url, parts[0])
	payload, _ := canonical(url, parts[1])
	if want := fmt.Sprintf(`{"alg":"RS256","kid":%q,"typ":"JWT"}`, signer(t, keyring.RS256).Kid()); string(header) != want {
		t.Errorf("header %s, want %s", header, want)
	}
	if want := `{"exp":1772370000,"iat":1772366400,"iss":"a<b>&c","sub":"7"}`; string(payload) != want {
		t.Errorf("payload %s, want %s", payload, want)
	}
}

func TestSign_Refuses(t *testing.T) {
	for what, change := range map[string]func(Claims){
		"no exp":             func(c Claims) { delete(c, "exp") },
		"no iat":             func(c Claims) { delete(c, "iat") },
		"exp nil":            func(c Claims) { c["exp"] = nil },
		"exp time.Time":      func(c Claims) { c["exp"] = noon },
		"exp float":          func(c Claims) { c["exp"] = 1.5e9 },
		"exp text":           func(c Claims) { c["exp"] = "1772370000" },
		"exp negative":       func(c Claims) { c["exp"] = -1 },
		"exp of a zero Time": func(c Claims) { c["exp"] = time.Time{}.Unix() },
		"iat fraction":       func(c Claims) { c["iat"] = json.Number("1.5") },
		"nbf text":           func(c Claims) { c["nbf"] = "" },
		"auth_time nil":      func(c Claims) { c["auth_time"] = nil },
		"not UTF-8":          func(c Claims) { c["sub"] = "a\xff" },
		"not JSON":           func(c Claims) { c["x"] = func() {} },
		"too long":           func(c Claims) { c["x"] = strings.Repeat("x", MaxSize) },
	} {
		claims := good()
		change(claims)
		if compact, err := Sign(signer(t, keyring.EdDSA), claims); err == nil || compact != "" {
			t.Errorf("%s: signed", what)
		}
	}
}

func TestClaims_Getters(t *testing.T) {
	c := Claims{"s": "x", "e": "", "n": json.Number("1772366400.25"), "i": 5, "l": []any{"x"}, "nil": nil, "f": 1.5}
	if c.String("s") != "x" || c.String("n") != "" || c.String("l") != "" || c.String("absent") != "" {
		t.Error("String")
	}
	if want := noon.Add(250 * time.Millisecond); !c.Time("n").Equal(want) || c.Time("n").Location() != time.UTC {
		t.Errorf("Time: %v, want %v", c.Time("n"), want)
	}
	if !c.Time("i").Equal(time.Unix(5, 0)) || !c.Time("s").IsZero() || !c.Time("f").IsZero() || !c.Time("absent").IsZero() {
		t.Error("Time of what is none")
	}
	if !c.Is("s", "x") || c.Is("s", "X") || c.Is("e", "") || c.Is("absent", "") || c.Is("nil", "") || c.Is("l", "x") {
		t.Error("Is")
	}
}

// The published set is all that another library needs to read our tokens.
func TestJWT_ReadByJWKS(t *testing.T) {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(ring(t).JWKS(noon), &set); err != nil {
		t.Fatal(err)
	}
	for _, algorithm := range algorithms {
		jws, err := jose.ParseSignedCompact(signed(t, algorithm, good()), []jose.SignatureAlgorithm{jose.SignatureAlgorithm(algorithm)})
		if err != nil {
			t.Fatal(err)
		}
		if payload, err := jws.Verify(set); err != nil || !strings.Contains(string(payload), `"sub":"7"`) {
			t.Errorf("%s: %s, %v", algorithm, payload, err)
		}
	}
}

// Whatever Parse takes is one of the texts that were signed: nobody else has the keys.
func FuzzParse(f *testing.F) {
	known := map[string]bool{}
	for _, algorithm := range algorithms {
		compact := signed(f, algorithm, good())
		known[compact] = true
		f.Add(compact)
		f.Add(compact + "\n")
		f.Add(compact[:len(compact)-1])
	}
	f.Add("..")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add(signedWith(f, `{"alg":"EdDSA","alg":"none"}`, `{}`))
	f.Add(signedText(f, `{"exp":1e400,"iat":-1}`))
	f.Fuzz(func(t *testing.T, compact string) {
		claims, err := Parse(ours().ring, compact, noon)
		if (err == nil) != known[compact] {
			t.Errorf("%q: %v, %v", compact, claims, err)
		}
		if err != nil && (!errors.Is(err, ErrInvalid) || claims != nil) {
			t.Errorf("%q: %v, %v", compact, claims, err)
		}
	})
}

// The claims are what a key signed, yet they are read as if a stranger had written them.
func FuzzParse_Claims(f *testing.F) {
	f.Add(`{"iat":1772366400,"exp":1772370000}`)
	f.Add(`{"iat":1772366400.5,"exp":17723700e2,"nbf":-0}`)
	f.Add(`{"iat":1,"exp":1e400}`)
	f.Add(`{"exp":1772370000,"exp":1,"iat":1}`)
	f.Fuzz(func(t *testing.T, payload string) {
		compact, err := signer(t, keyring.EdDSA).Sign([]byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		claims, err := Parse(ours().ring, compact, noon)
		if err == nil && (!claims.Time("exp").After(noon) || claims.Time("iat").IsZero() || claims.Time("iat").After(noon.Add(Leeway))) {
			t.Errorf("%q is good", payload)
		}
	})
}
