package password

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	minAlone  = 15   // NIST SP 800-63B-4, section 3.1.1.2: where the password is the only factor
	minFactor = 8    // beside a second factor
	maxChars  = 1024 // at least 64 by the same; an end, so that hashing has one

	// secretPrefix is how the generated secrets of service accounts begin. What
	// begins so is checked as one of them, never as a password.
	secretPrefix = "ostsvc_"
)

var (
	errEmpty    = errors.New("the password is empty")
	errNotText  = errors.New("the password is not valid UTF-8")
	errNUL      = errors.New("the password contains a NUL character")
	errTooLong  = errors.New("the password has more than 1024 characters")
	errReserved = errors.New("the password begins like a service secret (ostsvc_)")
)

// tooShort is how many characters a password should have had.
type tooShort int

func (least tooShort) Error() string {
	return fmt.Sprintf("the password has fewer than %d characters", int(least))
}

// Policy tells whether a password may be chosen here, by an account with a confirmed
// second factor or without; its error is a reason to show to whom chose it. There are
// no rules of composition (NIST SP 800-63B-4, section 3.1.1.2; ASVS 6.2.5), and a
// character is a code point of the NFC form. Imported passwords are not asked.
func Policy(password string, factor bool) error {
	if err := Form(password); err != nil {
		return err
	}
	least := minAlone
	if factor {
		least = minFactor
	}
	if utf8.RuneCountInString(norm.NFC.String(password)) < least {
		return tooShort(least)
	}
	return nil
}

// Form tells whether a text can be anybody's password at all.
func Form(password string) error {
	if password == "" {
		return errEmpty
	}
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
	if utf8.RuneCountInString(norm.NFC.String(password)) > maxChars {
		return errTooLong
	}
	return nil
}
