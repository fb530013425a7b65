package ostiaryauth

import (
	"encoding/base64"
	"strings"
)

const (
	maxToken     = 16 << 10  // of a JWT in Authorization; Ostiary makes none beyond 12 KiB
	maxAssertion = 256 << 10 // of an assertion, whose lists are never cut
)

// jws is a compact JWS (RFC 7515 section 7.1) whose signature nobody has looked at.
type jws struct {
	alg, kid           string
	signed             string // what the signature is over
	payload, signature []byte
}

// parseJWS reads a compact JWS in its only spelling. Its header must be exactly alg, kid and typ, as Ostiary
// writes it: there is no room for jwk, jku, x5u and x5c, which would bring a key along, nor for crit and b64, which
// would change the rules (RFC 8725 sections 3.10 and 3.11).
func parseJWS(compact, typ string, limit int) (t jws, err error) {
	if len(compact) > limit {
		return t, invalid("too long")
	}
	if strings.Count(compact, ".") != 2 { // a JWE has five parts
		return t, invalid("not three parts")
	}
	last := strings.LastIndexByte(compact, '.')
	t.signed = compact[:last]
	first := strings.IndexByte(compact, '.')
	header, ok := decode(compact[:first])
	if !ok {
		return t, invalid("header: not canonical base64url")
	}
	if t.payload, ok = decode(compact[first+1 : last]); !ok {
		return t, invalid("claims: not canonical base64url")
	}
	if t.signature, ok = decode(compact[last+1:]); !ok || len(t.signature) == 0 {
		return t, invalid("signature: absent, or not canonical base64url")
	}
	h, err := parseObject(header)
	if err != nil {
		return t, invalid("header: " + err.Error())
	}
	t.alg, t.kid = h.text("alg"), h.text("kid")
	if len(h) != 3 || t.alg == "" || t.kid == "" || !h.is("typ", typ) {
		return t, invalid(`header: not alg, kid, and typ "` + typ + `"`)
	}
	return t, nil
}

// decode decodes the one base64url text of some bytes, without padding. Go's decoder alone would skip line ends, and
// take any value for the bits that the last character has to spare unless it is strict (RFC 4648 section 3.5).
func decode(text string) ([]byte, bool) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return b, err == nil
}

// opaque tells whether a text is an opaque token: 32 bytes in standard base64 with padding, in its only spelling.
func opaque(text string) bool {
	if len(text) != 44 || strings.ContainsAny(text, "\r\n") {
		return false
	}
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	return err == nil && len(b) == 32
}
