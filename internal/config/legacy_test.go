package config

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/internal/auth"
)

const legacyMounts = `
[[mount]]
dialect = "nomic"

[[mount]]
dialect = "senmo"
legacy = "https://old.example.com/base/"
legacy_ca = "/etc/ca.pem"
legacy_timeout = "1500ms"
legacy_calls = 7
legacy_apart = true
mode = "split"
split_percent = 20
split_accounts = ["Ada"]

[[mount]]
dialect = "cloudio"
prefix = "/c"
legacy = "http://127.0.0.1:8081"
mode = "shadow"
split_percent = 20

[[mount]]
dialect = "mikrocloud"
legacy = "http://LOCALHOST:8082"
`

func TestMounts_Legacy(t *testing.T) {
	c, err := parse(t, legacyMounts, "serve")
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := c.Mounts(four)
	if err != nil {
		t.Fatal(err)
	}
	want := []Legacy{
		{},
		{URL: "https://old.example.com/base/", CA: "/etc/ca.pem", Timeout: 1500 * time.Millisecond, Calls: 7},
		{URL: "http://127.0.0.1:8081", Timeout: 5 * time.Second, Calls: 32},
		{URL: "http://LOCALHOST:8082", Timeout: 5 * time.Second, Calls: 32},
	}
	if diff := cmp.Diff(want, c.Legacies(mounts)); diff != "" {
		t.Error(diff)
	}
	for i, m := range []auth.Mount{{}, {Apart: true, Mode: auth.ModeSplit, Split: auth.Split{Percent: 20, Accounts: map[string]bool{"ada": true}}}, {Mode: auth.ModeShadow, Split: auth.Split{Percent: 20}}, {}} {
		if diff := cmp.Diff([]any{m.Mode, m.Split, m.Apart}, []any{mounts[i].Mode, mounts[i].Split, mounts[i].Apart}); diff != "" {
			t.Errorf("mount %d: %s", i+1, diff)
		}
	}
	none, err := parse(t, "", "serve")
	if err != nil {
		t.Fatal(err)
	}
	if mounts, err = none.Mounts(four); err != nil || cmp.Diff(make([]Legacy, 4), none.Legacies(mounts)) != "" {
		t.Errorf("without a file: %v, %v", none.Legacies(mounts), err)
	}
}

// The file of the CA is read each time that a client is made, so that a reload takes a new one.
func TestLegacy_Options(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ca.pem")
	l := Legacy{URL: "https://old.example.com", CA: path, Timeout: time.Second, Calls: 1}
	if _, err := l.Options(); err == nil {
		t.Error("a file that is not there")
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := l.Options()
	if err != nil || string(o.CA) != "x" || o.URL != l.URL || o.Timeout != l.Timeout || o.Calls != 1 {
		t.Errorf("%+v, %v", o, err)
	}
}

// TestLoad_Paths: what a table names is found from the directory of the file on, wherever the process is.
func TestLoad_Paths(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ostiary.toml")
	text := `
[[mount]]
dialect = "senmo"
legacy = "https://old.example.com"
legacy_ca = "ca.pem"

[[policy]]
realm = "a"
password_breached = "pwned"

[[policy]]
realm = "b"
password_breached = "/var/lib/pwned"

[[writeback]]
realm = "a"
file = "back.jsonl"

[[writeback]]
realm = "b"
webhook_secret_file = "back"
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{f.mounts[0].LegacyCA, *f.policies[0].PasswordBreached, *f.policies[1].PasswordBreached, f.writebacks[0].File, f.writebacks[1].WebhookSecretFile}
	want := []string{filepath.Join(dir, "ca.pem"), filepath.Join(dir, "pwned"), "/var/lib/pwned", filepath.Join(dir, "back.jsonl"), filepath.Join(dir, "back")}
	if !cmp.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
