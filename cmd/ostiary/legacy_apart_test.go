package main

import (
	"bytes"
	"encoding/base32"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/legacy/legacytest"
)

// overlapping is a takeover from four old servers that each have an ada, with a password of its own, and
// mikrocloud's with a second factor, if its secret is given.
func overlapping(t *testing.T, mount, totp string) *takeover {
	o := &takeover{T: t, data: filepath.Join(t.TempDir(), "data"), config: filepath.Join(t.TempDir(), "ostiary.toml"), relays: map[string]*relay{}}
	for _, d := range fourDialects {
		ada := legacytest.Account{Username: "ada", Email: "ada@example.com", Password: oldPass + d, Subject: "old-" + d}
		if d == "nomic" {
			ada.Subject = "17"
		}
		if d == "mikrocloud" {
			ada.TOTP = totp
		}
		o.relays[d] = newRelay(t, legacytest.Start(t, d, []legacytest.Account{ada}))
	}
	o.write(mount)
	o.p = serve(t, o.data, "--config", o.config)
	return o
}

func (o *takeover) allSignIn(when string, want map[string]int) {
	o.Helper()
	for _, d := range []string{"senmo", "mikrocloud", "cloudio", "nomic"} {
		if res, text := o.signIn(d, "ada", oldPass+d); res.StatusCode != want[d] {
			o.Errorf("%s, %s: %d %s, want %d", when, d, res.StatusCode, text, want[d])
		}
	}
}

var everywhere = map[string]int{"senmo": 200, "mikrocloud": 200, "cloudio": 200, "nomic": 200}

// TestLegacyApart: with legacy_apart whoever has an account at several old servers signs in at the mount
// of each with its own password, before and after these are gone, whether they are asked or answer
// themselves. Without it the first one has the name.
func TestLegacyApart(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"own", "shadow"} {
		o := overlapping(t, "legacy_apart = true\nmode = \""+mode+"\"", "")
		o.allSignIn(mode, everywhere)
		o.mode("legacy_apart = true")
		for _, r := range o.relays {
			r.old.Stop()
		}
		o.allSignIn(mode+", and then without the old servers", everywhere)
		if got := o.audited("account_adopted", "apart"); got != 3 {
			t.Errorf("%s: %d accounts are apart", mode, got)
		}
		if got := strings.Count(must(t, "", "account", "list", "--json", "--data", o.data), `"username":"ada"`); got != 4 {
			t.Errorf("%s: %d accounts", mode, got)
		}
	}
	o := overlapping(t, "", "")
	o.allSignIn("without", map[string]int{"senmo": http.StatusOK, "mikrocloud": http.StatusUnauthorized, "cloudio": http.StatusForbidden, "nomic": http.StatusForbidden})
	if got := o.audited("sign_in_failed", "no_password"); got != 3 {
		t.Errorf("without: %d refusals", got)
	}
}

// TestThreat16_ShadowedNamesake: who has an account by a name at one old server gets no more guesses
// than anybody at the account of that name at another one, by signing in to his own.
func TestThreat16_ShadowedNamesake(t *testing.T) {
	t.Parallel()
	for _, mount := range []string{`mode = "shadow"`, "mode = \"shadow\"\nlegacy_apart = true", "legacy_apart = true"} {
		o := overlapping(t, mount, "")
		asked := o.sent("nomic", func() {
			for range 6 {
				if res, text := o.signIn("senmo", "ada", oldPass+"senmo"); res.StatusCode != http.StatusOK {
					t.Fatalf("%d %s", res.StatusCode, text)
				}
				for range 4 {
					o.signIn("nomic", "ada", "a wrong password")
				}
			}
		})
		if asked < 5 || asked > 12 { // of 24; on a slow machine some waits end meanwhile
			t.Errorf("%q: the old server was asked %d times", mount, asked)
		}
	}
}

// TestThreat16_ShadowedNamesakesCodes: codes that are wrong for the account of a name at one old server
// are not counted for the account of that name from another.
func TestThreat16_ShadowedNamesakesCodes(t *testing.T) {
	t.Parallel()
	o := overlapping(t, `mode = "shadow"`, base32.StdEncoding.EncodeToString(bytes.Repeat([]byte("r"), 20)))
	o.signIn("senmo", "ada", oldPass+"senmo")
	ada := must(t, "", "account", "show", "ada", "--json", "--data", o.data)
	res, text := o.signIn("mikrocloud", "ada", oldPass+"mikrocloud")
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", res.StatusCode, text)
	}
	ticket := memberOf(t, text, "token")
	for range 3 {
		if res, text := o.post("/user/passport", jsonOf("totp", "000000", "token", ticket), ""); res.StatusCode == http.StatusOK {
			t.Fatalf("a wrong code: %s", text)
		}
	}
	if got := must(t, "", "budget", "list", "--json", "--data", o.data, "--config", o.config); strings.Contains(got, memberOf(t, ada, "id")) {
		t.Errorf("counted for the other one: %s", got)
	}
	if got := must(t, "", "audit", "list", "--kind", "factor_failed", "--json", "--data", o.data); strings.Contains(got, memberOf(t, ada, "id")) {
		t.Errorf("the log names the other one: %s", got)
	}
}
