package totp

import (
	"encoding/base32"
	"regexp"
	"strings"
	"testing"
)

var recoveryForm = regexp.MustCompile(`^[A-Z2-7]{6}(-[A-Z2-7]{6}){3}$`)

func TestNewRecoveryCodes(t *testing.T) {
	codes, seen := NewRecoveryCodes(1000), map[string]bool{}
	if len(codes) != 1000 {
		t.Fatalf("%d codes", len(codes))
	}
	for _, code := range codes {
		if !recoveryForm.MatchString(code) {
			t.Fatalf("%q has another form", code)
		}
		if got, ok := NormalizeRecovery(code); !ok || got != code {
			t.Fatalf("%q is normalised to %q, %v: a hash of it as made would not be found", code, got, ok)
		}
		if seen[code] {
			t.Fatalf("%q came twice", code)
		}
		seen[code] = true
		random, err := base32.StdEncoding.DecodeString(strings.ReplaceAll(code, "-", ""))
		if err != nil || len(random)*8 < 112 {
			t.Fatalf("%q has %d bits: %v", code, len(random)*8, err)
		}
	}
	if len(NewRecoveryCodes(0)) != 0 {
		t.Error("codes that were not asked for")
	}
}

func TestNormalizeRecovery(t *testing.T) {
	const form = "ABCDEF-GHIJKL-MNOPQR-STUV27"
	for _, spelling := range []string{
		form, strings.ToLower(form), "abcdef-GHIJKL-mnopqr-STUV27", strings.ReplaceAll(form, "-", ""),
		"-" + form + "-", strings.ReplaceAll(form, "-", "--"), "A-B-C-D-E-F-G-H-I-J-K-L-M-N-O-P-Q-R-S-T-U-V-2-7",
	} {
		if got, ok := NormalizeRecovery(spelling); !ok || got != form {
			t.Errorf("%q: %q, %v", spelling, got, ok)
		}
	}
}

func TestThreat17_RecoverySpelling(t *testing.T) {
	const form = "ABCDEF-GHIJKL-MNOPQR-STUV27"
	for _, spelling := range []string{
		"", "-", "123456", form[:26], form + "A", " " + form, form + " ", form + "\n", form + "\x00", "\u00a0" + form, form + "\u00a0",
		strings.ReplaceAll(form, "-", " "), strings.ReplaceAll(form, "-", "_"), strings.ReplaceAll(form, "-", "‐"), strings.ReplaceAll(form, "-", "–"),
		strings.ReplaceAll(form, "A", "Ａ"), strings.ReplaceAll(form, "S", "ſ"), strings.ReplaceAll(form, "K", "\u212a"), strings.ReplaceAll(form, "A", "А"),
		strings.ReplaceAll(form, "O", "0"), strings.ReplaceAll(form, "I", "1"), strings.ReplaceAll(form, "B", "8"), strings.ReplaceAll(form, "G", "9"),
		strings.ReplaceAll(form, "A", "\xff"), form + "=", form + form, strings.Repeat("-", 100) + form,
	} {
		if got, ok := NormalizeRecovery(spelling); ok || got != "" {
			t.Errorf("%q is taken for %q", spelling, got)
		}
	}
}

func FuzzNormalizeRecovery(f *testing.F) {
	f.Add("ABCDEF-GHIJKL-MNOPQR-STUV27")
	f.Add("abcdefghijklmnopqrstuv27")
	f.Add("287082")
	f.Add("\u212aBCDEF-GHIJKL-MNOPQR-STUV27")
	f.Fuzz(func(t *testing.T, code string) {
		form, ok := NormalizeRecovery(code)
		if !ok {
			if form != "" {
				t.Fatalf("%q is refused as %q", code, form)
			}
			return
		}
		if !recoveryForm.MatchString(form) {
			t.Fatalf("%q: %q has another form", code, form)
		}
		if again, ok := NormalizeRecovery(form); !ok || again != form {
			t.Fatalf("%q: %q is not its own form", code, form)
		}
		if !strings.EqualFold(strings.ReplaceAll(code, "-", ""), strings.ReplaceAll(form, "-", "")) {
			t.Fatalf("%q became %q", code, form)
		}
	})
}
