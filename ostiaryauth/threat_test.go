package ostiaryauth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func header(k signingKey, more string) string {
	return `{"alg":"` + k.alg + `","kid":"` + k.kid + `","typ":"JWT"` + more + `}`
}

func TestThreat23_AlgNone(t *testing.T) {
	p := newPeer(t)
	v := p.verifier(t)
	payload := b64([]byte(text(senmoClaims())))
	good := p.key["RS256"].sign(t, "JWT", senmoClaims())
	signature := good[strings.LastIndexByte(good, '.')+1:]
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "none ", "", "null"} {
		forged := `{"alg":"` + alg + `","kid":"` + p.key["RS256"].kid + `","typ":"JWT"}`
		for _, end := range []string{".", "", "." + signature, ".AA"} {
			refused(t, v, fmt.Sprintf("alg %q, end %.5q", alg, end), b64([]byte(forged))+"."+payload+end, "")
		}
		// Not even with a true signature.
		refused(t, v, "alg "+alg+", signed", p.key["RS256"].raw(t, forged, text(senmoClaims())), "header: ")
	}
	for _, k := range p.key {
		token := k.sign(t, "JWT", senmoClaims())
		refused(t, v, k.alg+" without a signature", token[:strings.LastIndexByte(token, '.')+1], "signature: absent")
		refused(t, v, k.alg+" of two parts", token[:strings.LastIndexByte(token, '.')], "")
	}
	// RFC 7519 section 6.1.
	refused(t, v, "the RFC's unsecured JWT", "eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.", "")
}

func TestThreat24_HS256WithPublicKey(t *testing.T) {
	p := newPeer(t)
	v := p.verifier(t)
	for _, k := range p.key {
		for name, word := range publicTexts(t, k) {
			for _, alg := range []string{"HS256", "HS384", k.alg} {
				input := b64([]byte(`{"alg":"`+alg+`","kid":"`+k.kid+`","typ":"JWT"}`)) + "." + b64([]byte(text(senmoClaims())))
				mac := hmac.New(sha256.New, word)
				mac.Write([]byte(input))
				refused(t, v, k.alg+" key as the secret of "+alg+": "+name, input+"."+b64(mac.Sum(nil)), "")
			}
		}
	}
}

// publicTexts are the ways in which a library could take a public key for an HMAC key.
func publicTexts(t *testing.T, k signingKey) map[string][]byte {
	t.Helper()
	spki, err1 := x509.MarshalPKIXPublicKey(k.private.Public())
	jwk, err2 := k.jwk().MarshalJSON()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	armoured := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})
	texts := map[string][]byte{
		"PEM": armoured, "PEM without its last line end": bytes.TrimSuffix(armoured, []byte("\n")), "PEM after a line end": append([]byte("\n"), armoured...),
		"DER": spki, "JWK": jwk, "kid": []byte(k.kid), "empty": {},
	}
	if public, ok := k.private.Public().(*rsa.PublicKey); ok {
		texts["n"], texts["n as base64url"] = public.N.Bytes(), []byte(b64(public.N.Bytes()))
	}
	return texts
}

// An alg of another key is no more good than a foreign one.
func TestThreat24_AlgOfAnotherKey(t *testing.T) {
	p := newPeer(t)
	v := p.verifier(t)
	for _, alg := range []string{"ES256", "EdDSA", "PS256", "RS512", "rs256", "RS256 "} {
		forged := `{"alg":"` + alg + `","kid":"` + p.key["RS256"].kid + `","typ":"JWT"}`
		refused(t, v, alg, p.key["RS256"].raw(t, forged, text(senmoClaims())), "alg is not the key's")
	}
	for _, k := range p.key {
		for _, other := range p.key {
			if other.alg == k.alg {
				continue
			}
			// The true signature of one key under the name of another.
			parts := strings.Split(k.sign(t, "JWT", senmoClaims()), ".")
			refused(t, v, k.alg+" as "+other.alg, b64([]byte(header(other, "")))+"."+parts[1]+"."+parts[2], "wrong signature")
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
	p := newPeer(t)
	v := p.verifier(t)
	stranger := newKey(t)
	public, err := stranger.jwk().MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]any{"jwk": json.RawMessage(public), "jku": at + "jwks.json", "x5u": at + "chain.pem", "x5c": []string{"AAAA"}} {
		more := `,"` + name + `":` + text(value)
		refused(t, v, name+" of a stranger", stranger.raw(t, header(stranger, more), text(senmoClaims())), "header: ")
		// Our own signature does not make the header good.
		refused(t, v, name+" in our own", p.key["EdDSA"].raw(t, header(p.key["EdDSA"], more), text(senmoClaims())), "header: ")
	}
	refused(t, v, "a URL as kid", stranger.raw(t, `{"alg":"EdDSA","kid":"`+at+`","typ":"JWT"}`, text(senmoClaims())), "unknown kid")
	refused(t, v, "a stranger's own", stranger.sign(t, "JWT", senmoClaims()), "unknown kid")
	listener.Close()
	<-done
	if n := visits.Load(); n != 0 {
		t.Errorf("the listener was visited %d times", n)
	}
}

func TestThreat26_KidInjection(t *testing.T) {
	p := newPeer(t)
	v := p.verifier(t)
	k := p.key["EdDSA"]
	for _, kid := range []any{
		"../../dev/null", "/dev/null", "file:///dev/null", "' UNION SELECT 'x", "\x00", k.kid + "\x00", k.kid + " ", " " + k.kid, strings.ToUpper(k.kid), k.kid[:42],
		"", nil, 1, true, []string{k.kid}, map[string]string{"kid": k.kid}, strings.Repeat("k", 4000), "${jndi:ldap://127.0.0.1/}", "http://127.0.0.1:1/",
	} {
		forged := text(map[string]any{"alg": "EdDSA", "kid": kid, "typ": "JWT"})
		refused(t, v, fmt.Sprintf("kid %.40q", fmt.Sprint(kid)), k.raw(t, forged, text(senmoClaims())), "header: ")
	}
	refused(t, v, "no kid", k.raw(t, `{"alg":"EdDSA","typ":"JWT"}`, text(senmoClaims())), "header: ")
	refused(t, v, "a kid of 100 kB", k.raw(t, text(map[string]string{"alg": "EdDSA", "kid": strings.Repeat("k", 100_000), "typ": "JWT"}), "{}"), "too long")
	if n := p.fetches(); n != 1 {
		t.Errorf("%d requests for the keys", n)
	}
}

func TestThreat27_JWTMalleability(t *testing.T) {
	p := newPeer(t)
	v := p.verifier(t)
	for _, k := range p.key {
		token := k.sign(t, "JWT", senmoClaims())
		if _, err := verify(v, "Authorization: Bearer "+token); err != nil {
			t.Fatal(err)
		}
		for n := range len(token) {
			if n%7 == 0 || n > len(token)-8 {
				refused(t, v, fmt.Sprintf("%s cut at %d", k.alg, n), token[:n], "")
			}
		}
		dots := []int{strings.IndexByte(token, '.'), strings.LastIndexByte(token, '.'), len(token)}
		for _, end := range dots {
			// Each other last character of each part: in the bits that count and in those to spare.
			for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=" {
				if other := token[:end-1] + string(c) + token[end:]; other != token {
					refused(t, v, fmt.Sprintf("%s, %q before byte %d", k.alg, c, end), other, "")
				}
			}
			for _, more := range []string{"\n", "\r\n", "=", "==", " ", "A", "\x00", "%", "é"} {
				other := presented{token: token[:end] + more + token[end:]} // some can't come over a wire
				if i, err := v.jwt(t.Context(), other); !isInvalid(err) {
					t.Errorf("%s with %q at byte %d: %v, %v", k.alg, more, end, i, err)
				}
			}
		}
		parts := strings.Split(token, ".")
		signature, _ := decode(parts[2])
		for name, changed := range map[string][]byte{
			"a zero before": append([]byte{0}, signature...), "a zero after": append(bytes.Clone(signature), 0), "a byte less": signature[:len(signature)-1],
			"nothing but zeros": make([]byte, len(signature)),
		} {
			refused(t, v, k.alg+", signature with "+name, parts[0]+"."+parts[1]+"."+b64(changed), "wrong signature")
		}
	}
}

func TestThreat28_OddHeader(t *testing.T) {
	p := newPeer(t)
	v := p.verifier(t)
	k := p.key["EdDSA"]
	base := `"alg":"EdDSA","kid":"` + k.kid + `"`
	if _, err := verify(v, "Authorization: Bearer "+k.raw(t, `{ `+base+`, "typ" : "JWT" }`, text(senmoClaims()))); err != nil {
		t.Fatalf("the plain header: %v", err)
	}
	for _, header := range []string{
		`{}`, `[]`, `null`, `"x"`, `{` + base, `{` + base + `}`, `{` + base + `,"typ":"JWT"} ` + `{}`,
		`{` + base + `,"typ":"jwt"}`, `{` + base + `,"typ":"at+jwt"}`, `{` + base + `,"typ":"application/JWT"}`, `{` + base + `,"typ":null}`, `{` + base + `,"Typ":"JWT"}`,
		`{` + base + `,"typ":"JWT","crit":["exp"]}`, `{` + base + `,"typ":"JWT","crit":[]}`, `{` + base + `,"typ":"JWT","crit":["b64"],"b64":true}`,
		`{` + base + `,"typ":"JWT","b64":false}`, `{` + base + `,"typ":"JWT","zip":"DEF"}`, `{` + base + `,"typ":"JWT","cty":"JWT"}`,
		`{"alg":"none",` + base + `,"typ":"JWT"}`, `{` + base + `,"typ":"JWT","alg":"none"}`, `{` + base + `,"typ":"JWT","\u0061lg":"EdDSA"}`,
		`{` + base + `,"typ":"JWT` + "\xff" + `"}`, "\xef\xbb\xbf{" + base + `,"typ":"JWT"}`,
	} {
		refused(t, v, header, k.raw(t, header, text(senmoClaims())), "header: ")
	}
}

func TestThreat28_OddDates(t *testing.T) {
	p := newPeer(t)
	v := p.verifier(t)
	k := p.key["EdDSA"]
	rest := `"iss":"` + senmoIs + `","sub":"a","token_use":"access","client_id":"ostiary",`
	for _, c := range []struct{ claims, reason string }{
		{`"iat":IAT,"exp":EXP`, "good"},
		{`"iat":IAT.5,"exp":EXP.25,"nbf":IAT`, "good"}, // a NumericDate may have a fraction
		{`"iat":1.7723664e9,"exp":17723700e2`, "good"},
		{`"iat":0,"exp":253402300799`, "good"},
		{`"iat":IAT`, "exp: absent"}, {`"exp":EXP`, "iat: absent"}, {`"iat":IAT,"exp":null`, "exp: absent"}, {`"iat":IAT,"Exp":EXP`, "exp: absent"},
		{`"iat":IAT,"exp":"EXP"`, "exp: absent or no date"}, {`"iat":"IAT","exp":EXP`, "iat: absent or no date"},
		{`"iat":IAT,"exp":true`, "exp: "}, {`"iat":IAT,"exp":[EXP]`, "exp: "}, {`"iat":IAT,"exp":{"":EXP}`, "exp: "}, {`"iat":IAT,"exp":"23:59:60"`, "exp: "},
		{`"iat":IAT,"exp":-1`, "exp: absent or no date"}, {`"iat":-1,"exp":EXP`, "iat: absent or no date"}, {`"iat":-0.5,"exp":EXP`, "iat: "},
		{`"iat":IAT,"exp":1e400`, "exp: absent or no date"}, {`"iat":IAT,"exp":253402300800`, "exp: "}, {`"iat":IAT,"exp":9223372036854775808`, "exp: "}, {`"iat":IAT,"exp":1e300`, "exp: "},
		{`"iat":IAT,"exp":0`, "exp: expired"}, {`"iat":IAT,"exp":1e-400`, "exp: expired"},
		{`"iat":IAT,"exp":EXP,"nbf":"IAT"`, "nbf: no date"}, {`"iat":IAT,"exp":EXP,"nbf":-1`, "nbf: no date"}, {`"iat":IAT,"exp":EXP,"nbf":EXP`, "nbf: not yet"}, {`"iat":IAT,"exp":EXP,"nbf":null`, "nbf: no date"},
		{`"iat":IAT,"exp":1,"exp":EXP`, "claims: "}, {`"iat":IAT,"exp":EXP,"sub":"b"`, "claims: "}, {`"iat":IAT,"exp":EXP,"s\u0075b":"b"`, "claims: "}, {`"iat":IAT,"exp":EXP,"o":{"a":1,"a":2}`, "claims: "},
		{`"iat":IAT,"exp":NaN`, "claims: "}, {`"iat":IAT,"exp":0x7fffffff`, "claims: "}, {`"iat":IAT,"exp":+EXP`, "claims: "}, {`"iat":IAT,"exp":0EXP`, "claims: "},
		{`"iat":IAT,"exp":EXP}{`, "claims: "}, {`"iat":IAT,"exp":EXP,`, "claims: "}, {`"iat":IAT,"exp":EXP,"x":"` + "\xff" + `"`, "claims: "}, {`"iat":IAT,"exp":EXP,"x":` + strings.Repeat("[", 20) + strings.Repeat("]", 20), "claims: "},
	} {
		payload := "{" + rest + strings.NewReplacer("IAT", fmt.Sprint(noon.Unix()), "EXP", fmt.Sprint(noon.Unix()+3600)).Replace(c.claims) + "}"
		token := k.raw(t, header(k, ""), payload)
		if c.reason != "good" {
			refused(t, v, payload, token, c.reason)
		} else if _, err := verify(v, "Authorization: Bearer "+token); err != nil {
			t.Errorf("%s: %v", payload, err)
		}
	}
	for _, payload := range []string{``, `null`, `[]`, `"x"`, `1`, `{`, strings.Repeat(`{"a":`, 1000), `{"a":` + strings.Repeat("[", 1000)} {
		refused(t, v, payload, k.raw(t, header(k, ""), payload), "claims: ")
	}
}

func TestThreat29_AudienceIsExact(t *testing.T) {
	p := newPeer(t)
	k := p.key["ES256"]
	without := p.verifier(t)
	aud := p.verifier(t, func(c *Config) { c.Accept = []Credential{Nomic{nomicIs, "ostiary"}, Senmo{senmoIs, "ostiary"}} })
	behind := p.verifier(t, func(c *Config) { asserted(c); c.Accept = []Credential{Assertion{realm, "ostiary"}} })
	for _, c := range []struct {
		value any
		good  bool
	}{
		{"ostiary", true}, {"", false}, {nil, false}, {[]string{"ostiary"}, false}, {[]string{}, false}, {[]string{""}, false}, {map[string]string{"aud": "ostiary"}, false},
		{"ostiar", false}, {"ostiary2", false}, {"ostiary ", false}, {"Ostiary", false}, {"ostiary other", false}, {1, false}, {true, false}, {json.RawMessage("null"), false},
	} {
		for what, ask := range map[string]func() error{
			"nomic": func() error {
				_, err := verify(aud, "Authorization: Bearer "+k.sign(t, "JWT", with(nomicClaims(), map[string]any{"aud": c.value})))
				return err
			},
			"senmo": func() error {
				_, err := verify(aud, "Authorization: Bearer "+k.sign(t, "JWT", with(senmoClaims(), map[string]any{"client_id": c.value})))
				return err
			},
			"assertion": func() error {
				_, err := verify(behind, AssertionHeader+": "+k.sign(t, "at+jwt", with(assertionClaims(), map[string]any{"aud": c.value})))
				return err
			},
		} {
			if err := ask(); (err == nil) != c.good || err != nil && !isInvalid(err) {
				t.Errorf("%s with audience %v: %v", what, c.value, err)
			}
		}
		if c.value != nil {
			// Where no audience is configured, a token for one is for somebody else.
			refused(t, without, "an aud that nobody configured: "+text(c.value), k.sign(t, "JWT", with(nomicClaims(), map[string]any{"aud": c.value})), "aud: ")
			refused(t, without, "senmo with aud "+text(c.value), k.sign(t, "JWT", with(senmoClaims(), map[string]any{"aud": c.value})), "not an access token")
			refused(t, without, "cloudio with aud "+text(c.value), k.sign(t, "JWT", with(cloudioClaims(), map[string]any{"aud": c.value})), "not a jwt of cloudio")
		}
	}
}

// Every kind of token at both doors, under each typ.
func TestThreat30_KindsCrossed(t *testing.T) {
	p := newPeer(t)
	doors := map[string]*Verifier{"direct": p.verifier(t), "behind": p.verifier(t, asserted)}
	k := p.key["ES256"]
	ticket := p.opaque(map[string]any{"active": false})
	for _, c := range []struct{ what, token, good string }{
		{"access token of senmo", k.sign(t, "JWT", senmoClaims()), "direct"}, {"access token as at+jwt", k.sign(t, "at+jwt", senmoClaims()), ""},
		{"token of nomic", k.sign(t, "JWT", nomicClaims()), "direct"}, {"token of nomic as at+jwt", k.sign(t, "at+jwt", nomicClaims()), ""},
		{"jwt of cloudio", k.sign(t, "JWT", cloudioClaims()), "direct"}, {"jwt of cloudio as at+jwt", k.sign(t, "at+jwt", cloudioClaims()), ""},
		{"assertion", k.sign(t, "at+jwt", assertionClaims()), "behind"}, {"assertion as JWT", k.sign(t, "JWT", assertionClaims()), ""},
		{"id token", k.sign(t, "JWT", idClaims()), ""}, {"id token as at+jwt", k.sign(t, "at+jwt", idClaims()), ""},
		{"id token with a client_id", k.sign(t, "JWT", with(idClaims(), map[string]any{"client_id": "ostiary"})), ""},
		{"token without a use", k.sign(t, "JWT", with(senmoClaims(), map[string]any{"token_use": nil})), ""},
		{"auth_token of mikrocloud", p.opaque(mikrocloudAnswer()), "direct"}, {"ticket", ticket, ""},
		{"opaque token of another dialect", p.opaque(with(mikrocloudAnswer(), map[string]any{"dialect": "senmo"})), ""},
		{"refresh token", strings.Repeat("A", 76), ""}, {"service secret", "ostsvc_" + strings.Repeat("A", 43), ""},
		{"session id", session.String(), ""}, {"csrf", csrf, ""}, {"six digits", "123456", ""},
	} {
		for door, v := range doors {
			headers := []string{"X-CSRF-Token: " + csrf, "Authorization: Bearer " + c.token}
			if door == "behind" {
				headers = []string{AssertionHeader + ": " + c.token}
			}
			i, err := verify(v, headers...)
			if (err == nil) != (c.good == door) || err != nil && !isInvalid(err) {
				t.Errorf("%s at %s: %+v, %v", c.what, door, i, err)
			}
		}
	}
}

// The keys of a realm are its own: a token of another one is signed by nobody here, whatever its claims.
func TestThreat31_AnotherRealm(t *testing.T) {
	p, other := newPeer(t), newKey(t)
	refused(t, p.verifier(t), "nomic has one issuer in all realms", other.sign(t, "JWT", nomicClaims()), "unknown kid")
}

func TestThreat32_ParserDoS(t *testing.T) {
	p := newPeer(t)
	v := p.verifier(t)
	good := p.key["RS256"].sign(t, "JWT", senmoClaims())
	if _, err := verify(v, "Authorization: Bearer "+good); err != nil {
		t.Fatal(err)
	}
	dense := func(n int) string { return strings.Repeat("a", n) }
	for name, input := range map[string]string{
		"a megabyte of dots":          strings.Repeat(".", 1<<20),
		"16 KiB of dots":              strings.Repeat(".", maxToken),
		"five parts":                  "a.b.c.d.e",
		"a JWE with PBES2":            b64([]byte(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647,"p2s":"AAAA"}`)) + ".AA.AA.AA.AA",
		"a megabyte of header":        dense(1<<20) + ".e30.AA",
		"a token and a megabyte":      good + dense(1<<20),
		"a signature up to the limit": good[:strings.LastIndexByte(good, '.')+1] + dense(8192),
		"a header of braces":          b64(bytes.Repeat([]byte("{"), 12000)) + ".e30.AA",
		"a header of nested arrays":   b64([]byte(`{"alg":`+strings.Repeat("[", 11000))) + ".e30.AA",
		"a long number":               p.key["RS256"].raw(t, header(p.key["RS256"], ""), `{"iat":1,"exp":`+strings.Repeat("9", 10000)+`}`),
		"a fraction without end":      p.key["RS256"].raw(t, header(p.key["RS256"], ""), `{"iat":1,"exp":0.`+strings.Repeat("1", 10000)+`}`),
		"many names":                  p.key["RS256"].raw(t, header(p.key["RS256"], ""), `{"a":[`+strings.Repeat("{},", 3000)+`1]}`),
	} {
		for what, ask := range map[string]func() error{
			"token": func() error { _, err := verify(v, "Authorization: Bearer "+input); return err },
			"assertion": func() error {
				_, err := v.verify(t.Context(), presented{token: input}, "at+jwt", maxAssertion)
				return err
			},
		} {
			best := time.Hour // of five: a busy machine delays some
			for range 5 {
				start := time.Now()
				if err := ask(); !isInvalid(err) {
					t.Errorf("%s, %s: %v", what, name, err)
				}
				best = min(best, time.Since(start))
			}
			if best >= 10*time.Millisecond {
				t.Errorf("%s, %s: refused after %v", what, name, best)
			}
		}
	}
}

// The cap is not for garbage alone: nobody signs tokens like that.
func TestThreat32_SizeOfSignedTokens(t *testing.T) {
	p := newPeer(t)
	v, behind := p.verifier(t), p.verifier(t, asserted)
	k := p.key["EdDSA"]
	for size, good := range map[int]bool{maxToken / 2: true, maxToken: false} {
		token := k.sign(t, "JWT", with(senmoClaims(), map[string]any{"scope": strings.Repeat("x", size)}))
		if _, err := verify(v, "Authorization: Bearer "+token); (err == nil) != good || err != nil && !isInvalid(err) {
			t.Errorf("a token of %d bytes: %v", len(token), err)
		}
	}
	for size, good := range map[int]bool{maxAssertion / 2: true, maxAssertion: false} {
		token := k.sign(t, "at+jwt", with(assertionClaims(), map[string]any{"org": strings.Repeat("x", size)}))
		if _, err := verify(behind, AssertionHeader+": "+token); (err == nil) != good || err != nil && !isInvalid(err) {
			t.Errorf("an assertion of %d bytes: %v", len(token), err)
		}
	}
}

// A key that is weak or strange is as good as none.
func TestThreat33_WeakKeyInTheSet(t *testing.T) {
	p := newPeer(t)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := p.key["RS256"]
	n := b64(good.private.Public().(*rsa.PublicKey).N.Bytes())
	for name, k := range map[string]struct {
		key crypto.Signer
		jwk map[string]any
	}{
		"1024 bits":         {small, map[string]any{"kty": "RSA", "n": b64(small.N.Bytes()), "e": "AQAB"}},
		"e of 3":            {good.private, map[string]any{"kty": "RSA", "n": n, "e": "Aw"}},
		"e that is even":    {good.private, map[string]any{"kty": "RSA", "n": n, "e": b64([]byte{1, 0, 2})}},
		"n with a line end": {good.private, map[string]any{"kty": "RSA", "n": n + "\n", "e": "AQAB"}},
		"another use":       {good.private, map[string]any{"kty": "RSA", "n": n, "e": "AQAB", "use": "enc"}},
		"another alg":       {good.private, map[string]any{"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS512"}},
		"no kty":            {good.private, map[string]any{"n": n, "e": "AQAB"}},
		"P-384":             {p384, map[string]any{"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}},
		"symmetric":         {good.private, map[string]any{"kty": "oct", "k": "AAAA"}},
	} {
		k.jwk["kid"] = "k"
		p.set(func() { p.jwks = text(map[string]any{"keys": []any{k.jwk}}) })
		token := good.raw(t, `{"alg":"RS256","kid":"k","typ":"JWT"}`, text(senmoClaims()))
		if rs, ok := k.key.(*rsa.PrivateKey); ok {
			token = signingKey{"RS256", "k", rs}.raw(t, `{"alg":"RS256","kid":"k","typ":"JWT"}`, text(senmoClaims()))
		}
		refused(t, p.verifier(t), name, token, "unknown kid")
	}
	plain := map[string]any{"kty": "RSA", "n": n, "e": "AQAB", "kid": "k"}
	token := good.raw(t, `{"alg":"RS256","kid":"k","typ":"JWT"}`, text(senmoClaims()))
	p.set(func() {
		p.jwks = text(map[string]any{"keys": []any{1, "x", nil, plain, map[string]any{"kty": "new"}}, "more": 1})
	})
	if _, err := verify(p.verifier(t), "Authorization: Bearer "+token); err != nil {
		t.Errorf("the plain key: %v", err)
	}
	p.set(func() { p.jwks = text(map[string]any{"keys": []any{plain, plain}}) })
	refused(t, p.verifier(t), "a kid that is there twice", token, "unknown kid")
	p.set(func() { p.jwks = text(map[string]any{"keys": []any{plain, plain, plain}}) })
	refused(t, p.verifier(t), "a kid that is there three times", token, "unknown kid")
}

func TestThreat35_Boundaries(t *testing.T) {
	p := newPeer(t)
	v := p.verifier(t)
	k := p.key["EdDSA"]
	// 1483228800 is 2017-01-01, just after a leap second, which NumericDate does not count.
	for _, now := range []time.Time{noon, time.Unix(1483228799, 0), time.Unix(1483228800, 0), noon.Add(-500 * time.Millisecond)} {
		p.advance(now.Sub(p.Now()))
		second := now.Unix()
		for _, c := range []struct {
			iat, exp, nbf int64
			good          bool
		}{
			{second, second + 1, 0, true}, {second - 10, second, 0, false}, {second - 10, second - 1, 0, false},
			{second + 30, second + 300, 0, true}, {second + 60, second + 300, 0, true}, {second + 120, second + 300, 0, false}, {second + 62, second + 300, 0, false},
			{second, second + 300, second + 60, true}, {second, second + 300, second + 62, false},
		} {
			token := k.sign(t, "JWT", with(senmoClaims(), map[string]any{"iat": c.iat, "exp": c.exp, "nbf": c.nbf}))
			if _, err := verify(v, "Authorization: Bearer "+token); (err == nil) != c.good {
				t.Errorf("at %v: iat %+d, exp %+d, nbf %+d: %v", now, c.iat-second, c.exp-second, c.nbf-second, err)
			}
		}
	}
}

// Headers that only look like Ostiary's word never reach the handler.
func TestThreat51_IdentityHeaderInjection(t *testing.T) {
	p := newPeer(t)
	assertion := p.key["ES256"].sign(t, "at+jwt", assertionClaims())
	bearer := p.key["ES256"].sign(t, "JWT", senmoClaims())
	for what, v := range map[string]*Verifier{"direct": p.verifier(t), "behind": p.verifier(t, asserted)} {
		var seen http.Header
		guarded := v.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Header }))
		url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			before := r.Header.Clone()
			if guarded.ServeHTTP(w, r); !reflect.DeepEqual(r.Header, before) {
				t.Errorf("%s: the request itself was changed: %v", what, r.Header)
			}
		}))
		good, keeps := "Authorization: Bearer "+bearer, 0
		if what == "behind" {
			good, keeps = AssertionHeader+": "+assertion, 1
		}
		a := get(t, url, good, "Ostiary-Subject: root", "ostiary-roles: admin", "OSTIARY-Roles: admin", "Ostiary_Subject: root", "ostiary_assertion: x", "Ostiary.Subject: root", "oSTIARY!Subject: root",
			"Ostiary-Datasources: a", "Ostiary-Datasources: b", "Ostiary-: x", "X-Ostiary-Subject: mine", "Ostiaries: many")
		if a.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s", what, a.StatusCode, a.body)
		}
		n := 0
		for name := range seen {
			if low := strings.ToLower(name); strings.HasPrefix(low, "ostiary") && low != "ostiaries" {
				n++
			}
		}
		if n != keeps || keeps == 1 && seen.Get(AssertionHeader) != assertion || seen.Get("X-Ostiary-Subject") != "mine" || seen.Get("Ostiaries") != "many" {
			t.Errorf("%s: %v", what, seen)
		}
		// They are no credential either.
		for _, headers := range [][]string{
			{"Ostiary-Subject: root"}, {"Ostiary_Assertion: " + assertion}, {"X-Ostiary-Assertion: " + assertion}, {good, good}, {AssertionHeader + ": Bearer " + assertion},
		} {
			if a := get(t, url, headers...); a.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s, %q: %d", what, headers, a.StatusCode)
			}
		}
	}
	// Behind the proxy, a token is nobody's business but the proxy's.
	v := p.verifier(t, asserted)
	if _, err := verify(v, "Authorization: Bearer "+bearer); !errors.Is(err, ErrNoCredential) {
		t.Errorf("a bearer token where assertions are accepted: %v", err)
	}
	i, err := verify(v, AssertionHeader+": "+assertion, "Authorization: Bearer x", "Authorization: Bearer y")
	if err != nil || i.Dialect != "mikrocloud" {
		t.Errorf("%+v, %v", i, err)
	}
}
