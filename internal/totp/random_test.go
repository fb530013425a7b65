package totp

import (
	"strings"
	"testing"
)

// Secrets and recovery codes are as random as they are long: distinct, each bit and each
// letter as often as the others.
func TestThreat44_CodesAndSecretsDistinct(t *testing.T) {
	const count = 100_000
	seen := make(map[string]bool, 2*count)
	var ones [160]int
	for range count {
		s := NewSecret()
		if len(s)*8 != len(ones) {
			t.Fatalf("%d bits", len(s)*8)
		}
		seen[string(s)] = true
		for i := range ones {
			ones[i] += int(s[i/8] >> (i % 8) & 1)
		}
	}
	var letters []map[rune]int
	for _, code := range NewRecoveryCodes(count) {
		plain, ok := NormalizeRecovery(code)
		if !ok || plain == "" {
			t.Fatalf("%q is none of its own kind", code)
		}
		seen[plain] = true
		for i, r := range strings.ReplaceAll(plain, "-", "") {
			if i == len(letters) {
				letters = append(letters, map[rune]int{})
			}
			letters[i][r]++
		}
	}
	if len(seen) != 2*count {
		t.Errorf("%d of %d are distinct", len(seen), 2*count)
	}
	for i, n := range ones {
		if n < count/2-1100 || n > count/2+1100 { // seven standard deviations of 158 each
			t.Errorf("bit %d was set %d times in %d", i, n, count)
		}
	}
	if len(letters) < 23 { // of 5 bits each: 112 at the least
		t.Errorf("%d letters", len(letters))
	}
	for i, by := range letters {
		for r, n := range by {
			if len(by) != 32 || n < count/32-400 || n > count/32+400 { // of 55 each
				t.Errorf("letter %d: %d different ones, %q came %d times", i, len(by), r, n)
			}
		}
	}
}
