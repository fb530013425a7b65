package main

import (
	"bytes"
	"crypto"
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
	"time"
)

// forger has a JWT of each dialect that has one, and makes others of them.
type forger struct {
	s      *server
	v      *visitor
	passes []pass
	findings
	asked   int
	slowest time.Duration
}

func (w *world) forger() *forger {
	s := w.serve(unlimited)
	s.account("ada")
	f := &forger{s: s, v: s.from(stranger)}
	for _, d := range []door{cloudio, nomic, senmo} {
		f.passes = append(f.passes, f.v.signIn(d, "ada", passphrase))
	}
	return f
}

var raw64 = base64.RawURLEncoding

// parts are the header and the claims of a JWT, to be changed.
func parts(token string) (header, claims map[string]any, signature string) {
	p := strings.Split(token, ".")
	for i, into := range []*map[string]any{&header, &claims} {
		text, _ := raw64.DecodeString(p[i])
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		_ = d.Decode(into) // the server made it
	}
	return header, claims, p[2]
}

func encoded(value any) string {
	text, _ := json.Marshal(value) // of maps that were JSON
	return raw64.EncodeToString(text)
}

// refused asks every door that takes a token, in every way that one can be carried.
func (f *forger) refused(what string, p pass, token string) {
	csrf := []string{"X-CSRF-Token", "x"}
	if p.dialect == "cloudio" {
		csrf = p.headers[2:]
	}
	bearer := append([]string{"Authorization", "Bearer " + token}, csrf...)
	answers := map[string]answer{
		"verify":  f.v.get("/ostiary/verify", bearer...),
		"bare":    f.v.get("/ostiary/verify", append([]string{"Authorization", token}, csrf...)...),
		"whoami":  f.v.get("/ostiary/whoami", bearer...),
		"nomic":   f.v.post("/api/auth/token", "", "Authorization", "Bearer "+token),
		"refresh": f.v.refresh(token),
	}
	for name, a := range answers {
		f.asked++
		f.want(fmt.Sprintf("%s of %s at %s", what, p.dialect, name), a, 400, 401, 403, 431)
		if name != "refresh" || a.status != 431 {
			f.slowest = max(f.slowest, a.took)
		}
	}
}

func unsigned(w *world) (string, error) {
	f := w.forger()
	for _, p := range f.passes {
		header, _, _ := parts(p.token)
		body := strings.Split(p.token, ".")[1]
		for _, alg := range []any{"none", "None", "nOnE", "NONE", "", nil, "HS256", "RS256 ", "rs256", 1} {
			header["alg"] = alg
			for _, end := range []string{".", "", ".AA", "..", "." + strings.Split(p.token, ".")[2]} {
				f.refused(fmt.Sprintf("alg %v and the end %.4q", alg, end), p, encoded(header)+"."+body+end)
			}
		}
	}
	return fmt.Sprintf("%d requests with tokens signed by none, or by nothing: all refused", f.asked), f.err()
}

func confusedAlgorithm(w *world) (string, error) {
	f := w.forger()
	var set struct {
		Keys []struct{ Kty, Kid, N, E string }
	}
	jwks := f.v.get("/.well-known/jwks.json").body
	w.must(json.Unmarshal([]byte(jwks), &set))
	keys := map[string][]byte{"nothing": nil, "the JWKS": []byte(jwks)}
	for _, k := range set.Keys {
		if k.Kty != "RSA" {
			continue
		}
		n, _ := raw64.DecodeString(k.N)
		e, _ := raw64.DecodeString(k.E)
		public := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
		der, err := x509.MarshalPKIXPublicKey(public)
		w.must(err)
		text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		keys["DER"], keys["PKCS1"], keys["PEM"] = der, x509.MarshalPKCS1PublicKey(public), text
		keys["PEM without its end"], keys["PEM after a newline"] = bytes.TrimSpace(text), append([]byte("\n"), text...)
		keys["n"], keys["n as text"], keys["kid"] = n, []byte(k.N), []byte(k.Kid)
	}
	for _, p := range f.passes {
		header, _, _ := parts(p.token)
		header["alg"] = "HS256"
		signed := encoded(header) + "." + strings.Split(p.token, ".")[1]
		for name, key := range keys {
			mac := hmac.New(sha256.New, key)
			mac.Write([]byte(signed))
			f.refused("HMAC by "+name, p, signed+"."+raw64.EncodeToString(mac.Sum(nil)))
		}
	}
	return fmt.Sprintf("%d requests with HMACs by %d forms of the public key: all refused", f.asked, len(keys)), f.err()
}

// foreignKeys offers keys of an attacker's, in the token and at addresses that it names.
func foreignKeys(w *world) (string, error) {
	f := w.forger()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	w.later(listener.Close)
	var fetched atomic.Int32
	go func() {
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			fetched.Add(1)
			_ = conn.Close()
		}
	}()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	w.must(err)
	jwk := map[string]any{"kty": "RSA", "alg": "RS256", "kid": "mine", "n": raw64.EncodeToString(key.N.Bytes()), "e": "AQAB"}
	at := "http://" + listener.Addr().String()
	kids := []any{"mine", "", nil, 1, "../../../../dev/null", "/dev/null", "' UNION SELECT 'key", "a\x00b", strings.Repeat("k", 20_000), at + "/key", "|id", []string{"x"}}
	for _, p := range f.passes {
		header, _, _ := parts(p.token)
		forged := []map[string]any{
			{"jwk": jwk}, {"jku": at + "/jwks"}, {"x5u": at + "/chain"}, {"x5c": []string{"AAAA"}}, {"jwk": jwk, "kid": header["kid"]}, {"jku": at, "kid": header["kid"]},
			{"crit": []string{"exp"}}, {"crit": []string{"b64"}, "b64": false}, {"zip": "DEF"}, {"cty": "JWT"},
		}
		for _, kid := range kids {
			forged = append(forged, map[string]any{"kid": kid})
		}
		for _, change := range forged {
			h, _, _ := parts(p.token)
			for name, value := range change {
				h[name] = value
			}
			signed := encoded(h) + "." + strings.Split(p.token, ".")[1]
			sum := sha256.Sum256([]byte(signed))
			signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
			w.must(err)
			f.refused(fmt.Sprintf("our own key under %.60v", change), p, signed+"."+raw64.EncodeToString(signature))
		}
	}
	if fetched.Load() > 0 {
		f.addf("the server fetched a key %d times", fetched.Load())
	}
	return fmt.Sprintf("%d requests with our own key (jwk, jku, x5u, x5c, crit) and odd kids: all refused, and nothing fetched", f.asked), f.err()
}

func malleableTokens(w *world) (string, error) {
	f := w.forger()
	for _, p := range append(f.passes, f.v.signIn(mikrocloud, "ada", passphrase)) {
		token, last := p.token, len(p.token)-1
		spoiled := []string{
			token[:last], token + "A", token + "=", token + "==", token + ".", token + "." + token, "A" + token, token[:last-4],
			strings.Replace(token, ".", "..", 1), strings.ToLower(token), strings.ToUpper(token), token + "%0a", token + "\t", token[:9] + " " + token[9:],
		}
		for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=" {
			if at := strings.TrimRight(token, "="); at[len(at)-1] != byte(c) {
				spoiled = append(spoiled, at[:len(at)-1]+string(c)+token[len(at):])
			}
		}
		for _, text := range spoiled {
			if strings.TrimSpace(text) != token { // which HTTP itself cuts off
				f.refused(fmt.Sprintf("spelled %.12q…%q", text, text[max(0, len(text)-6):]), p, text)
			}
		}
		f.want("the token itself", f.v.verify(p), 200)
		f.want("its end", f.v.post("/ostiary/logout", "", p.headers...), 204)
		f.refused("after its session", p, token)
	}
	return fmt.Sprintf("%d requests with other spellings of four live tokens: all refused, and the tokens too once revoked", f.asked), f.err()
}

func parserDoS(w *world) (string, error) {
	f := w.forger()
	p := f.passes[2]
	before := f.s.resident()
	header, claims, signature := parts(p.token)
	claims["x"] = strings.Repeat("y", 20_000)
	long := []string{
		strings.Repeat(".", 25_000), strings.Repeat("a.", 12_000), strings.Repeat("A", 30_000), p.token + strings.Repeat(".", 20_000),
		"a.b.c.d.e", encoded(map[string]any{"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "p2c": 2_000_000_000, "p2s": "AAAA"}) + ".a.b.c.d",
		encoded(header) + "." + encoded(claims) + "." + signature, encoded(map[string]any{"alg": "RSA-OAEP", "enc": "A128GCM", "zip": "DEF"}) + ".a.b.c.d",
	}
	for i, text := range long {
		f.refused(fmt.Sprintf("long token %d", i), p, text)
	}
	for _, lead := range []string{"Authorization: Bearer ", "Authorization: ", "Authorization: Basic ", "Authorization: Token "} {
		a := f.s.raw(stranger, head("GET /ostiary/verify", lead+strings.Repeat(".", 1<<20))+"\r\n")
		f.want("1 MB of dots", a, 431, 401, 400)
	}
	if f.s.resident() > before+60 {
		f.addf("memory grew from %.0f to %.0f MB", before, f.s.resident())
	}
	if w.slower(f.slowest, 50*time.Millisecond) {
		f.addf("an answer took %v", f.slowest)
	}
	return fmt.Sprintf("1 MB of dots, JWEs, PBES2 of 2·10^9 rounds and 30 kB tokens: all refused, the slowest in %.1f ms", ms(f.slowest)), f.err()
}
