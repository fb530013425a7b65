package token

import "crypto/sha256"

// HashForeign is the SHA-256 of an opaque token's text that another server made, by which it is stored. It is false for
// what is no word of visible ASCII, or longer than a header may be.
func HashForeign(text string) ([32]byte, bool) {
	if text == "" || len(text) > MaxSize {
		return [32]byte{}, false
	}
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return [32]byte{}, false
		}
	}
	return sha256.Sum256([]byte(text)), true
}
