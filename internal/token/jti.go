package token

import "github.com/google/uuid"

// jtiRandom is how many random bytes a jti has beside its session.
const jtiRandom = 12

// JTI makes the identifier of a new JWT (RFC 7519 section 4.1.7), of which the session can be read:
// the 16 bytes of the session and 12 random ones, in base64url.
func JTI(session uuid.UUID) string {
	return url.EncodeToString(append(session[:], random(jtiRandom)...))
}

// SessionOf is the session that a jti names. It is false for any text that JTI could not have made.
func SessionOf(jti string) (uuid.UUID, bool) {
	var b [16 + jtiRandom]byte
	if !sized(url, b[:], jti) {
		return uuid.Nil, false
	}
	return uuid.UUID(b[:16]), true
}
