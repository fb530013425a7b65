// Package seal keeps secrets at rest: whatever must be read back later (TOTP secrets, private signing keys)
// is stored encrypted under one master key, which is never in the database.
//
// A sealed value is
//
//	version (1 byte, 1) | nonce (12 bytes) | ciphertext | tag (16 bytes)
//
// under AES-256-GCM (NIST SP 800-38D) with a random nonce. The version and the name of the row that the value belongs to
// are associated data, so that a sealed value moved to another row does not open. The master key itself
// encrypts nothing: each use has a key of its own, derived by HKDF-SHA256 (RFC 5869).
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
)

// KeySize is the size of the master key, and of every key derived from it, in bytes.
const KeySize = 32

const (
	version  = 1
	overhead = 1 + 12 + 16 // version, nonce, tag

	// The uses of the master key. No label given to Derive can name one of the others.
	useSeal        = "ostiary seal v1"
	useFingerprint = "ostiary fingerprint v1"
	useDerive      = "ostiary derive v1 "
)

// ErrOpen says that a sealed value is damaged, belongs to another row, or was sealed under another master key.
var ErrOpen = errors.New("seal: the sealed value does not open with this master key")

// Key is the master key. The zero Key is none: it opens nothing, and sealing with it panics.
// It is safe for concurrent use, and prints as "[secret]".
type Key struct {
	m *material
}

// Pointers twice over: printing a struct with an unexported Key in it does not ask String, and shows
// what one pointer leads to if the verb is a wrong one.
type material struct {
	master *[KeySize]byte
	aead   cipher.AEAD
}

// New makes a random master key.
func New() Key {
	master := new([KeySize]byte)
	rand.Read(master[:]) // never fails: it crashes the program instead
	return newKey(master)
}

func newKey(master *[KeySize]byte) Key {
	block, err := aes.NewCipher(expand(master, useSeal))
	if err != nil {
		panic(err) // only for a key of another size
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // only for a block of another size
	}
	return Key{&material{master: master, aead: aead}}
}

func expand(master *[KeySize]byte, use string) []byte {
	key, err := hkdf.Key(sha256.New, master[:], nil, use, KeySize)
	if err != nil {
		panic(err) // only for more than 255 blocks of output
	}
	return key
}

// Seal encrypts plain for the row of that name, such as "factor/<id>". The same row opens it.
func (k Key) Seal(plain []byte, row string) []byte {
	if k.m == nil {
		panic("seal: no master key")
	}
	sealed := make([]byte, 1, len(plain)+overhead)
	sealed[0] = version
	return k.m.aead.Seal(sealed, nil, plain, associated(row))
}

// Open decrypts what Seal made for the same row under the same master key; any other input gives ErrOpen.
func (k Key) Open(sealed []byte, row string) ([]byte, error) {
	if k.m == nil || len(sealed) < overhead || sealed[0] != version {
		return nil, ErrOpen
	}
	plain, err := k.m.aead.Open(nil, nil, sealed[1:], associated(row))
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}

func associated(row string) []byte {
	return append([]byte{version}, row...)
}

// Derive makes the 32-byte key of that label: the same one each time, and independent of every other label's.
func (k Key) Derive(label string) []byte {
	if k.m == nil {
		panic("seal: no master key")
	}
	return expand(k.m.master, useDerive+label)
}

// Fingerprint names the key without giving it away: 32 hexadecimal digits, to be kept in a database
// so that opening that database under another key is noticed at once.
func (k Key) Fingerprint() string {
	if k.m == nil {
		return ""
	}
	return hex.EncodeToString(expand(k.m.master, useFingerprint)[:16])
}

// String keeps the key out of what is printed.
func (Key) String() string { return "[secret]" }

// GoString keeps the key out of what is printed with %#v.
func (Key) GoString() string { return "[secret]" }

// LogValue keeps the key out of logs.
func (Key) LogValue() slog.Value { return slog.StringValue("[secret]") }

// MarshalText keeps the key out of JSON and every other text encoding.
func (Key) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }
