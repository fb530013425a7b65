package e2e_test

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
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/keyring"
)

var b64 = base64.RawURLEncoding

// forger has a key of the realm "one", and the claims of a live token of nomic.
type forger struct {
	*house
	key    *rsa.PrivateKey
	kid    string
	claims map[string]any
	real   string // a token that the server made
}

func newForger(t *testing.T) *forger {
	t.Helper()
	f := &forger{house: open(t)}
	var err error
	if f.key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	record, err := keyring.Import(f.master, f.realms[hostOne].ID, "RS256", f.key, time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	f.kid = record.Kid
	if err := f.store.InTx(t.Context(), func(tx auth.Tx) error { return tx.InsertKey(t.Context(), record) }); err != nil {
		t.Fatal(err)
	}
	f.hire(t)
	f.account(t, hostOne, "ada")
	var k tokens
	f.nomic(t, hostOne, "ada", &k)
	f.real = k.nomic
	payload, err := b64.DecodeString(strings.Split(k.nomic, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(payload, &f.claims); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"iat", "nbf", "exp"} {
		f.claims[name] = int64(f.claims[name].(float64))
	}
	f.takes(t, "a token of the server", f.real)
	f.takes(t, "a token of a key that was imported", f.sign(f.header(), text(f.claims)))
	return f
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func (f *forger) header() string {
	return text(map[string]string{"alg": "RS256", "kid": f.kid, "typ": "JWT"})
}

// with is the claims with one of another value; nil takes it away.
func (f *forger) with(name string, value any) string {
	claims := maps.Clone(f.claims)
	if claims[name] = value; value == nil {
		delete(claims, name)
	}
	return text(claims)
}

func (f *forger) sign(header, payload string) string {
	message := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(payload))
	sum := sha256.Sum256([]byte(message))
	signature, err := rsa.SignPKCS1v15(nil, f.key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return message + "." + b64.EncodeToString(signature)
}

func (f *forger) takes(t *testing.T, what, token string) {
	t.Helper()
	if a := f.ask(t, hostOne, "GET", "/ostiary/verify", "", "Authorization: Bearer "+token); a.StatusCode != 200 {
		t.Errorf("%s: %d %s", what, a.StatusCode, a.body)
	}
}

// jwtSlots are those that read a JWT in different ways.
var jwtSlots = slotsOf("verify", "verify below", "whoami", "sessions", "password", "logout", "introspect", "renew")

// refuses sends a token to the doors that take JWTs.
func (f *forger) refuses(t *testing.T, what, token string) {
	t.Helper()
	for _, d := range jwtSlots {
		a := d.ask(t, f.house, hostOne, &shown{token: token, name: "ada"})
		if outcome(a) != d.shut {
			t.Errorf("%s at %s: %d %s", what, d.name, a.StatusCode, a.body)
		}
		if a.Header.Get("Ostiary-Subject") != "" || strings.Contains(a.body, "ada@") {
			t.Errorf("%s at %s: it says who", what, d.name)
		}
	}
}

func TestThreat23_NoSignature(t *testing.T) {
	f := newForger(t)
	parts := strings.Split(f.real, ".")
	for _, algorithm := range []string{"none", "None", "NONE", "nOnE", "", "RS256"} {
		for _, header := range []map[string]string{
			{"alg": algorithm, "typ": "JWT", "kid": f.kid}, {"alg": algorithm, "typ": "JWT"}, {"alg": algorithm},
		} {
			head := b64.EncodeToString([]byte(text(header))) + "." + parts[1]
			f.refuses(t, "alg "+algorithm+", empty signature", head+".")
			f.refuses(t, "alg "+algorithm+", two parts", head)
			if algorithm != "RS256" {
				f.refuses(t, "alg "+algorithm+", a good signature", head+"."+parts[2])
			}
		}
	}
	for _, token := range []string{"..", ".", "...", parts[0] + "." + parts[1], parts[0] + "." + parts[1] + ".", parts[0] + ".." + parts[2], "." + parts[1] + "." + parts[2]} {
		f.refuses(t, "parts", token)
	}
}

func TestThreat24_PublicKeyAsSecret(t *testing.T) {
	f := newForger(t)
	der, err := x509.MarshalPKIXPublicKey(&f.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	text1 := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	pkcs1 := x509.MarshalPKCS1PublicKey(&f.key.PublicKey)
	set := f.ask(t, hostOne, "GET", "/.well-known/jwks.json", "").body
	secrets := [][]byte{
		text1, bytes.TrimSpace(text1), append([]byte("\n"), text1...), der, pkcs1,
		pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: pkcs1}), []byte(set),
		f.key.N.Bytes(), []byte(b64.EncodeToString(f.key.N.Bytes())), []byte(f.kid), {},
	}
	var keys struct{ Keys []json.RawMessage }
	if err := json.Unmarshal([]byte(set), &keys); err != nil || len(keys.Keys) != 3 {
		t.Fatalf("%s: %v", set, err)
	}
	for _, key := range keys.Keys {
		secrets = append(secrets, key)
	}
	for i, secret := range secrets {
		for _, header := range []string{
			text(map[string]string{"alg": "HS256", "kid": f.kid, "typ": "JWT"}), text(map[string]string{"alg": "HS256", "typ": "JWT"}), f.header(),
		} {
			message := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(text(f.claims)))
			mac := hmac.New(sha256.New, secret)
			mac.Write([]byte(message))
			f.refuses(t, fmt.Sprint("HMAC with secret ", i), message+"."+b64.EncodeToString(mac.Sum(nil)))
		}
	}
}

func TestThreat25_KeyInTheHeader(t *testing.T) {
	f := newForger(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var seen atomic.Int64
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen.Add(1) })}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	url := "http://" + listener.Addr().String() + "/jwks.json"
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	jwk := map[string]string{"kty": "RSA", "n": b64.EncodeToString(other.N.Bytes()), "e": "AQAB", "kid": f.kid, "alg": "RS256"}
	ours := f.key
	for name, value := range map[string]any{"jwk": jwk, "jku": url, "x5u": url, "x5c": []string{"MIIB"}, "x5t": "x", "crit": []string{"exp"}, "b64": true, "zip": "DEF", "cty": "JWT"} {
		for _, kid := range []string{f.kid, "attacker"} {
			header := text(map[string]any{"alg": "RS256", "typ": "JWT", "kid": kid, name: value})
			f.key = other
			f.refuses(t, name+" with another key", f.sign(header, text(f.claims)))
			f.key = ours
			f.refuses(t, name+" with our own key", f.sign(header, text(f.claims)))
		}
	}
	if seen.Load() != 0 {
		t.Errorf("%d requests to what a header named", seen.Load())
	}
}

func TestThreat26_HostileKid(t *testing.T) {
	f := newForger(t)
	for _, kid := range []any{
		"../../dev/null", "/dev/null", "' UNION SELECT 'x", "'; DROP TABLE signing_key; --", "\x00", f.kid + "\x00", " " + f.kid, strings.ToUpper(f.kid),
		"", nil, 1, []string{f.kid}, map[string]string{"kid": f.kid}, strings.Repeat("k", 5000), "${jndi:ldap://127.0.0.1/}", "%2e%2e",
	} {
		header := map[string]any{"alg": "RS256", "typ": "JWT", "kid": kid}
		f.refuses(t, fmt.Sprintf("kid %.40v", kid), f.sign(text(header), text(f.claims)))
	}
	f.refuses(t, "no kid", f.sign(`{"alg":"RS256","typ":"JWT"}`, text(f.claims)))
	f.refuses(t, "two kids", f.sign(`{"alg":"RS256","typ":"JWT","kid":"x","kid":"`+f.kid+`"}`, text(f.claims)))
	f.refuses(t, "another typ", f.sign(`{"alg":"RS256","typ":"at+jwt","kid":"`+f.kid+`"}`, text(f.claims)))
	huge := f.sign(`{"alg":"RS256","typ":"JWT","kid":"`+strings.Repeat("k", 100<<10)+`"}`, text(f.claims))
	if a := f.ask(t, hostOne, "GET", "/ostiary/verify", "", "Authorization: Bearer "+huge); a.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a kid of 100 KiB: %d", a.StatusCode)
	}
}

func TestThreat27_Malleability(t *testing.T) {
	f := newForger(t)
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/="
	spellings := func(token string) []string {
		n := len(token)
		all := []string{token[:n-1], token[:n-2], token + "A", token + "=", token + "==", token + ".", "." + token, token + ".e30",
			token[:n-10] + "\t" + token[n-10:], token[:n-10] + " " + token[n-10:], strings.Replace(token, ".", "=.", 1),
			strings.ReplaceAll(token, ".", ".."), strings.ReplaceAll(token, ".", "%2E"), `"` + token + `"`}
		for _, c := range alphabet {
			if byte(c) != token[n-1] {
				all = append(all, token[:n-1]+string(c))
			}
		}
		return all
	}
	var k tokens
	f.mikrocloud(t, hostOne, "ada", &k)
	check := func(when string) {
		for name, token := range map[string]string{"jwt": f.real, "opaque": k.auth} {
			for _, other := range spellings(token) {
				if other == token {
					continue
				}
				a := f.ask(t, hostOne, "GET", "/ostiary/verify", "", "Authorization: Bearer "+other)
				if a.StatusCode != http.StatusUnauthorized {
					t.Errorf("%s, %s: %q is taken: %d", when, name, other, a.StatusCode)
				}
			}
		}
	}
	check("alive")
	for _, token := range []string{f.real, k.auth} {
		if a := f.ask(t, hostOne, "POST", "/ostiary/logout", "", "Authorization: Bearer "+token); a.StatusCode != 204 {
			t.Fatalf("logout: %d", a.StatusCode)
		}
	}
	check("after logout")
}

func TestThreat28_OddClaims(t *testing.T) {
	f := newForger(t)
	now := time.Now().Unix()
	for name, values := range map[string][]any{
		"exp": {nil, "", fmt.Sprint(now + 100), -1, now, now - 1, json.Number("1e400"), true, []int64{now + 100}, json.Number("253402300800")},
		"iat": {nil, "x", -1, now + 120, json.Number("1e400"), false, map[string]int{}},
		"nbf": {"x", -1, now + 120, json.Number("-1e400"), []int{}},
		"iss": {nil, "", "nomicgamemanager.api", "NomicGameManager.Api ", []string{"NomicGameManager.Api"}, "urn:ostiary:one:senmo", 1},
		"jti": {nil, "", "x", 1, strings.Repeat("A", 38)},
	} {
		for _, value := range values {
			payload := f.with(name, value)
			if number, odd := value.(json.Number); odd {
				payload = strings.Replace(f.with(name, "ODD"), `"ODD"`, string(number), 1)
			}
			f.refuses(t, fmt.Sprintf("%s %v", name, value), f.sign(f.header(), payload))
		}
	}
	good := text(f.claims)
	for what, payload := range map[string]string{
		"exp twice":     strings.TrimSuffix(good, "}") + fmt.Sprintf(`,"exp":%d}`, now+100),
		"trailing data": good + "{}", "not an object": "[" + good + "]", "empty": "", "null": "null", "invalid UTF-8": strings.Replace(good, "{", "{\"x\":\"\xff\",", 1),
		"lone surrogate": strings.Replace(good, "{", `{"x":"\ud800",`, 1), "deep": strings.Replace(good, "{", `{"x":`+strings.Repeat("[", 1000)+strings.Repeat("]", 1000)+`,`, 1),
	} {
		f.refuses(t, what, f.sign(f.header(), payload))
	}
	f.takes(t, "a fraction of a second", f.sign(f.header(), strings.Replace(f.with("exp", "ODD"), `"ODD"`, fmt.Sprint(now+100)+".5", 1)))
}

func TestThreat29_Audience(t *testing.T) {
	f := newForger(t)
	for _, aud := range []any{"", "ostiary", []string{}, []string{"ostiary"}, 1} {
		f.refuses(t, fmt.Sprintf("nomic without audience, aud %v", aud), f.sign(f.header(), f.with("aud", aud)))
	}
	var k tokens
	f.senmo(t, hostOne, "ada", &k)
	payload, _ := b64.DecodeString(strings.Split(k.access, ".")[1])
	if err := json.Unmarshal(payload, &f.claims); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"iat", "exp", "auth_time"} {
		f.claims[name] = int64(f.claims[name].(float64))
	}
	f.takes(t, "the claims of senmo", f.sign(f.header(), text(f.claims)))
	for _, audience := range []any{nil, "", "Ostiary", "ostiar", "ostiary ", "ostiaryx", []string{"ostiary"}, []string{}, true} {
		f.refuses(t, fmt.Sprintf("client_id %v", audience), f.sign(f.header(), f.with("client_id", audience)))
	}
	f.refuses(t, "aud beside client_id", f.sign(f.header(), f.with("aud", "ostiary")))
	for _, use := range []any{nil, "", "id", "Access", []string{"access"}} {
		f.refuses(t, fmt.Sprintf("token_use %v", use), f.sign(f.header(), f.with("token_use", use)))
	}
}

func TestThreat32_CostlyTokens(t *testing.T) {
	f := newForger(t)
	for what, token := range map[string]string{
		"dots": strings.Repeat(".", 30<<10), "five parts": f.real + ".e30.e30", "long": strings.Repeat("A", 30<<10), "a long JWT": f.real + strings.Repeat("A", 20<<10),
	} {
		start := time.Now()
		if a := f.ask(t, hostOne, "GET", "/ostiary/verify", "", "Authorization: Bearer "+token); a.StatusCode != 401 {
			t.Errorf("%s: %d", what, a.StatusCode)
		}
		if took := time.Since(start); took > time.Second { // 10 ms on an idle machine
			t.Errorf("%s: %s", what, took)
		}
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	go func() {
		_, _ = io.WriteString(conn, "GET /ostiary/verify HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+strings.Repeat(".", 1<<20)+"\r\n\r\n")
	}()
	line := make([]byte, 12)
	if _, err := io.ReadFull(conn, line); err != nil || string(line) != "HTTP/1.1 431" {
		t.Errorf("a megabyte of dots: %q %v", line, err)
	}
}
