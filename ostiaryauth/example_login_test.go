package ostiaryauth_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"time"
)

// login plays the endpoints of Ostiary that the examples need.
type login struct {
	*httptest.Server
	private ed25519.PrivateKey
	live    sync.Map // what introspection says, by token
	away    atomic.Bool
}

func newLogin() *login {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	l := &login{private: private}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/jwks.json", func(w http.ResponseWriter, _ *http.Request) {
		x := base64.RawURLEncoding.EncodeToString(private.Public().(ed25519.PublicKey))
		fmt.Fprintf(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","use":"sig","alg":"EdDSA","kid":"one","x":"%s"}]}`, x)
	})
	mux.HandleFunc("POST /ostiary/introspect", func(w http.ResponseWriter, r *http.Request) {
		claims, ok := l.live.Load(r.FormValue("token"))
		if !ok {
			claims = map[string]bool{"active": false}
		}
		if l.away.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(claims)
	})
	l.Server = httptest.NewServer(mux)
	return l
}

func (l *login) down() { l.away.Store(true) }

func (l *login) sign(typ string, claims map[string]any) string {
	all := map[string]any{"iat": time.Now().Unix(), "exp": time.Now().Unix() + 300, "jti": "unique"}
	maps.Copy(all, claims)
	payload, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	signed := b64([]byte(`{"alg":"EdDSA","kid":"one","typ":"`+typ+`"}`)) + "." + b64(payload)
	return signed + "." + b64(ed25519.Sign(l.private, []byte(signed)))
}

func (l *login) senmo(username string, roles, datasources []string) string {
	return l.sign("JWT", map[string]any{
		"iss": "urn:ostiary:default:senmo", "sub": "an id", "token_use": "access", "client_id": "ostiary",
		"username": username, "roles": append([]string{}, roles...), "datasources": append([]string{}, datasources...),
	})
}

func (l *login) assertion(username, dialect string) string {
	return l.sign("at+jwt", map[string]any{
		"iss": "urn:ostiary:default:" + dialect, "sub": "7", "aud": "urn:ostiary:default", "client_id": dialect,
		"account": "an id", "username": username, "org": "acme", "dialect": dialect, "session": "an id",
	})
}

func (l *login) mikrocloud(email string, datasources []string) string {
	random := make([]byte, 32)
	rand.Read(random) // never fails: it ends the process instead
	token := base64.StdEncoding.EncodeToString(random)
	l.live.Store(token, map[string]any{
		"active": true, "sub": "an id", "email": email, "dialect": "mikrocloud", "datasources": append([]string{}, datasources...),
	})
	return token
}

// ask prints what a server says to a request with these headers.
func ask(url string, headers ...string) {
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		panic(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] != "" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		panic(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		panic(err)
	}
	fmt.Println(answer.StatusCode, string(body))
}
