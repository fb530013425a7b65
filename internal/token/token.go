// Package token makes and reads every token of the server. It knows nothing of accounts or stores:
// what a token is good for is decided elsewhere, from what is read here.
//
//	JWT             three dotted parts, signed by a key of the realm (RFC 7519)   Sign, Parse
//	opaque          44 characters of standard base64, stored as a hash            NewOpaque, HashOpaque
//	service secret  "ostsvc_" and 43 characters, stored as a hash                 NewServiceSecret, HashServiceSecret
//	refresh         76 characters of base64url, MACed and not stored              RefreshKey
//	jti             38 characters of base64url inside a JWT, names the session    JTI, SessionOf
//
// No text is a token of two kinds: their lengths and alphabets keep them apart. Each token has exactly one
// spelling, so that whoever compares, counts or hashes texts sees every use. An ES256 JWT alone has two,
// since ECDSA takes (r, n-s) for (r, s): what names a JWT is its jti, never its text.
package token

import "encoding/base64"

// The two alphabets of RFC 4648, section 4 with padding and section 5 without.
var (
	standard = base64.StdEncoding
	url      = base64.RawURLEncoding
)

// canonical decodes a text that is the one encoding of its bytes. Go's decoder alone would skip line ends and,
// unless strict, take any value for the bits that the last character has to spare (RFC 4648 section 3.5).
func canonical(encoding *base64.Encoding, text string) ([]byte, bool) {
	decoded, err := encoding.DecodeString(text)
	if err != nil || encoding.EncodeToString(decoded) != text {
		return nil, false
	}
	return decoded, true
}

// longestSized is at least how long the text of a token is that is only bytes: 76 characters.
const longestSized = 80

// sized is canonical for a text of exactly as many bytes as there is room for. It allocates nothing: it is asked for
// each request. Texts of any other length cost nothing at all.
func sized(encoding *base64.Encoding, into []byte, text string) bool {
	var source, decoded, again [longestSized]byte
	if len(text) != encoding.EncodedLen(len(into)) || len(text) > longestSized {
		return false
	}
	n, err := encoding.Decode(decoded[:], append(source[:0], text...))
	if err != nil || n != len(into) || string(encoding.AppendEncode(again[:0], decoded[:n])) != text {
		return false
	}
	copy(into, decoded[:n])
	return true
}

// redacted is what a secret prints and marshals as.
const redacted = "[secret]"
