package peertest

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What an old server signs by jose, with keys that were imported from its JWK Set, is a
// session here until its logout; and who verifies ours by the published keys still can.
func TestJWT_ForeignKeys(t *testing.T) {
	s := start(t, mounts)
	run(t, secret, s.binary, "account", "create", "--data", s.data, "--username", username,
		"--email", username+"@example.com", "--password-stdin", "--number", "7")
	run(t, "", s.binary, "account", "alias", username, "--dialect", "nomic", "--subject", "7", "--data", s.data)
	out, err := exec.CommandContext(t.Context(), tool(t, "node"), "../../test/peers/issue.mjs", "https://old.example.com", "7").Output()
	if err != nil {
		t.Fatal(err)
	}
	var old struct {
		JWKS   json.RawMessage
		Tokens map[string]string
	}
	if err := json.Unmarshal(out, &old); err != nil || len(old.Tokens) != 6 {
		t.Fatal(err, string(out))
	}
	file := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(file, old.JWKS, 0o600); err != nil {
		t.Fatal(err)
	}
	imported := run(t, "", s.binary, "key", "import", file, "--verify-only", "--dialect", "nomic", "--issuer", "https://old.example.com",
		"--until", time.Now().Add(24*time.Hour).Format(time.RFC3339), "--data", s.data)
	if n := strings.Count(imported, `"state":"verify-only"`); n != 6 {
		t.Fatal(imported)
	}
	ask := func(method, path, token string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	for algorithm, token := range old.Tokens {
		status := 0
		for deadline := time.Now().Add(20 * time.Second); status != http.StatusOK && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			status = ask("GET", "/ostiary/verify", token) // verification lags behind commands
		}
		if status != http.StatusOK {
			t.Errorf("%s: %d", algorithm, status)
		}
		if status := ask("POST", "/ostiary/logout", token); status != http.StatusNoContent {
			t.Errorf("%s: logout: %d", algorithm, status)
		}
		if status := ask("GET", "/ostiary/verify", token); status != http.StatusUnauthorized {
			t.Errorf("%s: after the logout: %d", algorithm, status)
		}
	}
	s.verifiedByOthers(t)
}
