package web

import (
	"encoding/base64"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/ostiary/ostiary/internal/auth"
)

// Authorization splits the Authorization header (RFC 9110 section 11.6.2) into
// its scheme in lower case and the credentials. A word alone is a scheme without
// credentials if it names one that Ostiary knows, and else credentials without a
// scheme.
func Authorization(h http.Header) (scheme, value string) {
	return credential(h["Authorization"])
}

// Authentication is Authorization for the header of that name, which some
// clients send instead.
func Authentication(h http.Header) (scheme, value string) {
	return credential(h["Authentication"])
}

// BesideToken refuses a login whose name and password are in its body, if a header has a credential
// of the scheme Token, which is cloudio's: that dialect may be mounted elsewhere, and read this one.
func BesideToken(h http.Header) error {
	a, _ := Authorization(h)
	b, _ := Authentication(h)
	if a == "token" || b == "token" {
		return auth.Errorf(auth.CodeInvalidInput, "two credentials in one request")
	}
	return nil
}

func credential(values []string) (scheme, value string) {
	if len(values) != 1 {
		return "", ""
	}
	word, value, more := strings.Cut(strings.Trim(values[0], " \t"), " ")
	for _, known := range [...]string{"bearer", "basic", "token"} {
		if strings.EqualFold(word, known) {
			return known, strings.TrimLeft(value, " ")
		}
	}
	if !more {
		return "", word
	}
	return strings.ToLower(word), strings.TrimLeft(value, " ")
}

// Basic decodes the credentials of RFC 7617: standard base64, with padding or
// without, of "user:password". What is not valid UTF-8 is read as ISO-8859-1,
// which is what the btoa of browsers sends. The first colon separates, so that
// passwords may contain colons.
func Basic(value string) (user, password string, ok bool) {
	encoding := base64.StdEncoding
	if !strings.HasSuffix(value, "=") {
		encoding = base64.RawStdEncoding
	}
	if strings.ContainsAny(value, "\r\n") { // which the decoder would skip
		return "", "", false
	}
	raw, err := encoding.Strict().DecodeString(value)
	if err != nil {
		return "", "", false
	}
	text := string(raw)
	if !utf8.Valid(raw) {
		runes := make([]rune, len(raw))
		for i, b := range raw {
			runes[i] = rune(b)
		}
		text = string(runes)
	}
	return strings.Cut(text, ":")
}
