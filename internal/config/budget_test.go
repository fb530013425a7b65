package config

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ostiary/ostiary/internal/auth"
)

// The settings that nobody changed are the core's own limits, which are the wire contract's.
func TestBudgets_Defaults(t *testing.T) {
	c, err := parse(t, "", "serve")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(auth.DefaultBudgets(), c.Budgets()); diff != "" {
		t.Error(diff)
	}
}

// Each setting is the one that its name says.
func TestBudgets_Settings(t *testing.T) {
	c, err := parse(t, `guess_account = 1
guess_known = 2
guess_source = 3
guess_factor = 4
guess_delay = "2s"
guess_delay_max = "3s"
guess_decay = "4s"
guess_wall = 6
guess_source_window = "7s"
guess_factor_window = "8s"
guess_known_for = "9d"
guess_exempt = ["192.0.2.7", "2001:db8::1/32"]
`, "serve")
	if err != nil {
		t.Fatal(err)
	}
	want := auth.DefaultBudgets()
	want.Account.Free, want.Known.Free, want.Source.Free, want.Factor.Free = 1, 2, 3, 4
	want.Account.First, want.Account.Max, want.Account.Decay, want.Account.Wall = 2*time.Second, 3*time.Second, 4*time.Second, 6
	want.Known.First, want.Known.Max, want.Known.Decay, want.Known.Wall = 2*time.Second, 3*time.Second, 4*time.Second, 6
	want.Factor.First, want.Factor.Max, want.Factor.Decay = 2*time.Second, 3*time.Second, 2*time.Second
	want.Source.Window, want.KnownFor = 7*time.Second, 9*24*time.Hour
	want.Exempt = []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("2001:db8::/32")}
	if diff := cmp.Diff(want, c.Budgets(), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
}
