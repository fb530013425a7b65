package peertest

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDocs_Export runs the commands of docs/export.md as they are written, and signs in
// elsewhere, so to speak, with what they have opened: the code of the secret is oathtool's.
func TestDocs_Export(t *testing.T) {
	tool(t, "age")
	tool(t, "jq")
	oathtool := tool(t, "oathtool")
	page, err := os.ReadFile("../../docs/export.md")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, "")
	do := func(stdin string, args ...string) string {
		return run(t, stdin, s.binary, append(args, "--data", s.data)...)
	}
	do("quiet otters juggle lanterns", "account", "create", "--username", "ada", "--display-name", `"sealed":"x" \ ü`, "--password-stdin")
	do("", "account", "create", "--username", "bob", "--no-password")
	uri, err := url.Parse(strings.SplitN(do("", "mfa", "enroll", "ada"), "\n", 2)[0])
	if err != nil {
		t.Fatal(err)
	}
	secret := uri.Query().Get("secret")
	code := func(at time.Time) string {
		return strings.TrimSpace(run(t, "", oathtool, "--totp", "--base32", "--now", at.UTC().Format("2006-01-02 15:04:05 UTC"), secret))
	}
	now := time.Now()
	do("", "mfa", "confirm", "ada", "--code", code(now))
	dir := t.TempDir()
	if n := s.follow(t, dir, string(page)); n != 2 {
		t.Errorf("%d pieces", n)
	}
	export, err := os.ReadFile(filepath.Join(dir, "accounts.jsonl"))
	if err != nil || strings.Contains(string(export), secret) {
		t.Fatalf("%v: %s", err, export)
	}
	text, err := os.ReadFile(filepath.Join(dir, "opened.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	type account struct {
		Username     string
		DisplayName  string `json:"display_name"`
		PasswordHash string `json:"password_hash"`
		Secret       string `json:"totp_secret"`
		LastStep     int64  `json:"totp_last_step"`
		Sealed       string
	}
	var got []account
	for line := range strings.Lines(string(text)) {
		var a account
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatal(err, line)
		}
		got = append(got, a)
	}
	if len(got) != 2 || got[1] != (account{Username: "bob"}) {
		t.Fatalf("opened: %s", text)
	}
	if a := got[0]; a.Username != "ada" || a.DisplayName != `"sealed":"x" \ ü` || !strings.HasPrefix(a.PasswordHash, "$argon2id$") ||
		a.Secret != secret || a.LastStep < now.Unix()/30-1 || a.LastStep > now.Unix()/30+1 || a.Sealed != "" {
		t.Errorf("opened: %+v", a)
	}
}
