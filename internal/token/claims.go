package token

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// Claims are the members of a JWT's payload. In what Parse returns, numbers are json.Number, spelled
// as they were signed, since a float64 would change integers from 2^53 on.
type Claims map[string]any

// dates are the claims that must be a NumericDate wherever they stand.
var dates = [...]string{"exp", "iat", "nbf", "auth_time"}

// maxDate is the last second of the year 9999, beyond which no date makes sense.
const maxDate = 253402300799

// String is the claim's text, and "" if it is absent or no text.
func (c Claims) String(name string) string {
	s, _ := c[name].(string)
	return s
}

// Is tells whether the claim is exactly this text. Nothing is equal to the empty text or to an absent claim,
// a list is no text even if it holds it, and case counts: so an aud or token_use matches or does not.
func (c Claims) Is(name, text string) bool {
	return text != "" && c.String(name) == text
}

// Time is the moment of a claim that is a NumericDate (RFC 7519 section 2), in UTC, and the zero Time if
// the claim is absent or none.
func (c Claims) Time(name string) time.Time {
	t, _ := numericDate(c[name])
	return t
}

// numericDate reads seconds since 1970 without leap seconds, which may have a fraction.
// Negative ones and those beyond the year 9999 are refused.
func numericDate(v any) (time.Time, bool) {
	var seconds int64
	switch n := v.(type) {
	case int:
		seconds = int64(n)
	case int64:
		seconds = n
	case json.Number:
		var err error
		if seconds, err = strconv.ParseInt(string(n), 10, 64); err != nil {
			return fractionalDate(string(n))
		}
	default:
		return time.Time{}, false
	}
	if seconds < 0 || seconds > maxDate {
		return time.Time{}, false
	}
	return time.Unix(seconds, 0).UTC(), true
}

func fractionalDate(number string) (time.Time, bool) {
	f, err := strconv.ParseFloat(number, 64) // 1e400 is an error
	if err != nil || !(f >= 0 && f <= maxDate) {
		return time.Time{}, false
	}
	seconds, fraction := math.Modf(f)
	return time.Unix(int64(seconds), int64(fraction*1e9)).UTC(), true
}

// wholeDate tells whether a claim goes on the wire as an integer that reads back as a date.
func wholeDate(v any) bool {
	switch n := v.(type) {
	case int, int64:
	case json.Number:
		if _, err := strconv.ParseInt(string(n), 10, 64); err != nil {
			return false
		}
	default:
		return false
	}
	_, ok := numericDate(v)
	return ok
}

// payload is the claims as they are signed: compact JSON with its names in order, nothing escaped for HTML.
func (c Claims) payload() ([]byte, error) {
	for _, name := range dates {
		v, present := c[name]
		if !present && (name == "exp" || name == "iat") {
			return nil, fmt.Errorf("token: claims without %s", name)
		}
		if present && !wholeDate(v) {
			return nil, fmt.Errorf("token: claim %s of type %T is no date in whole seconds", name, v)
		}
	}
	for name, v := range c {
		// The encoder would write U+FFFD, and so make one name of two.
		if s, ok := v.(string); ok && !utf8.ValidString(s) {
			return nil, fmt.Errorf("token: claim %s is not UTF-8", name)
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(map[string]any(c)); err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
