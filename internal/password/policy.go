package password

import (
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	minChars = 8    // OWASP ASVS 5.0, 6.2.1
	maxChars = 1024 // at least 64 by ASVS 6.2.9; an end, so that hashing has one

	// secretPrefix is how the generated secrets of service accounts begin. What
	// begins so is checked as one of them, never as a password.
	secretPrefix = "ostsvc_"
)

var (
	errNotText  = errors.New("the password is not valid UTF-8")
	errNUL      = errors.New("the password contains a NUL character")
	errTooShort = errors.New("the password has fewer than 8 characters")
	errTooLong  = errors.New("the password has more than 1024 characters")
	errReserved = errors.New("the password begins like a service secret (ostsvc_)")
)

// Policy tells whether a password may be chosen here; its error is a reason to
// show to whom chose it. There are no rules of composition (NIST SP 800-63B-4,
// section 3.1.1.2; ASVS 6.2.5), and a character is a code point of the NFC form.
// Imported passwords are not asked.
func Policy(password string) error {
	if len(password) > maxInput {
		return errTooLong
	}
	if !utf8.ValidString(password) {
		return errNotText
	}
	if strings.ContainsRune(password, 0) {
		return errNUL
	}
	if strings.HasPrefix(password, secretPrefix) {
		return errReserved
	}
	switch n := utf8.RuneCountInString(norm.NFC.String(password)); {
	case n < minChars:
		return errTooShort
	case n > maxChars:
		return errTooLong
	}
	return nil
}
