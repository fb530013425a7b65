package main

import (
	"encoding/base64"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What an operator does beside a running server holds at once for logins and refreshes, and
// within five seconds for verification.
func TestThreat38_CommandsBesideTheServer(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := serve(t, data)
	for _, c := range []struct {
		name, stdin string
		command     []string
		signsIn     bool // afterwards, with the same password
	}{
		{"disable", "", []string{"account", "disable"}, false},
		{"delete", "", []string{"account", "delete"}, false},
		{"set-password", "another walk on the beach", []string{"account", "set-password", "--password-stdin"}, false},
		{"revoke", "", []string{"session", "revoke", "--account"}, true},
		{"mfa-reset", "", []string{"mfa", "reset"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			must(t, diskPass, "account", "create", "--data", data, "--username", c.name, "--password-stdin")
			if c.name == "mfa-reset" {
				must(t, "", "mfa", "enroll", c.name, "--data", data)
			}
			status, answer := login(t, p.url, c.name, diskPass)
			if status != http.StatusOK {
				t.Fatalf("%d %s", status, answer)
			}
			access := "Authorization: Bearer " + accessOf(answer)
			_, rest, _ := strings.Cut(answer, `"refreshToken":"`)
			refresh, _, _ := strings.Cut(rest, `"`)
			_, renewed, err := post(http.DefaultClient, p.url+"/api/auth/token", "", "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(c.name+":"+diskPass)))
			if err != nil || !strings.Contains(renewed, `"token":"`) {
				t.Fatal(renewed, err)
			}
			_, rest, _ = strings.Cut(renewed, `"token":"`)
			jwt, _, _ := strings.Cut(rest, `"`)
			if status := get(t, p.url+"/ostiary/whoami", access); status != http.StatusOK {
				t.Fatalf("before: %d", status)
			}
			args := append(append([]string(nil), c.command...), c.name, "--data", data)
			must(t, c.stdin, args...)
			done := time.Now()
			if status, answer := login(t, p.url, c.name, diskPass); (status == http.StatusOK) != c.signsIn {
				t.Errorf("a login: %d %s", status, answer)
			}
			if status, answer, err := post(http.DefaultClient, p.url+"/v1/auth/refreshtoken", jsonOf("refreshtoken", refresh)); err != nil || status != http.StatusBadRequest {
				t.Errorf("a refresh: %d %s, %v", status, answer, err)
			}
			if status, answer, err := post(http.DefaultClient, p.url+"/api/auth/token", "", "Authorization", "Bearer "+jwt); err != nil || status != http.StatusForbidden {
				t.Errorf("a renewal: %d %s, %v", status, answer, err)
			}
			for {
				status := get(t, p.url+"/ostiary/whoami", access)
				if status == http.StatusUnauthorized {
					break
				}
				if took := time.Since(done); status != http.StatusOK || took > 5*time.Second {
					t.Errorf("verification, %s after: %d", took, status)
					break
				}
				time.Sleep(50 * time.Millisecond)
			}
		})
	}
}
