package totp

import (
	"crypto/rand"
	"encoding/base32"
	"strings"
)

const (
	recoverySize    = 15 // bytes: 120 bits, which need no slow hash (OWASP ASVS 5.0, 6.5.2)
	recoveryLetters = recoverySize * 8 / 5
	recoveryGroup   = 6
	recoveryMax     = 64 // no longer spelling of a code is looked at
	recoveryMin     = 8  // of the codes of others; a shorter one is no recovery code
)

// NewRecoveryCodes makes n one-time codes for who has lost the authenticator: 120 random bits each, in base32
// (RFC 4648 section 6: no 0, 1, 8, 9 to mistake for a letter), as four groups of six with hyphens between them.
// They are in the form that NormalizeRecovery gives, and only a hash of them is to be stored.
func NewRecoveryCodes(n int) []string {
	codes := make([]string, n)
	for i := range codes {
		var random [recoverySize]byte
		rand.Read(random[:]) // never fails: it crashes the program instead
		codes[i] = group(base32.StdEncoding.EncodeToString(random[:]))
	}
	return codes
}

// NormalizeRecovery gives the one form of a recovery code, in which it was made and hashed. The case of letters and
// hyphens do not count; anything else makes it no recovery code, white space and other alphabets included.
func NormalizeRecovery(code string) (string, bool) {
	if len(code) > recoveryMax {
		return "", false
	}
	letters := make([]byte, 0, recoveryMax)
	for i := range len(code) {
		switch c := code[i]; {
		case c == '-':
		case 'a' <= c && c <= 'z':
			letters = append(letters, c-'a'+'A')
		case 'A' <= c && c <= 'Z', '2' <= c && c <= '7':
			letters = append(letters, c)
		default:
			return "", false
		}
	}
	if len(letters) != recoveryLetters {
		return "", false
	}
	return group(string(letters)), true
}

// RecoveryText gives the text of which a recovery code is hashed: that of NormalizeRecovery, or a code that another
// system made as it is, of 8 to 64 visible characters of ASCII.
func RecoveryText(code string) (string, bool) {
	if text, ok := NormalizeRecovery(code); ok {
		return text, true
	}
	if len(code) < recoveryMin || len(code) > recoveryMax {
		return "", false
	}
	for i := range len(code) {
		if code[i] <= ' ' || code[i] > '~' {
			return "", false
		}
	}
	return code, true
}

func group(letters string) string {
	var b strings.Builder
	for i := 0; i < len(letters); i += recoveryGroup {
		if i > 0 {
			b.WriteByte('-')
		}
		b.WriteString(letters[i : i+recoveryGroup])
	}
	return b.String()
}
