package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math"

	"github.com/google/uuid"
)

// A refresh token is
//
//	version (1 byte, 1) | session (16 bytes) | generation (8 bytes, big endian) | HMAC-SHA256 of these (32 bytes)
//
// in base64url. Nothing of it is stored: the same generation can be minted again for an honest retry,
// and garbage is refused without asking the store.
const (
	refreshVersion = 1
	refreshBody    = 1 + 16 + 8
	refreshSize    = refreshBody + sha256.Size
)

// RefreshKey is a realm's key for its refresh tokens. It prints as "[secret]".
type RefreshKey [32]byte

// Mint makes the refresh token of a session's generation, the same one each time.
// A negative generation makes a token that Parse refuses.
func (k RefreshKey) Mint(session uuid.UUID, generation int64) string {
	b := make([]byte, 0, refreshSize)
	b = append(b, refreshVersion)
	b = append(b, session[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(generation))
	return url.EncodeToString(k.appendMAC(b, b))
}

// Parse tells which session and generation a refresh token is of. It is false for any text that
// Mint did not make under this key. The MAC is compared in constant time.
func (k RefreshKey) Parse(token string) (session uuid.UUID, generation int64, ok bool) {
	b := make([]byte, refreshSize)
	if !sized(url, b, token) {
		return uuid.Nil, 0, false
	}
	body, mac := b[:refreshBody], b[refreshBody:]
	if !hmac.Equal(mac, k.appendMAC(nil, body)) {
		return uuid.Nil, 0, false
	}
	number := binary.BigEndian.Uint64(body[1+16:])
	if body[0] != refreshVersion || number > math.MaxInt64 {
		return uuid.Nil, 0, false
	}
	return uuid.UUID(body[1 : 1+16]), int64(number), true
}

func (k RefreshKey) appendMAC(dst, body []byte) []byte {
	mac := hmac.New(sha256.New, k[:])
	mac.Write(body)
	return mac.Sum(dst)
}

// Format keeps the key out of what is printed, whatever the verb.
func (RefreshKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue keeps the key out of logs.
func (RefreshKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText keeps the key out of JSON and every other text encoding.
func (RefreshKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }
