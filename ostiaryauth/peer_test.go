package ostiaryauth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"
)

const (
	realm     = "default"
	service   = "reports"
	secret    = "ostsvc_test"
	cloudioIs = "urn:ostiary:default:cloudio"
	senmoIs   = "urn:ostiary:default:senmo"
	nomicIs   = "NomicGameManager.Api"
	csrf      = "0f5c1f6e-8f0b-4a33-9d0b-7a1d3a1f2b3c"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clock is set by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// signingKey is a private key of the peer.
type signingKey struct {
	alg, kid string
	private  crypto.Signer
}

var generated = sync.OnceValue(func() map[string]signingKey {
	rs, err1 := rsa.GenerateKey(rand.Reader, 2048)
	ec, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, ed, err3 := ed25519.GenerateKey(rand.Reader)
	if err1 != nil || err2 != nil || err3 != nil {
		panic("no keys")
	}
	return map[string]signingKey{
		"RS256": named("RS256", rs), "ES256": named("ES256", ec), "EdDSA": named("EdDSA", ed),
	}
})

func named(alg string, private crypto.Signer) signingKey {
	sum, err := (&jose.JSONWebKey{Key: private.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		panic(err)
	}
	return signingKey{alg, base64.RawURLEncoding.EncodeToString(sum), private}
}

func newKey(t testing.TB) signingKey {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return named("EdDSA", private)
}

func (k signingKey) jwk() jose.JSONWebKey {
	return jose.JSONWebKey{Key: k.private.Public(), KeyID: k.kid, Algorithm: k.alg, Use: "sig"}
}

// sign makes a JWT by go-jose, which knows nothing of this package.
func (k signingKey) sign(t testing.TB, typ string, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{
		Algorithm: jose.SignatureAlgorithm(k.alg), Key: jose.JSONWebKey{Key: k.private, KeyID: k.kid},
	}, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// raw signs any header and payload.
func (k signingKey) raw(t testing.TB, header, payload string) string {
	t.Helper()
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	var signature []byte
	var err error
	sum := sha256.Sum256([]byte(input))
	switch private := k.private.(type) {
	case ed25519.PrivateKey:
		signature = ed25519.Sign(private, []byte(input))
	case *rsa.PrivateKey:
		signature, err = rsa.SignPKCS1v15(nil, private, crypto.SHA256, sum[:])
	default:
		t.Fatal("raw signs by RSA and Ed25519")
	}
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64(signature)
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// peer plays what this package asks of Ostiary, over HTTP.
type peer struct {
	*httptest.Server
	*clock
	key map[string]signingKey // by algorithm

	mu           sync.Mutex
	keys         []jose.JSONWebKey
	jwks         string // instead of keys
	cacheControl string
	down         bool
	live         map[string]map[string]any // opaque tokens and JWTs, to what introspection says
	answer       string                    // instead of it
	asked        map[string]int            // requests by path
	gate         chan struct{}             // requests wait for it, if it is there
}

func newPeer(t testing.TB) *peer {
	t.Helper()
	p := &peer{
		clock: &clock{now: noon}, key: generated(), cacheControl: "public, max-age=300",
		live: map[string]map[string]any{}, asked: map[string]int{},
	}
	for _, k := range p.key {
		p.keys = append(p.keys, k.jwk())
	}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *peer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked[r.URL.Path]++
	gate := p.gate
	p.mu.Unlock()
	if gate != nil {
		<-gate
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.down:
		http.Error(w, "away", http.StatusServiceUnavailable)
	case r.URL.Path == "/.well-known/jwks.json" && r.Method == http.MethodGet:
		if p.cacheControl != "" {
			w.Header().Set("Cache-Control", p.cacheControl)
		}
		if p.jwks != "" {
			_, _ = io.WriteString(w, p.jwks)
			return
		}
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: p.keys})
	case r.URL.Path == "/ostiary/introspect" && r.Method == http.MethodPost:
		p.introspect(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (p *peer) introspect(w http.ResponseWriter, r *http.Request) {
	name, word, _ := r.BasicAuth()
	if name != service || word != secret || r.ParseForm() != nil || len(r.PostForm["token"]) != 1 {
		http.Error(w, "who?", http.StatusUnauthorized)
		return
	}
	switch claims, ok := p.live[r.PostForm.Get("token")]; {
	case p.answer != "":
		_, _ = io.WriteString(w, p.answer)
	case ok:
		_ = json.NewEncoder(w).Encode(claims)
	default:
		_, _ = io.WriteString(w, `{"active":false}`)
	}
}

// set changes the peer under its lock.
func (p *peer) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *peer) count(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[path]
}

func (p *peer) fetches() int { return p.count("/.well-known/jwks.json") }

// settled waits until no request for the keys is under way.
func settled(t testing.TB, v *Verifier) {
	t.Helper()
	v.keys.mu.Lock()
	flight := v.keys.flight
	v.keys.mu.Unlock()
	if flight != nil {
		<-flight
	}
}

func (p *peer) opaque(claims map[string]any) string {
	b := make([]byte, 32)
	_, _ = rand.Read(b)
	token := base64.StdEncoding.EncodeToString(b)
	p.set(func() { p.live[token] = claims })
	return token
}

// dates are good from noon on for two hours.
func dates(more map[string]any) map[string]any {
	c := map[string]any{"iat": noon.Unix(), "exp": noon.Unix() + 7200, "jti": jti()}
	maps.Copy(c, more)
	return c
}

var session = uuid.MustParse("0190d5e8-7b1c-7d3e-8f00-0123456789ab")

func jti() string {
	b := make([]byte, 28)
	_, _ = rand.Read(b)
	copy(b, session[:])
	return b64(b)
}

// with is claims with some changed; nil takes one away.
func with(claims map[string]any, more map[string]any) map[string]any {
	c := maps.Clone(claims)
	for name, value := range more {
		if c[name] = value; value == nil {
			delete(c, name)
		}
	}
	return c
}

func senmoClaims() map[string]any {
	return dates(map[string]any{
		"iss": senmoIs, "sub": "ada-1", "token_use": "access", "client_id": "ostiary", "scope": "openid", "username": "ada",
		"auth_time": noon.Unix() - 60, "roles": []string{"analyst", "reader"}, "datasources": []string{"sales"},
	})
}

func idClaims() map[string]any {
	return dates(map[string]any{
		"iss": senmoIs, "sub": "ada-1", "token_use": "id", "aud": "ostiary", "username": "ada", "name": "Ada", "email": "ada@example.com",
		"email_verified": true, "auth_time": noon.Unix() - 60,
	})
}

func nomicClaims() map[string]any {
	return dates(map[string]any{"iss": nomicIs, "sub": "7", "nbf": noon.Unix()})
}

func cloudioClaims() map[string]any {
	return dates(map[string]any{"iss": cloudioIs, "sub": "ada-2", "session": session.String(), "csrf": csrf, "org_uid": "acme"})
}

// everything is what assertions and introspection say of an account.
func everything(dialect string) map[string]any {
	return dates(map[string]any{
		"sub": "ada-1", "client_id": dialect, "username": "ada", "account": "0190d5e8-7b1c-7d3e-8f00-00000000ada0", "email": "ada@example.com",
		"org": "acme", "roles": []string{"analyst", "reader"}, "datasources": []string{"sales"}, "dialect": dialect,
		"session": session.String(), "auth_time": noon.Unix() - 60, "amr": []string{"pwd", "otp"},
	})
}

func assertionClaims() map[string]any {
	return with(everything("mikrocloud"), map[string]any{
		"iss": "urn:ostiary:default:mikrocloud", "aud": "urn:ostiary:default", "exp": noon.Unix() + 300, "email": nil,
	})
}

func mikrocloudAnswer() map[string]any {
	return with(everything("mikrocloud"), map[string]any{"active": true, "token_type": "Bearer", "jti": nil})
}

func allKinds() []Credential {
	return []Credential{
		Cloudio{Issuer: cloudioIs}, Mikrocloud{}, Nomic{Issuer: nomicIs}, Senmo{Issuer: senmoIs, Audience: "ostiary"},
	}
}

// config accepts every kind that comes in Authorization.
func (p *peer) config() Config {
	return Config{
		URL: p.URL, Accept: allKinds(), Introspection: &Introspection{Name: service, Secret: secret},
		Client: p.Client(), Log: slog.New(slog.DiscardHandler), Now: p.Now,
	}
}

func (p *peer) verifier(t testing.TB, change ...func(*Config)) *Verifier {
	t.Helper()
	c := p.config()
	for _, f := range change {
		f(&c)
	}
	v, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func asserted(c *Config) {
	c.Accept = []Credential{Assertion{Realm: realm, Audience: "urn:ostiary:default"}}
	c.Introspection = nil
}

// guarded is a server behind a Verifier, which answers with the identity.
func guarded(t testing.TB, v *Verifier) string {
	t.Helper()
	s := httptest.NewServer(v.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i, ok := FromContext(r.Context())
		if !ok {
			http.Error(w, "no identity", http.StatusTeapot)
			return
		}
		_ = json.NewEncoder(w).Encode(i)
	})))
	t.Cleanup(s.Close)
	return s.URL
}

// reply is an answer that was read to its end.
type reply struct {
	*http.Response
	body string
}

// get asks; headers are "Name: value" and may repeat.
func get(t testing.TB, url string, headers ...string) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header[name] = append(r.Header[name], value)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{response, string(body)}
}

// verify asks the Verifier itself, of a request that has come over no wire.
func verify(v *Verifier, headers ...string) (*Identity, error) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Add(name, value)
	}
	return v.Verify(r)
}

// refused checks that a token is refused for this reason ("" for any), and that the error does not quote it.
func refused(t *testing.T, v *Verifier, what, token, reason string) {
	t.Helper()
	for _, csrf := range []string{"", csrf} {
		i, err := verify(v, "Authorization: Bearer "+token, "X-CSRF-Token: "+csrf)
		switch {
		case !isInvalid(err) || i != nil:
			t.Errorf("%s: %v, %v", what, i, err)
		case !strings.Contains(err.Error(), reason):
			t.Errorf("%s: refused for another reason: %v", what, err)
		case len(err.Error()) > 120:
			t.Errorf("%s: an error of %d bytes", what, len(err.Error()))
		}
	}
}

func serve(t testing.TB, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}
