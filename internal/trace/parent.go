package trace

import "encoding/hex"

// Parent is what a traceparent header says (W3C Trace Context, section 3.2).
type Parent struct {
	Trace   [16]byte
	ID      [8]byte
	Sampled bool
}

// ParseParent reads a traceparent. Of a version that is not known yet, it reads what all
// versions begin with (section 4).
func ParseParent(text string) (p Parent, ok bool) {
	const length = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if len(text) < length || text[2] != '-' || text[35] != '-' || text[52] != '-' {
		return p, false
	}
	version, flags := make([]byte, 1), make([]byte, 1)
	if !lowerHex(version, text[:2]) || !lowerHex(p.Trace[:], text[3:35]) || !lowerHex(p.ID[:], text[36:52]) || !lowerHex(flags, text[53:55]) {
		return Parent{}, false
	}
	switch {
	case version[0] == 0xff, version[0] == 0 && len(text) > length, len(text) > length && text[length] != '-':
		return Parent{}, false
	case p.Trace == [16]byte{}, p.ID == [8]byte{}:
		return Parent{}, false
	}
	p.Sampled = flags[0]&1 == 1
	return p, true
}

// lowerHex decodes hexadecimal digits, of which the letters are small.
func lowerHex(to []byte, text string) bool {
	for i := range len(text) {
		if c := text[i]; c >= 'A' && c <= 'F' {
			return false
		}
	}
	n, err := hex.Decode(to, []byte(text))
	return err == nil && n == len(to)
}
