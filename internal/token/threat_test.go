package token

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/keyring"
)

func TestThreat23_AlgNone(t *testing.T) {
	payload := url.EncodeToString([]byte(text(good())))
	kid := signer(t, keyring.RS256).Kid()
	signature := strings.Split(signed(t, keyring.RS256, good()), ".")[2]
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "none ", "", "null"} {
		header := url.EncodeToString([]byte(text(map[string]string{"alg": alg, "kid": kid, "typ": "JWT"})))
		for _, end := range []string{".", "", "." + signature, ".AA"} {
			refused(t, fmt.Sprintf("alg %q, end %.5q", alg, end), header+"."+payload+end, "")
		}
		// Not even with a true signature of the realm's key.
		own := text(map[string]string{"alg": alg, "kid": signer(t, keyring.EdDSA).Kid(), "typ": "JWT"})
		refused(t, fmt.Sprintf("alg %q, signed", alg), signedWith(t, own, text(good())), "header: ")
	}
	for _, algorithm := range algorithms {
		parts := strings.Split(signed(t, algorithm, good()), ".")
		refused(t, algorithm+" without a signature", parts[0]+"."+parts[1]+".", "")
		refused(t, algorithm+" of two parts", parts[0]+"."+parts[1], "not three parts")
	}
	// RFC 7519 section 6.1.
	refused(t, "the RFC's unsecured JWT", "eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.", "header: ")
}

func TestThreat24_HS256WithPublicKey(t *testing.T) {
	for _, algorithm := range algorithms {
		public := ours().private[algorithm].Public()
		kid := signer(t, algorithm).Kid()
		for name, secret := range publicTexts(t, public, kid) {
			for _, alg := range []string{"HS256", "HS384", algorithm} {
				input := url.EncodeToString([]byte(text(map[string]string{"alg": alg, "kid": kid, "typ": "JWT"}))) + "." + url.EncodeToString([]byte(text(good())))
				mac := hmac.New(sha256.New, secret)
				mac.Write([]byte(input))
				refused(t, algorithm+" key as the secret of "+alg+": "+name, input+"."+url.EncodeToString(mac.Sum(nil)), "")
			}
		}
	}
}

// publicTexts are the ways in which a library could take a public key for an HMAC key.
func publicTexts(t *testing.T, public crypto.PublicKey, kid string) map[string][]byte {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := jose.JSONWebKey{Key: public, KeyID: kid, Use: "sig"}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	armoured := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})
	texts := map[string][]byte{
		"PEM": armoured, "PEM without its last line end": bytes.TrimSuffix(armoured, []byte("\n")), "PEM after a line end": append([]byte("\n"), armoured...),
		"DER": spki, "JWK": jwk, "JWKS": ours().ring.JWKS(noon), "kid": []byte(kid), "empty": {},
	}
	if k, ok := public.(*rsa.PublicKey); ok {
		texts["n"] = k.N.Bytes()
		texts["n as base64url"] = []byte(url.EncodeToString(k.N.Bytes()))
		texts["PKCS #1"] = x509.MarshalPKCS1PublicKey(k)
		texts["PKCS #1 PEM"] = pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(k)})
	}
	return texts
}

// An alg of another key of the realm is no more good than a foreign one.
func TestThreat24_AlgOfAnotherKey(t *testing.T) {
	for _, alg := range []string{"RS256", "ES256", "PS256", "RS512", "eddsa", "EdDSA ", "Ed25519"} {
		header := text(map[string]string{"alg": alg, "kid": signer(t, keyring.EdDSA).Kid(), "typ": "JWT"})
		refused(t, alg, signedWith(t, header, text(good())), "alg is not the key's")
	}
	for _, algorithm := range algorithms {
		for _, other := range algorithms {
			if other == algorithm {
				continue
			}
			// The true signature of one key under the name of another.
			parts := strings.Split(signed(t, algorithm, good()), ".")
			header := url.EncodeToString([]byte(text(map[string]string{"alg": other, "kid": signer(t, other).Kid(), "typ": "JWT"})))
			refused(t, algorithm+" as "+other, header+"."+parts[1]+"."+parts[2], "wrong signature")
		}
	}
}

func TestThreat25_KeyInHeader(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var visits atomic.Int32
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			visits.Add(1)
			c.Close()
		}
	}()
	at := "http://" + listener.Addr().String() + "/"

	_, stranger, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := jose.JSONWebKey{Key: stranger.Public(), KeyID: "mine"}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for _, kid := range []string{signer(t, keyring.EdDSA).Kid(), "mine", ""} {
		for name, value := range map[string]any{"jwk": json.RawMessage(public), "jku": at + "jwks.json", "x5u": at + "chain.pem", "x5c": []string{"AAAA"}, "kid": at} {
			header := map[string]any{"alg": "EdDSA", "kid": kid, "typ": "JWT"}
			header[name] = value
			input := url.EncodeToString([]byte(text(header))) + "." + url.EncodeToString([]byte(text(good())))
			refused(t, name+" of a stranger", input+"."+url.EncodeToString(ed25519.Sign(stranger, []byte(input))), "")
			if name != "kid" {
				// Our own signature does not make the header good.
				refused(t, name+" in our own", signedWith(t, text(header), text(good())), "header: ")
			}
		}
	}
	listener.Close()
	<-done
	if n := visits.Load(); n != 0 {
		t.Errorf("the listener was visited %d times", n)
	}
}

func TestThreat26_KidInjection(t *testing.T) {
	own := signer(t, keyring.EdDSA).Kid()
	for _, kid := range []any{
		"../../dev/null", "/dev/null", "file:///dev/null", "' UNION SELECT 'x", "\x00", own + "\x00", own + " ", " " + own, strings.ToUpper(own), own[:42],
		"", nil, 1, true, []string{own}, map[string]string{"kid": own}, strings.Repeat("k", 4000), "${jndi:ldap://127.0.0.1/}", "http://127.0.0.1:1/",
	} {
		refused(t, fmt.Sprintf("kid %.40q", fmt.Sprint(kid)), signedWith(t, text(map[string]any{"alg": "EdDSA", "kid": kid, "typ": "JWT"}), text(good())), "header: ")
	}
	refused(t, "no kid", signedWith(t, `{"alg":"EdDSA","typ":"JWT"}`, text(good())), "header: ")
	refused(t, "a kid of 100 kB", signedWith(t, text(map[string]string{"alg": "EdDSA", "kid": strings.Repeat("k", 100_000), "typ": "JWT"}), text(good())), "too long")
}

func TestThreat27_JWTMalleability(t *testing.T) {
	for _, algorithm := range algorithms {
		compact := signed(t, algorithm, good())
		if _, err := Parse(ring(t), compact, noon); err != nil {
			t.Fatal(err)
		}
		for _, other := range distorted(compact) {
			refused(t, algorithm+" distorted", other, "")
		}
		// Each other last character of each part: in the bits that count and in those to spare.
		for _, end := range []int{strings.IndexByte(compact, '.'), strings.LastIndexByte(compact, '.'), len(compact)} {
			for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=" {
				if other := compact[:end-1] + string(c) + compact[end:]; other != compact {
					refused(t, fmt.Sprintf("%s, %q before byte %d", algorithm, c, end), other, "")
				}
			}
		}
		parts := strings.Split(compact, ".")
		signature, _ := canonical(url, parts[2])
		for name, changed := range map[string][]byte{
			"a zero before": append([]byte{0}, signature...), "a zero after": append(bytes.Clone(signature), 0), "a byte less": signature[:len(signature)-1], "reversed halves": swapped(signature),
		} {
			refused(t, algorithm+", signature with "+name, parts[0]+"."+parts[1]+"."+url.EncodeToString(changed), "")
		}
		refused(t, algorithm+", as the JSON serialization", fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, parts[0], parts[1], parts[2]), "not three parts")
		refused(t, algorithm+", in standard base64", base64.RawStdEncoding.EncodeToString([]byte(text(good())))+"."+parts[1]+"."+parts[2], "")
	}
}

func swapped(b []byte) []byte { return append(bytes.Clone(b[len(b)/2:]), b[:len(b)/2]...) }

// ECDSA takes (r, n-s) for (r, s): the other text says the same, so that whoever goes by jti misses nothing.
func TestThreat27_ES256TwinHasTheSameJTI(t *testing.T) {
	claims := good()
	claims["jti"] = JTI(uuid.New())
	compact := signed(t, keyring.ES256, claims)
	cut := strings.LastIndexByte(compact, '.') + 1
	signature, _ := canonical(url, compact[cut:])
	s := new(big.Int).SetBytes(signature[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(signature[32:])
	twin, err := Parse(ring(t), compact[:cut]+url.EncodeToString(signature), noon)
	if err != nil || !twin.Is("jti", claims.String("jti")) {
		t.Errorf("the twin: %v, %v", twin, err)
	}
	first, err := Parse(ring(t), compact, noon)
	if err != nil || !first.Is("jti", claims.String("jti")) {
		t.Errorf("%v, %v", first, err)
	}
}

func TestThreat32_ParserDoS(t *testing.T) {
	compact := signed(t, keyring.RS256, good())
	dense := func(n int) string { return strings.Repeat("a", n) }
	inputs := map[string]string{
		"a megabyte of dots":          strings.Repeat(".", 1<<20),
		"12 KiB of dots":              strings.Repeat(".", MaxSize),
		"five parts":                  "a.b.c.d.e",
		"a JWE with PBES2":            url.EncodeToString([]byte(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647,"p2s":"AAAA"}`)) + ".AA.AA.AA.AA",
		"a megabyte of header":        dense(1<<20) + ".e30.AA",
		"a token and a megabyte":      compact + dense(1<<20),
		"one byte over the limit":     dense(MaxSize-7) + ".e30.AAA",
		"a signature up to the limit": compact[:strings.LastIndexByte(compact, '.')+1] + dense(4096),
		"a header of braces":          url.EncodeToString(bytes.Repeat([]byte("{"), 6000)) + ".e30.AA",
		"a header of nested arrays":   url.EncodeToString([]byte(`{"alg":`+strings.Repeat("[", 5900))) + ".e30.AA",
		"one long number":             signedText(t, `{"iat":1,"exp":`+strings.Repeat("9", 5000)+`}`),
		"a fraction without end":      signedText(t, `{"iat":1,"exp":0.`+strings.Repeat("1", 5000)+`}`),
		"empty":                       "",
	}
	for name, input := range inputs {
		// The best of five: a busy machine delays some.
		best := time.Hour
		for range 5 {
			start := time.Now()
			refused(t, name, input, "")
			best = min(best, time.Since(start))
		}
		if best >= 10*time.Millisecond {
			t.Errorf("%s: refused after %v", name, best)
		}
	}
	for name, input := range map[string]string{"a megabyte of dots": inputs["a megabyte of dots"], "12 KiB of dots": inputs["12 KiB of dots"]} {
		// The keys are read once, and many runs are averaged: what else the process allocates meanwhile is not the parser's.
		keys := ring(t)
		if n := testing.AllocsPerRun(1000, func() { _, _ = Parse(keys, input, noon) }); n > 5 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// The token side of a rotation: what the old key signed is read until that key's end, then no more.
func TestThreat34_OldTokensUntilTheirKeyEnds(t *testing.T) {
	before, after := rotation(t)
	k, _ := before.Signer(keyring.EdDSA, noon)
	old, err := Sign(k, good())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		at   time.Duration
		good bool
	}{{0, true}, {10 * time.Minute, true}, {30*time.Minute - time.Microsecond, true}, {30 * time.Minute, false}} {
		if _, err := Parse(after, old, noon.Add(c.at)); (err == nil) != c.good {
			t.Errorf("after %v: %v", c.at, err)
		}
	}
	k, _ = after.Signer(keyring.EdDSA, noon.Add(10*time.Minute))
	claims := good()
	claims["iat"] = noon.Add(10 * time.Minute).Unix()
	fresh, err := Sign(k, claims)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(after, fresh, noon.Add(10*time.Minute)); err != nil {
		t.Errorf("the new key's: %v", err)
	}
	if _, err := Parse(before, fresh, noon.Add(10*time.Minute)); err == nil {
		t.Error("a ring without the new key reads its token")
	}
}

func TestThreat35_Boundaries(t *testing.T) {
	// 1483228800 is 2017-01-01, just after a leap second, which NumericDate does not count.
	for _, now := range []time.Time{noon, time.Unix(1483228799, 0), time.Unix(1483228800, 0), noon.Add(-500 * time.Millisecond)} {
		second := now.Unix()
		for _, c := range []struct {
			iat, exp, nbf int64
			good          bool
		}{
			{second, second + 1, 0, true}, {second - 10, second, 0, false}, {second - 10, second - 1, 0, false},
			{second + 30, second + 300, 0, true}, {second + 60, second + 300, 0, true}, {second + 120, second + 300, 0, false}, {second + 62, second + 300, 0, false},
			{second, second + 300, second + 60, true}, {second, second + 300, second + 62, false},
		} {
			compact := signed(t, keyring.EdDSA, Claims{"iat": c.iat, "exp": c.exp, "nbf": c.nbf})
			if _, err := Parse(ring(t), compact, now); (err == nil) != c.good {
				t.Errorf("at %v: iat %+d, exp %+d, nbf %+d: %v", now, c.iat-second, c.exp-second, c.nbf-second, err)
			}
		}
	}
	compact := signed(t, keyring.EdDSA, good())
	expiry := noon.Add(time.Hour)
	if _, err := Parse(ring(t), compact, expiry.Add(-time.Nanosecond)); err != nil {
		t.Errorf("a nanosecond before exp: %v", err)
	}
	if _, err := Parse(ring(t), compact, expiry); err == nil {
		t.Error("good at exp")
	}
}
