package dialecttest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/dialect"
	"github.com/ostiary/ostiary/internal/web"
)

// Alike checks that two dialects promise the same: what a mount has by default, and every error.
func Alike(t *testing.T, one, other dialect.Dialect) {
	t.Helper()
	type promise struct {
		Defaults   auth.Mount
		Issuer     string
		Algorithms []string
		Audience   bool
		OwnFactor  bool
		InClaim    string
		Subject    string
		Refresh    bool
	}
	of := func(d dialect.Dialect) promise {
		p := promise{
			Defaults: d.Defaults, Algorithms: d.Algorithms, Audience: d.Audience, OwnFactor: d.OwnFactor,
			InClaim: d.Rules.Audience, Refresh: d.Rules.Refresh,
		}
		if d.Issuer != nil {
			p.Issuer = d.Issuer(Realm)
		}
		if d.Rules.Subject != nil {
			p.Subject = d.Rules.Subject(auth.Account{Number: 7, Username: "ada"})
		}
		return p
	}
	if diff := cmp.Diff(of(one), of(other)); diff != "" {
		t.Errorf("%s: %s", one.Name(), diff)
	}
	for _, code := range append(auth.Codes(), "of the future") {
		for _, detail := range []string{"", "a detail"} {
			p := web.Problem{Code: code, Detail: detail, Path: "/path", Time: Start}
			wantStatus, want := one.Encode(p)
			status, got := other.Encode(p)
			if status != wantStatus || (got == nil) != (want == nil) || got != nil && marshal(t, got) != marshal(t, want) {
				t.Errorf("%s %q: %d %s, want %d %s", code, detail, status, marshal(t, got), wantStatus, marshal(t, want))
			}
		}
	}
}
