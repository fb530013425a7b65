package ostiaryauth

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// A text is a JWS in one spelling alone, and what is read from it is what go-jose's signer wrote.
func FuzzJWS(f *testing.F) {
	k := generated()["EdDSA"]
	for _, seed := range []string{
		k.sign(f, "JWT", senmoClaims()), k.sign(f, "at+jwt", assertionClaims()), k.raw(f, header(k, `,"crit":[]`), "{}"), "..", "a.b.c", "e30.e30.AA", "a.b.c.d.e", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, compact string) {
		j, err := parseJWS(compact, "JWT", maxToken)
		if err != nil {
			if !isInvalid(err) || len(err.Error()) > 120 {
				t.Errorf("%v", err)
			}
			return
		}
		payload, signature := b64(j.payload), b64(j.signature)
		if j.signed+"."+signature != compact || !strings.HasSuffix(j.signed, "."+payload) || j.alg == "" || j.kid == "" || len(j.signature) == 0 {
			t.Errorf("%q was read as %+v", compact, j)
		}
		if !strings.Contains(compact, ".") || strings.ContainsAny(compact, "\r\n= ") {
			t.Errorf("%q has another spelling", compact)
		}
	})
}

// Whatever Authorization says, only a token that was signed comes through.
func FuzzAuthorization(f *testing.F) {
	p := newPeer(f)
	v := p.verifier(f, func(c *Config) {
		c.Accept, c.Introspection = []Credential{allKinds()[0], allKinds()[2], allKinds()[3]}, nil
	})
	good := map[string]bool{}
	for _, k := range p.key {
		for _, claims := range []map[string]any{senmoClaims(), nomicClaims(), cloudioClaims(), idClaims()} {
			token := k.sign(f, "JWT", claims)
			good[token] = claims["token_use"] != "id"
			f.Add("Bearer " + token)
			f.Add(token)
		}
	}
	f.Add("Bearer ")
	f.Add("Basic YTpi")
	f.Fuzz(func(t *testing.T, value string) {
		i, err := v.Verify(&http.Request{Header: http.Header{"Authorization": {value}, "X-Csrf-Token": {csrf}}})
		words := strings.Fields(value)
		if err == nil && (i.Subject == "" || !good[words[len(words)-1]]) {
			t.Errorf("%q: %+v", value, i)
		}
		if err != nil && i != nil {
			t.Errorf("%q: %+v, %v", value, i, err)
		}
	})
}

// What is read as an object, encoding/json reads alike, and has no name twice.
func FuzzObject(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":1,"b":[true,null,"x",{"c":1.5e3}]}`, `{"a":1,"a":2}`, `{"a":{"b":1,"\u0062":2}}`, `[]`, `{"a":1}{}`, `{"exp":1e400}`, strings.Repeat(`{"a":`, 20)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := parseObject(b)
		if err != nil {
			return
		}
		var want map[string]any
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		if err := d.Decode(&want); err != nil || text(o) != text(want) {
			t.Errorf("%q: %s, %s, %v", b, text(o), text(want), err)
		}
		if once, err := parseObject([]byte(text(o))); err != nil || text(once) != text(o) {
			t.Errorf("%q: read again: %s, %v", b, text(once), err)
		}
		o.date("exp")
		o.list("roles")
	})
}

// A set never yields a key that is weak, and never panics.
func FuzzJWKS(f *testing.F) {
	for _, k := range generated() {
		jwk, err := k.jwk().MarshalJSON()
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(`{"keys":[` + string(jwk) + `]}`))
	}
	f.Add([]byte(`{"keys":[{"kty":"RSA","kid":"k","n":"AQAB","e":"AQAB"},{"kty":"OKP","crv":"Ed25519","kid":"e","x":"AA"}]}`))
	message := []byte("signed")
	f.Fuzz(func(t *testing.T, b []byte) {
		keys, err := parseJWKS(b)
		if err != nil {
			return
		}
		for kid, k := range keys {
			if kid == "" || k.key == nil || k.alg != "RS256" && k.alg != "ES256" && k.alg != "EdDSA" {
				t.Errorf("%q: %+v", kid, k)
			}
			if err := k.verify(jws{alg: k.alg, signed: string(message), signature: make([]byte, 64)}); !isInvalid(err) && k.alg != "EdDSA" {
				t.Errorf("%q verifies zeros", b) // which a point of small order does
			}
		}
	})
}

// An opaque token has one spelling.
func FuzzOpaque(f *testing.F) {
	f.Add(strings.Repeat("A", 43) + "=")
	f.Add(strings.Repeat("A", 42) + "B=")
	f.Add("\n" + strings.Repeat("A", 42) + "=")
	f.Fuzz(func(t *testing.T, token string) {
		b, err := base64.StdEncoding.DecodeString(token)
		want := err == nil && len(b) == 32 && base64.StdEncoding.EncodeToString(b) == token
		if opaque(token) != want {
			t.Errorf("%q: %v", token, !want)
		}
	})
}
