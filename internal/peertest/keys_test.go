package peertest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDocs_Keys runs the commands of docs/keys.md as they are written, beside a server,
// and sees after each piece which keys there are.
func TestDocs_Keys(t *testing.T) {
	tool(t, "curl")
	page, err := os.ReadFile("../../docs/keys.md")
	if err != nil {
		t.Fatal(err)
	}
	var commands strings.Builder
	for _, b := range shown.FindAllStringSubmatch(string(page), -1) {
		if b[1] == "sh" {
			commands.WriteString(b[2] + "printf '\\001'; ostiary key list --json; printf '\\001'\n")
		}
	}
	s := start(t, "")
	env := []string{"OSTIARY_DATA=" + s.data, "PATH=" + filepath.Dir(s.binary) + ":" + os.Getenv("PATH"), "token=an-old-auth-token"}
	parts := strings.Split(s.shell(t, s.oldFiles(t), env, commands.String()), "\x01")
	want := []map[string]int{ // how many keys of an algorithm are in a state
		{"RS256 signing": 1, "ES256 signing": 1, "RS256 next": 2, "ES256 next": 1}, // by hand
		{"RS256 signing": 1, "ES256 signing": 1, "RS256 next": 1, "ES256 next": 1}, // wrong next keys are dropped
		{"RS256 signing": 1, "ES256 signing": 1, "RS256 next": 1, "ES256 next": 1, "EdDSA next": 1},
		{"RS256 signing": 1, "ES256 signing": 1, "EdDSA next": 1}, // the emergency
		{"RS256 signing": 1, "ES256 signing": 1, "EdDSA next": 1, "RS256 verify-only": 1, "HS256 verify-only": 1},
		{"RS256 signing": 1, "ES256 signing": 1, "EdDSA next": 1, "RS256 verify-only": 1, "HS256 verify-only": 1},
	}
	if len(parts) != 2*len(want)+1 {
		t.Fatalf("%d pieces, want %d", len(parts)/2, len(want))
	}
	for i := range want {
		got := keyStates(t, parts[2*i+1])
		for state, n := range want[i] {
			if got[state] != n {
				t.Errorf("after piece %d: %d keys are %s, want %d", i+1, got[state], state, n)
			}
			delete(got, state)
		}
		for state, n := range got {
			if !strings.HasSuffix(state, " expired") {
				t.Errorf("after piece %d: %d keys are %s", i+1, n, state)
			}
		}
	}
}

// oldFiles are those of old servers that the page names, and accounts that they are about.
func (s *server) oldFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339)
	for name, text := range map[string]string{
		"old.pem": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"old-jwks.json": `{"keys":[{"kty":"EC","crv":"P-256","kid":"old-2024","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",` +
			`"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`, // of RFC 7515, appendix A.3
		"old.secret":   "a shared secret of an old server\n",
		"tokens.jsonl": `{"dialect":"mikrocloud","kind":"bearer","token":"an-old-auth-token","account":"ada","expires_at":"` + until + `"}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, secret, s.binary, "account", "create", "--data", s.data, "--username", "ada", "--password-stdin")
	return dir
}

// keyStates counts the keys of a list by algorithm and state.
func keyStates(t *testing.T, list string) map[string]int {
	t.Helper()
	count := map[string]int{}
	for line := range strings.Lines(list) {
		var key struct{ Algorithm, State string }
		if err := json.Unmarshal([]byte(line), &key); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		count[key.Algorithm+" "+key.State]++
	}
	return count
}
