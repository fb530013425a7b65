package auth

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/bidi"
	"golang.org/x/text/unicode/norm"
)

const maxName = 255 // code points of a username or an e-mail address

// leftToRight is UsernameCaseMapped without the Bidi Rule, which is for strings that
// contain right-to-left code points (RFC 8265, section 3.3.2); the library's profile
// would hold "1ë" to it.
var leftToRight = precis.NewIdentifier(precis.FoldWidth, precis.LowerCase(), precis.Norm(norm.NFC))

// hasRightToLeft tells whether text contains such a code point (RFC 5893, section 1.4).
func hasRightToLeft(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool {
		p, _ := bidi.LookupRune(r)
		return p.Class() == bidi.R || p.Class() == bidi.AL || p.Class() == bidi.AN
	})
}

// nameKey is the form in which usernames and e-mail addresses are compared:
// PRECIS UsernameCaseMapped (RFC 8265, section 3.3). It is empty for text that
// can't be a name, which then names nobody.
func nameKey(name string) string {
	if !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxName {
		return ""
	}
	profile := precis.UsernameCaseMapped
	if !hasRightToLeft(name) {
		profile = leftToRight
	}
	key, err := profile.String(name)
	if err != nil {
		return ""
	}
	return key
}

// prefixKey is the form in which the beginning of a name is compared. The Bidi Rule is for
// whole names.
func prefixKey(text string) (string, error) {
	key := ""
	if utf8.ValidString(text) && utf8.RuneCountInString(text) <= maxName {
		key, _ = leftToRight.String(text)
	}
	if key == "" {
		return "", Errorf(CodeInvalidInput, "%q: no name begins so", text)
	}
	return key, nil
}

// registerName checks a name that is to be stored and returns its key. The mapping
// may change the case of letters and nothing else, so that nobody can register a
// lookalike that maps onto another's name.
func registerName(what, name string) (string, error) {
	key := nameKey(name)
	if key == "" {
		return "", Errorf(CodeInvalidInput, "%s %q: only letters, digits and visible ASCII characters can stand in it, up to %d", what, name, maxName)
	}
	mapped := []rune(key)
	for _, r := range name {
		if len(mapped) == 0 || !sameButCase(r, mapped[0]) {
			return "", Errorf(CodeInvalidInput, "%s %q: it would be compared as %q, which differs by more than case", what, name, key)
		}
		mapped = mapped[1:]
	}
	if len(mapped) > 0 {
		return "", Errorf(CodeInvalidInput, "%s %q: it would be compared as %q, which differs by more than case", what, name, key)
	}
	return key, nil
}

// ParseID reads an account's id as it is shown: no username looks like one.
func ParseID(text string) (uuid.UUID, bool) {
	id, err := uuid.Parse(text)
	return id, err == nil && len(text) == len(id.String())
}

func sameButCase(r, mapped rune) bool {
	return r == mapped || unicode.ToLower(r) == mapped && unicode.ToUpper(mapped) == r
}

// nameKeys checks an account's username and e-mail address and returns the keys
// that it takes in the realm's one namespace of both.
func nameKeys(username, email string) ([]string, error) {
	if username == "" && email == "" {
		return nil, Errorf(CodeInvalidInput, "an account needs a username or an e-mail address")
	}
	var keys []string
	if email != "" {
		key, err := registerName("e-mail address", email)
		if err != nil {
			return nil, err
		}
		local, domain, ok := strings.Cut(key, "@")
		if !ok || local == "" || domain == "" || strings.Contains(domain, "@") || strings.Contains(key, ":") {
			return nil, Errorf(CodeInvalidInput, "e-mail address %q: it needs one @ between a name and a domain, and no colon", email)
		}
		keys = append(keys, key)
	}
	if username == "" {
		return keys, nil
	}
	key, err := registerName("username", username)
	if err != nil {
		return nil, err
	}
	if len(keys) == 1 && keys[0] == key {
		return keys, nil
	}
	if strings.Contains(key, ":") {
		return nil, Errorf(CodeInvalidInput, "username %q: a colon would end it where name and password are sent together (RFC 7617)", username)
	}
	if _, ok := ParseID(username); ok {
		return nil, Errorf(CodeInvalidInput, "username %q: it looks like the id of an account", username)
	}
	if strings.Contains(key, "@") {
		return nil, Errorf(CodeInvalidInput, "username %q: a username with @ must be the account's own e-mail address", username)
	}
	return append(keys, key), nil
}
