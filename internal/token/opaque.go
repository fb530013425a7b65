package token

import (
	"crypto/rand"
	"crypto/sha256"
	"strings"
)

// secretSize is the size of whatever is only random: 256 bits (ASVS 7.2.3 asks for 128).
const secretSize = 32

// ServicePrefix begins every service secret, so that the secret tells which check it needs,
// and scanners of source code can find one that leaked.
const ServicePrefix = "ostsvc_"

// NewOpaque makes a token that only its hash can recognize: 32 random bytes in standard base64 with padding.
func NewOpaque() (token string, hash [32]byte) {
	token = standard.EncodeToString(random(secretSize))
	return token, sha256.Sum256([]byte(token))
}

// HashOpaque is the SHA-256 of an opaque token's text, by which it is stored. It is false for any text
// that NewOpaque could not have made. A fast hash is enough for a secret that can't be guessed.
func HashOpaque(token string) ([32]byte, bool) {
	var secret [secretSize]byte
	if !sized(standard, secret[:], token) {
		return [32]byte{}, false
	}
	var text [longestSized]byte
	return sha256.Sum256(append(text[:0], token...)), true
}

// NewServiceSecret makes the secret that a service account has instead of a password:
// the prefix and 32 random bytes in base64url.
func NewServiceSecret() (secret string, hash [32]byte) {
	secret = ServicePrefix + url.EncodeToString(random(secretSize))
	return secret, sha256.Sum256([]byte(secret))
}

// HashServiceSecret is the SHA-256 of a service secret's text, by which it is stored. It is false for any
// text that NewServiceSecret could not have made.
func HashServiceSecret(secret string) ([32]byte, bool) {
	rest, ok := strings.CutPrefix(secret, ServicePrefix)
	if !ok {
		return [32]byte{}, false
	}
	var random [secretSize]byte
	if !sized(url, random[:], rest) {
		return [32]byte{}, false
	}
	return sha256.Sum256([]byte(secret)), true
}

func random(size int) []byte {
	b := make([]byte, size)
	rand.Read(b) // never fails: it ends the process instead
	return b
}
