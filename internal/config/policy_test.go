package config

import (
	"reflect"
	"testing"

	"github.com/ostiary/ostiary/internal/password"
)

func TestConfig_Policies(t *testing.T) {
	c, err := parse(t, `
data = "x"
realm = "staff"

[[policy]]
realm = "default"

[[policy]]
realm = "staff"
password_policy = "mikrocloud"
password_min = 8
password_breached = "/var/lib/pwned"

[[policy]]
realm = "shop"
password_policy = "nist"
password_min = 20
`, "serve")
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
