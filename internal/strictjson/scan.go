package strictjson

import (
	"unicode/utf16"
	"unicode/utf8"
)

func (d *decoder) space() {
	for d.pos < len(d.data) {
		switch d.data[d.pos] {
		case ' ', '\t', '\n', '\r':
			d.pos++
		default:
			return
		}
	}
}

// take steps over c if it comes next.
func (d *decoder) take(c byte) bool {
	if d.pos < len(d.data) && d.data[d.pos] == c {
		d.pos++
		return true
	}
	return false
}

// peek is the next byte, and 0 at the end, which no value starts with.
func (d *decoder) peek() byte {
	if d.pos < len(d.data) {
		return d.data[d.pos]
	}
	return 0
}

func (d *decoder) literal(word string) error {
	if rest := d.data[d.pos:]; len(rest) < len(word) || string(rest[:len(word)]) != word {
		return refuse("is not valid JSON")
	}
	d.pos += len(word)
	return nil
}

// text reads a string and returns its bytes, which may be part of the input.
func (d *decoder) text() ([]byte, error) {
	if !d.take('"') {
		return nil, refuse("is not valid JSON")
	}
	start, ascii, plain := d.pos, true, true
	for d.pos < len(d.data) {
		switch c := d.data[d.pos]; {
		case c == '"':
			raw := d.data[start:d.pos]
			d.pos++
			if !ascii && !utf8.Valid(raw) {
				return nil, refuse("is not valid UTF-8")
			}
			if plain {
				return raw, nil
			}
			return unescape(raw), nil
		case c == '\\':
			plain = false
			if err := d.escape(); err != nil {
				return nil, err
			}
		case c < ' ':
			return nil, refuse("has a control character in a string")
		default:
			ascii = ascii && c < utf8.RuneSelf
			d.pos++
		}
	}
	return nil, refuse("ends too early")
}

// escape checks the escape sequence that starts here, the second half of a
// surrogate pair included (RFC 8259 section 7), and steps over it.
func (d *decoder) escape() error {
	rest := d.data[d.pos:]
	if len(rest) < 2 {
		return refuse("ends too early")
	}
	switch rest[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		d.pos += 2
		return nil
	case 'u':
		r, ok := hex4(rest[2:])
		if !ok {
			return refuse("is not valid JSON")
		}
		d.pos += 6
		if !utf16.IsSurrogate(r) {
			return nil
		}
		if len(rest) >= 12 && rest[6] == '\\' && rest[7] == 'u' {
			low, ok := hex4(rest[8:])
			if ok && utf16.DecodeRune(r, low) != utf8.RuneError {
				d.pos += 6
				return nil
			}
		}
		return refuse("has a lone surrogate")
	}
	return refuse("is not valid JSON")
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// unescape resolves the escapes of a string that was checked before.
func unescape(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		c := raw[i]
		if c != '\\' {
			out = append(out, c)
			i++
			continue
		}
		c = raw[i+1]
		i += 2
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r, _ := hex4(raw[i:])
			i += 4
			if utf16.IsSurrogate(r) {
				low, _ := hex4(raw[i+2:])
				r = utf16.DecodeRune(r, low)
				i += 6
			}
			out = utf8.AppendRune(out, r)
			continue
		}
		out = append(out, c)
	}
	return out
}

// number steps over a number and says whether it is written as an integer.
func (d *decoder) number() (raw []byte, integer bool, err error) {
	start := d.pos
	d.take('-')
	if !d.take('0') && !d.digits() {
		return nil, false, refuse("is not valid JSON")
	}
	integer = true
	if d.take('.') {
		if integer = false; !d.digits() {
			return nil, false, refuse("is not valid JSON")
		}
	}
	if d.take('e') || d.take('E') {
		integer = false
		if !d.take('+') {
			d.take('-')
		}
		if !d.digits() {
			return nil, false, refuse("is not valid JSON")
		}
	}
	return d.data[start:d.pos], integer, nil
}

func (d *decoder) digits() bool {
	start := d.pos
	for d.pos < len(d.data) && d.data[d.pos]-'0' <= 9 {
		d.pos++
	}
	return d.pos > start
}
