package config

import (
	"reflect"
	"testing"

	"github.com/ostiary/ostiary/internal/password"
)

func TestConfig_Realms(t *testing.T) {
	c, err := parse(t, `
data = "x"

[[realm]]
name = "default"

[[realm]]
name = "staff"
password_policy = "mikrocloud"
password_min = 8
password_breached = "/var/lib/pwned"

[[realm]]
name = "shop"
password_policy = "nist"
password_min = 20
`, "serve", "--realm", "staff")
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Passwords()
	want := map[string]password.Rules{
		"default": {},
		"staff":   {Min: 8, Classes: true, Past: 3, Breached: password.NewBreached("/var/lib/pwned")},
		"shop":    {Min: 20},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if c.Realm != "staff" || c.Data != "x" {
		t.Errorf("the settings beside are %q and %q", c.Realm, c.Data)
	}
}

// The setting and the tables have one key: either is good, in a file, and for each command.
func TestConfig_RealmSettingOrTables(t *testing.T) {
	for file, want := range map[string]string{
		"realm = \"staff\"\n":                          "staff",
		"[[realm]]\nname = \"staff\"\n":                "default",
		"realm = [{name = \"staff\"}]\n":               "default",
		"realm = []\n[[mount]]\ndialect = \"senmo\"\n": "default",
	} {
		for _, command := range []string{"serve", "account"} {
			c, err := parse(t, file, command)
			if err != nil {
				t.Errorf("%q: %v", file, err)
			} else if c.Realm != want {
				t.Errorf("%q: realm is %q", file, c.Realm)
			}
		}
	}
}
