package peertest

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/processtest"
)

const (
	username = "ada"
	secret   = "correct horse battery"
)

// mounts are the dialects that make JWTs, senmo with each algorithm.
const mounts = `
guess_source = 0
[[mount]]
dialect = "cloudio"
[[mount]]
dialect = "nomic"
audience = "game"
[[mount]]
dialect = "senmo"
[[mount]]
dialect = "senmo"
prefix = "/es"
algorithm = "ES256"
issuer = "https://es.example.com"
audience = "app"
[[mount]]
dialect = "senmo"
prefix = "/ed"
algorithm = "EdDSA"
issuer = "https://ed.example.com"
audience = "app"
`

// server is the program itself, serving a new store with one account.
type server struct {
	binary string
	data   string
	url    string
}

// start starts the server; it is stopped at the end of the test.
func start(t *testing.T, config string) *server {
	t.Helper()
	dir := t.TempDir()
	s := &server{binary: processtest.Binary(t), data: filepath.Join(dir, "data")}
	file := filepath.Join(dir, "ostiary.toml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := processtest.Start(exec.Command(s.binary, "serve", "--data", s.data, "--listen", "127.0.0.1:0", "--config", file))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	if _, s.url, err = p.Address(0); err != nil {
		t.Fatal(err)
	}
	return s
}

// post sends a request and decodes its answer, which must be 200.
func (s *server) post(t *testing.T, path, authorization, body string, into any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s %v", path, resp.Status, answer, err)
	}
	if err := json.Unmarshal(answer, into); err != nil {
		t.Fatal(err)
	}
}

type jwt struct {
	Name      string  `json:"name"`
	JWKS      string  `json:"jwks"`
	Token     string  `json:"token"`
	Issuer    string  `json:"issuer"`
	Audience  *string `json:"audience"`
	Algorithm string  `json:"algorithm"`
}

// TestJWT_VerifiedByOthers signs in through every dialect that makes JWTs, and has each of
// them verified by libraries of others, with nothing but the published keys.
func TestJWT_VerifiedByOthers(t *testing.T) {
	s := start(t, mounts)
	run(t, secret, s.binary, "account", "create", "--data", s.data, "--username", username,
		"--email", username+"@example.com", "--password-stdin")
	s.verifiedByOthers(t)
}

func (s *server) verifiedByOthers(t *testing.T) {
	t.Helper()
	node := tool(t, "node")
	tokens := s.signIn(t)
	input, err := json.Marshal(tokens)
	if err != nil {
		t.Fatal(err)
	}
	out := strings.Split(strings.TrimSpace(run(t, string(input), node, "../../test/peers/verify.mjs")), "\n")
	if len(out) != len(tokens) {
		t.Fatalf("%d of %d were verified:\n%s", len(out), len(tokens), out)
	}
	for i, line := range out {
		var got struct {
			Name      string
			Jose, AWS map[string]any
			Refused   bool
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		if got.Name != tokens[i].Name || got.Jose["sub"] == "" || got.AWS["jti"] != got.Jose["jti"] {
			t.Errorf("%s", line)
		}
		if !got.Refused {
			t.Errorf("%s: a changed token was taken", got.Name)
		}
	}
}

// signIn gives every JWT that there is.
func (s *server) signIn(t *testing.T) []jwt {
	t.Helper()
	const root = "/.well-known/jwks.json"
	basic := base64.StdEncoding.EncodeToString([]byte(username + ":" + secret))
	game, ostiary, app := "game", "ostiary", "app"

	var cloudio struct{ JWT string }
	s.post(t, "/v1/auth", "Token "+basic, "{}", &cloudio)
	var nomic struct{ Token string }
	s.post(t, "/api/auth/token", "Basic "+basic, "", &nomic)
	renewed := nomic
	s.post(t, "/api/auth/token", "Bearer "+nomic.Token, "", &renewed)
	list := []jwt{
		{"cloudio", s.url + root, cloudio.JWT, "urn:ostiary:default:cloudio", nil, "RS256"},
		{"nomic", s.url + root, nomic.Token, "NomicGameManager.Api", &game, "RS256"},
		{"nomic renewed", s.url + root, renewed.Token, "NomicGameManager.Api", &game, "RS256"},
	}
	for _, m := range []struct {
		prefix, issuer, algorithm string
		audience                  *string
	}{
		{"", "urn:ostiary:default:senmo", "RS256", &ostiary},
		{"/es", "https://es.example.com", "ES256", &app},
		{"/ed", "https://ed.example.com", "EdDSA", &app},
	} {
		var senmo struct {
			Tokens struct{ IDToken, AccessToken, RefreshToken string }
		}
		body := `{"username":"` + username + `","password":"` + secret + `"}`
		for _, step := range []string{"login", "refresh"} {
			path := m.prefix + "/v1/auth"
			if step == "refresh" {
				path, body = path+"/refreshtoken", `{"refreshtoken":"`+senmo.Tokens.RefreshToken+`"}`
			}
			s.post(t, path, "", body, &senmo)
			jwks := s.url + m.prefix + root
			list = append(list,
				jwt{"senmo id " + step + m.prefix, jwks, senmo.Tokens.IDToken, m.issuer, m.audience, m.algorithm},
				jwt{"senmo access " + step + m.prefix, jwks, senmo.Tokens.AccessToken, m.issuer, nil, m.algorithm})
		}
	}
	return list
}
