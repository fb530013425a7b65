package ostiaryauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// Leeway is how far ahead of ours the clock may be that wrote iat and nbf. exp has none: a token is refused from
// that second on.
const Leeway = 60 * time.Second

const (
	maxDepth = 16           // of nested JSON
	maxDate  = 253402300799 // the last second of the year 9999
)

// object is a JSON object whose names are as they were spelled, each there once. Numbers are json.Number.
type object map[string]any

// parseObject reads a text that is one JSON object. Encoding/json alone would take names in any case, and the last
// of several (RFC 7515 section 4 has a JWS with two of a name refused, RFC 7519 section 4 a JWT).
func parseObject(text []byte) (object, error) {
	if !utf8.Valid(text) || !json.Valid(text) {
		return nil, errors.New("no JSON")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := parseValue(d, 0)
	if err != nil {
		return nil, err
	}
	o, ok := v.(object)
	if !ok {
		return nil, errors.New("no JSON object")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	return o, nil
}

func parseValue(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	opening, nested := t.(json.Delim)
	if !nested {
		return t, nil
	}
	if depth == maxDepth {
		return nil, errors.New("JSON nested too deep")
	}
	var v any
	if opening == '{' {
		v, err = parseMembers(d, depth)
	} else {
		list := []any{}
		for err == nil && d.More() {
			var item any
			item, err = parseValue(d, depth+1)
			list = append(list, item)
		}
		v = list
	}
	if err != nil {
		return nil, err
	}
	_, err = d.Token() // the closing one
	return v, err
}

func parseMembers(d *json.Decoder, depth int) (object, error) {
	o := object{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := t.(string)
		if _, twice := o[name]; twice {
			return nil, errors.New("a name is there twice")
		}
		if o[name], err = parseValue(d, depth+1); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// text is a member that is a text, and "" if it is absent or none.
func (o object) text(name string) string {
	s, _ := o[name].(string)
	return s
}

// is tells whether a member is exactly this text. Nothing is equal to the empty text or to an absent member; a list
// is no text even if it holds it, and case counts (RFC 8725 section 3.9).
func (o object) is(name, text string) bool { return text != "" && o.text(name) == text }

// lacks tells whether none of the members is there.
func (o object) lacks(names ...string) bool {
	for _, name := range names {
		if _, present := o[name]; present {
			return false
		}
	}
	return true
}

// list is a member that is a list of texts. An absent one is an empty one; of anything else ok is false.
func (o object) list(name string) (texts []string, ok bool) {
	v, present := o[name]
	if !present {
		return nil, true
	}
	items, ok := v.([]any)
	if !ok {
		return nil, false
	}
	for _, item := range items {
		s, ok := item.(string)
		if !ok {
			return nil, false
		}
		texts = append(texts, s)
	}
	return texts, true
}

// date is a member that is a NumericDate (RFC 7519 section 2), which may have a fraction. Dates before 1970 and
// after 9999 are none.
func (o object) date(name string) (time.Time, bool) {
	n, ok := o[name].(json.Number)
	if !ok {
		return time.Time{}, false
	}
	if seconds, err := strconv.ParseInt(string(n), 10, 64); err == nil {
		return time.Unix(seconds, 0).UTC(), seconds >= 0 && seconds <= maxDate
	}
	f, err := strconv.ParseFloat(string(n), 64) // 1e400 is an error
	if err != nil || !(f >= 0 && f <= maxDate) {
		return time.Time{}, false
	}
	seconds, fraction := math.Modf(f)
	return time.Unix(int64(seconds), int64(fraction*1e9)).UTC(), true
}

// checkDates checks the claims that say when a JWT is good (RFC 7519 sections 4.1.4 to 4.1.6).
func checkDates(c object, now time.Time) error {
	exp, ok := c.date("exp")
	if !ok {
		return invalid("exp: absent or no date")
	}
	iat, ok := c.date("iat")
	if !ok {
		return invalid("iat: absent or no date")
	}
	if _, present := c["nbf"]; present {
		nbf, ok := c.date("nbf")
		if !ok {
			return invalid("nbf: no date")
		}
		if nbf.After(now.Add(Leeway)) {
			return invalid("nbf: not yet good")
		}
	}
	if iat.After(now.Add(Leeway)) {
		return invalid("iat: in the future")
	}
	if !exp.After(now) {
		return invalid("exp: expired")
	}
	return nil
}
