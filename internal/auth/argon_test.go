package auth_test

import (
	"encoding/base64"
	"testing"

	"golang.org/x/crypto/argon2"
)

// argon2Tag is the tag of a PHC string with other parameters than the server's own.
func argon2Tag(t *testing.T, password, salt string, time, memory uint32) string {
	t.Helper()
	return base64.RawStdEncoding.EncodeToString(argon2.IDKey([]byte(password), []byte(salt), time, memory, 1, 32))
}
