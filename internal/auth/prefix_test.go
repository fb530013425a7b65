package auth

import (
	"strings"
	"testing"
)

// The beginning of a name is compared as the name is: what it begins with, it is found by.
func TestPrefixKey(t *testing.T) {
	for _, name := range []string{"Ada.Lovelace@Example.COM", "ΟΔΥΣΣΕΥΣ", "Ａｄａ", "Éva", "1ë", "שלום-7", "Straße", "l·l"} {
		key := nameKey(name)
		if key == "" {
			t.Fatalf("%q is no name", name)
		}
		runes := []rune(name)
		for n := 1; n <= len(runes); n++ {
			got, err := prefixKey(string(runes[:n]))
			if err != nil && name == "l·l" && n == 2 {
				continue // the middle dot stands between two l alone (RFC 5892, appendix A.3)
			}
			if err != nil || !strings.HasPrefix(key, got) {
				t.Errorf("%q of %q: %q, %v; want a beginning of %q", string(runes[:n]), name, got, err, key)
			}
		}
	}
	for _, bad := range []string{"", " ", "a b", "\xff", "a\x00", strings.Repeat("a", maxName+1)} {
		if got, err := prefixKey(bad); CodeOf(err) != CodeInvalidInput {
			t.Errorf("%q: %q, %v", bad, got, err)
		}
	}
}
