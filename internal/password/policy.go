package password

import (
	"cmp"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	MinAlone  = 15   // NIST SP 800-63B-4, section 3.1.1.2: where the password is the only factor
	MinFactor = 8    // beside a second factor
	maxChars  = 1024 // at least 64 by the same; an end, so that hashing has one

	// secretPrefix is how the generated secrets of service accounts begin. What
	// begins so is checked as one of them, never as a password.
	secretPrefix = "ostsvc_"
)

// Refusal is why a password may not be chosen, for whom chose it (the same section: the
// reason SHALL be said). It never tells the password, nor whom it belongs to.
type Refusal string

func (r Refusal) Error() string { return string(r) }

const (
	errEmpty    = Refusal("the password is empty")
	errNotText  = Refusal("the password is not valid UTF-8")
	errNUL      = Refusal("the password contains a NUL character")
	errTooLong  = Refusal("the password has more than 1024 characters")
	errReserved = Refusal("the password begins like a service secret (ostsvc_)")
	errClasses  = Refusal("the password lacks one of these: an upper-case letter, a lower-case letter, a digit, a special character")
	errBreached = Refusal("the password is known from a data breach")
)

// ErrPast is what the hashes of earlier passwords say, which Check does not see.
const ErrPast = Refusal("the password is the present one, or one of the last before it")

// tooShort is about how many characters a password should have had.
func tooShort(least int) Refusal {
	return Refusal(fmt.Sprintf("the password has fewer than %d characters", least))
}

// Rules are what a realm asks of a password that somebody chooses. The zero value is what
// NIST SP 800-63B-4 asks, section 3.1.1.2: no composition, no change by the calendar.
type Rules struct {
	Min      int       // characters, where the password is the only factor; 0: MinAlone
	Classes  bool      // one of each class: upper case, lower case, digits, the others
	Past     int       // how many before the present one may not come again, nor the present; 0: all may
	Breached *Breached // passwords that were stolen; nil: none is known
}

// For is whose password it is to be.
type For struct {
	Factor bool     // has a confirmed second factor
	Words  []string // names, addresses and the like that anybody would try first
}

// Check tells whether a password may be chosen: a Refusal, or ErrBreachedFile if that
// can't be said. It is compared as a whole, in NFC, and a character is a code point.
// Imported passwords are not asked.
func (r Rules) Check(password string, f For) error {
	if err := Form(password); err != nil {
		return err
	}
	password = norm.NFC.String(password)
	least := cmp.Or(r.Min, MinAlone)
	if f.Factor {
		least = MinFactor
	}
	if utf8.RuneCountInString(password) < least {
		return tooShort(least)
	}
	if r.Classes && !allClasses(password) {
		return errClasses
	}
	if reason := guessable(password, f.Words); reason != "" {
		return reason
	}
	if r.Breached == nil {
		return nil
	}
	found, err := r.Breached.Has(password)
	if err == nil && found {
		err = errBreached
	}
	return err
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

func allClasses(password string) bool {
	other := func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }
	for _, class := range []func(rune) bool{unicode.IsUpper, unicode.IsLower, unicode.IsDigit, other} {
		if !strings.ContainsFunc(password, class) {
			return false
		}
	}
	return true
}
