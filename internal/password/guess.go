package password

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// The blocklist of NIST SP 800-63B-4, section 3.1.1.2: common passwords, and words of the
// account and the service, each also with little changed. The whole password is compared:
// a common word among others is nobody's business.
const (
	errSequence = Refusal("the password is little more than a repetition, or a sequence such as 12345 or qwerty")
	errCommon   = Refusal("the password is a common one, or one with digits, punctuation or other spellings of letters added")
	errCombined = Refusal("the password is little more than two or three of the most common ones")
	errFamous   = Refusal("the password is little more than a famous phrase")
	errContext  = Refusal("the password is little more than names or addresses of the account, or of the service")
)

const (
	little  = 6 // characters: fewer are no password
	few     = 5 // different ones: fewer are none either
	minWord = 3 // characters of a word that counts
	several = 3 // of the most common passwords one after the other are no more than one
)

// guessable says why a password is one of the first that are tried, or "".
func guessable(password string, words []string) Refusal {
	text := strings.Join(strings.Fields(fold(password)), "")
	if isCommon(text) {
		return errCommon
	}
	if isFamous(text) {
		return errFamous
	}
	rest, some := without(text, words)
	if some && (!strings.ContainsFunc(rest, isLetter) || isSimple(rest) || isCommon(rest)) {
		return errContext
	}
	if isSimple(text) || repeats(text) {
		return errSequence
	}
	if combined(text, lookalikes.Replace(text), several, little-1) {
		return errCombined
	}
	return ""
}

// fold is the form in which passwords and words are compared: case, width, accents over
// ASCII and what is not seen don't make a difference to whoever guesses.
func fold(s string) string {
	s = strings.Map(func(r rune) rune {
		if isUnseen(r) {
			return -1
		}
		return r
	}, s)
	base := rune(0)
	s = strings.Map(func(r rune) rune {
		if !unicode.Is(unicode.M, r) {
			base = r
		} else if base < utf8.RuneSelf {
			return -1
		}
		return r
	}, norm.NFKD.String(s))
	return strings.ToLower(norm.NFC.String(s))
}

// isUnseen tells what leaves no trace on a screen: controls, format characters, tags,
// variation selectors, fillers and the like. White space is not among it.
func isUnseen(r rune) bool {
	return !unicode.IsSpace(r) &&
		(r == '\u2800' || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector))
}

// lookalikes are ASCII, so that offsets stay.
var lookalikes = strings.NewReplacer("0", "o", "1", "i", "!", "i", "|", "i", "l", "i", "3", "e", "4", "a", "@", "a",
	"5", "s", "$", "s", "7", "t", "+", "t", "8", "b", "9", "g")

// isLetter is not what passwords are padded with.
func isLetter(r rune) bool {
	if r < utf8.RuneSelf {
		return unicode.IsLetter(r)
	}
	return !unicode.IsDigit(r) && !unicode.IsPunct(r) && !unicode.IsSpace(r)
}

// isCommon tells whether a text is in the list of common passwords, itself or what is left
// of it without some digits and punctuation at its ends, in any spelling of look-alikes.
func isCommon(text string) bool {
	key := lookalikes.Replace(text)
	first, last := strings.IndexFunc(text, isLetter), strings.LastIndexFunc(text, isLetter)
	if last < first+minWord-1 || last-first >= longestCommon {
		return has(commons(), key) // the padding is all there is, or there is more than a common password has
	}
	for from := max(0, last-longestCommon); from <= first; from++ {
		for to := last + 1; to <= min(len(text), from+longestCommon); to++ {
			if to-from > minWord && has(commons(), key[from:to]) {
				return true
			}
		}
	}
	return false
}

// combined tells whether a text is made of at most so many of the most common passwords
// and, before, between and after them, so many digits and punctuation. The key is the text
// in the spelling of look-alikes.
func combined(text, key string, words, signs int) bool {
	if text == "" {
		return true
	}
	if r, size := utf8.DecodeRuneInString(text); signs > 0 && !isLetter(r) && combined(text[size:], key[size:], words, signs-1) {
		return true
	}
	for n := minWord; words > 0 && n <= min(len(key), longestFirst); n++ {
		if has(firsts(), key[:n]) && combined(text[n:], key[n:], words-1, signs) {
			return true
		}
	}
	return false
}

// isFamous tells whether the letters of a text are a famous phrase and hardly more.
func isFamous(text string) bool {
	key, most := letters(lookalikes.Replace(text)), len(letters(text))
	return slices.ContainsFunc(famous, func(phrase string) bool {
		return most < len(phrase)+little && strings.Contains(key, lookalikes.Replace(phrase))
	})
}

func letters(text string) string {
	return strings.Map(func(r rune) rune {
		if isLetter(r) {
			return r
		}
		return -1
	}, text)
}

// repeats tells whether a text is one part twice or more, digits and punctuation aside.
func repeats(text string) bool {
	bare := letters(text)
	return isPeriodic(text) || len(bare) >= little && isPeriodic(bare)
}

func isPeriodic(s string) bool {
	for period := 1; period <= (len(s)+1)/2; period++ { // what separates two halves is not repeated
		if strings.HasPrefix(s, s[period:]) {
			return true
		}
	}
	return false
}

// rows are what is next to each other in the mind, or under the fingers.
var rows = func() (all []string) {
	for _, row := range []string{"abcdefghijklmnopqrstuvwxyz", "01234567890123456789", "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "azertyuiop", "yxcvbnm"} {
		back := []rune(row)
		slices.Reverse(back)
		all = append(all, row, string(back))
	}
	return all
}()

// isSimple tells whether little is left of a text if each piece of a row, of whose
// characters each may come twice or more, or of one character, counts once, or whether it
// has hardly any two characters that differ.
func isSimple(text string) bool {
	text = string(slices.Compact([]rune(text)))
	left, seen := 0, map[rune]bool{}
	for s := text; s != ""; left++ {
		n := run(s)
		for _, r := range s[:n] {
			seen[r] = true
		}
		s = s[n:]
	}
	return left < little || len(seen) < few
}

// run is how many bytes at the start of a text are in a row, if three characters or more
// are; else the first one's.
func run(text string) int {
	first, n := utf8.DecodeRuneInString(text)
	for _, row := range rows {
		i := strings.IndexRune(row, first)
		if i < 0 {
			continue
		}
		same := 0
		for same < len(text) && i+same < len(row) && text[same] == row[i+same] {
			same++
		}
		if same >= 3 {
			n = max(n, same)
		}
	}
	return n
}

// without is what is left of a text without the words, and whether it had any.
func without(text string, words []string) (rest string, some bool) {
	key, gone := lookalikes.Replace(text), make([]bool, len(text))
	for _, word := range parts(words) {
		for from := 0; ; {
			i := strings.Index(key[from:], word)
			if i < 0 {
				break
			}
			from += i
			for range len(word) {
				gone[from] = true
				from++
			}
			some = true
		}
	}
	left := make([]byte, 0, len(text))
	for i := range gone {
		if !gone[i] {
			left = append(left, text[i])
		}
	}
	return string(left), some
}

// parts are the words as they are, without what stands between their letters, and what
// that separates, in the spelling of look-alikes.
func parts(words []string) (all []string) {
	between := func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }
	for _, word := range words {
		word = fold(word)
		split := strings.FieldsFunc(word, between)
		for _, part := range append(split, word, strings.Join(split, "")) {
			if utf8.RuneCountInString(part) >= minWord {
				all = append(all, lookalikes.Replace(part))
			}
		}
	}
	return all
}
