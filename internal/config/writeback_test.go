package config

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// window is a [[writeback]] table with these lines, and an end in a month.
func window(lines ...string) string {
	return "[[writeback]]\nuntil = \"" + time.Now().Add(30*24*time.Hour).Format(time.RFC3339) + "\"\n" + strings.Join(lines, "\n") + "\n"
}

func TestConfig_Writebacks(t *testing.T) {
	c, err := parse(t, window(`realm = "staff"`, `format = "bcrypt"`, `file = "/var/lib/ostiary/back.jsonl"`)+
		window(`realm = "shop"`, `format = "django"`, `webhook = "https://old.example.com/back?key=x"`, `webhook_secret_file = "secret"`)+
		window(`realm = "v6"`, `format = "argon2id"`, `webhook = "http://[::1]:8080/"`, `webhook_secret_file = "secret"`)+
		"[[writeback]]\nrealm = \"over\"\nuntil = \"2020-01-01T00:00:00+01:00\"\nformat = \"ssha512\"\nfile = \"x\"\n", "serve")
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Writebacks()
	if err != nil || len(got) != 4 {
		t.Fatalf("%+v, %v", got, err)
	}
	if w := got[0]; w.Realm != "staff" || w.Format != "bcrypt" || w.File != "/var/lib/ostiary/back.jsonl" || w.URL != nil || time.Until(w.End) < 29*24*time.Hour {
		t.Errorf("%+v", w)
	}
	if w := got[1]; w.URL == nil || w.URL.Host != "old.example.com" || filepath.Base(w.WebhookSecretFile) != "secret" || !filepath.IsAbs(w.WebhookSecretFile) {
		t.Errorf("%+v", w)
	}
	if w := got[3]; !w.End.Equal(time.Date(2019, 12, 31, 23, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v", w)
	}
	if c, err = parse(t, `data = "x"`, "serve"); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Writebacks(); len(got) > 0 || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestConfig_BadWritebacks(t *testing.T) {
	good := []string{`realm = "a"`, `format = "bcrypt"`}
	with := func(lines ...string) string { return window(append(good[:2:2], lines...)...) }
	secret := `webhook_secret_file = "s"`
	for _, tt := range []struct{ file, want string }{
		{window(`format = "bcrypt"`, `file = "x"`), `ostiary.toml: writeback 1: realm: missing`},
		{window(`realm = "a b"`, `format = "bcrypt"`, `file = "x"`), `ostiary.toml: writeback 1: realm: "a b" is no realm's name (letters, digits, dot, underscore, hyphen; at most 64)`},
		{with(`file = "x"`) + with(`file = "y"`), `ostiary.toml: writeback 2 (a): realm: a [[writeback]] before has it too`},
		{with(`file = "x"`) + window(`realm = "b"`, `format = "bcrypt"`, `file = "./x"`), `ostiary.toml: writeback 2 (b): file: a [[writeback]] before has it too`},
		{"[[writeback]]\nrealm = \"a\"\nformat = \"bcrypt\"\nfile = \"x\"\n", `ostiary.toml: writeback 1 (a): until: missing`},
		{"[[writeback]]\nrealm = \"a\"\nuntil = \"2027-01-31\"\nformat = \"bcrypt\"\nfile = \"x\"\n", `ostiary.toml: writeback 1 (a): until: must be a time such as 2027-01-31T00:00:00Z`},
		{fmt.Sprintf("[[writeback]]\nrealm = \"a\"\nuntil = \"%s\"\nformat = \"bcrypt\"\nfile = \"x\"\n", time.Now().Add(367*24*time.Hour).Format(time.RFC3339)), `ostiary.toml: writeback 1 (a): until: must be at most a year ahead`},
		{"[[writeback]]\nrealm = \"a\"\nuntil = 2027-01-31T00:00:00Z\nformat = \"bcrypt\"\nfile = \"x\"\n", `ostiary.toml:3: writeback.until: must be a string`},
		{window(`realm = "a"`, `file = "x"`), `ostiary.toml: writeback 1 (a): format: missing`},
		{window(`realm = "a"`, `format = "md5"`, `file = "x"`), `ostiary.toml: writeback 1 (a): format: "md5" is not argon2id, bcrypt, django, pbkdf2-sha256, sha512crypt, ssha512 or werkzeug`},
		{with(), `ostiary.toml: writeback 1 (a): file, webhook: give one of them`},
		{with(`file = "x"`, `webhook = "https://a.example"`, secret), `ostiary.toml: writeback 1 (a): file, webhook: give one of them`},
		{with(`webhook = "https://a.example"`), `ostiary.toml: writeback 1 (a): webhook_secret_file: goes with webhook, and webhook with it`},
		{with(`file = "x"`, secret), `ostiary.toml: writeback 1 (a): webhook_secret_file: goes with webhook, and webhook with it`},
		{with(`webhook = "http://a.example"`, secret), `ostiary.toml: writeback 1 (a): webhook: must be https, or http to this machine alone`},
		{with(`webhook = "http://127.0.0.1.example"`, secret), `ostiary.toml: writeback 1 (a): webhook: must be https, or http to this machine alone`},
		{with(`webhook = "ftp://127.0.0.1/"`, secret), `ostiary.toml: writeback 1 (a): webhook: must be https, or http to this machine alone`},
		{with(`webhook = "https://me:hunter2@a.example"`, secret), `ostiary.toml: writeback 1 (a): webhook: must have no user and no fragment`},
		{with(`webhook = "a.example/hunter2"`, secret), `ostiary.toml: writeback 1 (a): webhook: must be a URL such as https://old.example.com/writeback`},
		{with(`webhook = "https://:443/"`, secret), `ostiary.toml: writeback 1 (a): webhook: must be a URL such as https://old.example.com/writeback`},
		{with(`file = "x"`, `secret = "x"`), `ostiary.toml:6: unknown key "writeback.secret"`},
		{"[writeback]\nrealm = \"a\"\n", `ostiary.toml:1: writeback: is a list of tables: write [[writeback]]`},
	} {
		if _, err := parse(t, tt.file, "serve"); line(err) != tt.want {
			t.Errorf("%s\ngot  %v\nwant %s", tt.file, line(err), tt.want)
		}
	}
}
