package main

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// signedBy is the kid of a JWT.
func signedBy(t *testing.T, jwt string) string {
	t.Helper()
	var header struct{ Kid string }
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(jwt, ".")[0])
	if err == nil {
		err = json.Unmarshal(raw, &header)
	}
	if err != nil {
		t.Fatal(err)
	}
	return header.Kid
}

// accessToken signs ada in at senmo.
func accessToken(t *testing.T, url string) string {
	t.Helper()
	var got struct{ Tokens struct{ AccessToken string } }
	status, answer := login(t, url, "ada", "a password of ada")
	if err := json.Unmarshal([]byte(answer), &got); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s", status, answer)
	}
	return got.Tokens.AccessToken
}

func verifies(t *testing.T, url, token string) int {
	t.Helper()
	status, _, err := post(http.DefaultClient, url+"/ostiary/verify", "", "Authorization", "Bearer "+token)
	if err != nil {
		t.Fatal(err)
	}
	return status
}

// Two servers on one store replace the keys by a schedule of seconds, and make one of
// each; each takes the other's tokens all the time. Then a command refuses the keys.
func TestThreat34_ServersRotate(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	quick := []string{"--key-rotation", "6s", "--key-ahead", "5s"}
	servers := []*process{serve(t, data, quick...), serve(t, data, quick...)}
	must(t, "a password of ada", "account", "create", "--data", data, "--username", "ada", "--password-stdin")
	kids := map[string]bool{}
	var tokens []string
	for until := time.Now().Add(30 * time.Second); len(kids) < 2 && time.Now().Before(until); {
		for i, s := range servers {
			token := accessToken(t, s.url)
			kids[signedBy(t, token)] = true
			tokens = append(tokens, token)
			for _, token := range tokens[max(0, len(tokens)-20):] {
				if status := verifies(t, servers[1-i].url, token); status != http.StatusOK {
					t.Fatalf("a live token at the other server: %d", status)
				}
			}
		}
	}
	if len(kids) != 2 {
		t.Fatalf("%d keys have signed in half a minute", len(kids))
	}
	if status := verifies(t, servers[0].url, tokens[0]); status != http.StatusOK {
		t.Errorf("a token of the old key: %d", status)
	}
	last := map[string]time.Time{}
	for line := range strings.Lines(must(t, "", "key", "list", "--data", data, "--json")) { // the newest first
		var k keyJSON
		if err := json.Unmarshal([]byte(line), &k); err != nil {
			t.Fatal(err)
		}
		if next, there := last[k.Algorithm]; there && next.Sub(k.SignsFrom) < 5*time.Second {
			t.Errorf("two keys of %s begin within %s", k.Algorithm, next.Sub(k.SignsFrom))
		}
		last[k.Algorithm] = k.SignsFrom
	}
	if out := must(t, "", "audit", "list", "--data", data, "--json"); !strings.Contains(out, `"schedule"`) {
		t.Errorf("the audit log does not say who rotated:\n%s", out)
	}

	must(t, "", "key", "rotate", "--now", "--data", data)
	refused := time.Now()
	for _, s := range servers {
		for _, token := range []string{tokens[0], tokens[len(tokens)-1]} {
			for verifies(t, s.url, token) != http.StatusUnauthorized {
				if time.Since(refused) > 5*time.Second {
					t.Fatal("a token of a key that was found out lives on after 5 s")
				}
				time.Sleep(20 * time.Millisecond)
			}
		}
		if status := verifies(t, s.url, accessToken(t, s.url)); status != http.StatusOK {
			t.Errorf("a new token: %d", status)
		}
	}
	t.Logf("refused by both after %s", time.Since(refused).Round(time.Millisecond))
	for _, s := range servers {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		if strings.Contains(s.err.String(), "level=WARN msg=\"signing key") || strings.Contains(s.err.String(), "level=ERROR") {
			t.Errorf("%s", s.err.String())
		}
	}
}
