package argon2

import (
	"bytes"
	"testing"

	xargon2 "golang.org/x/crypto/argon2"
)

// FuzzKey_LikeXCrypto compares the tags of every kernel with x/crypto's, in one
// Buffer that lives as long as the fuzzer.
func FuzzKey_LikeXCrypto(f *testing.F) {
	f.Add([]byte("password"), []byte("somesalt"), uint8(2), uint16(64), uint8(1), uint16(32))
	f.Add([]byte("password"), []byte("somesalt"), uint8(1), uint16(1500), uint8(1), uint16(64))
	f.Add([]byte(""), []byte(""), uint8(4), uint16(0), uint8(4), uint16(4))
	f.Add(bytes.Repeat([]byte("x"), 200), bytes.Repeat([]byte("y"), 130), uint8(3), uint16(999), uint8(3), uint16(97))
	fastest := using
	f.Cleanup(func() { using = fastest })
	var b Buffer
	f.Fuzz(func(t *testing.T, password, salt []byte, time uint8, memory uint16, threads uint8, keyLen uint16) {
		passes, kib, lanes := uint32(time%4)+1, uint32(memory%2048), threads%4+1
		size := uint32(keyLen%512) + MinKeyLen
		want := xargon2.IDKey(password, salt, passes, kib, lanes, size)
		for _, using = range kernels {
			got, err := b.Key(password, salt, passes, kib, lanes, size)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("t=%d m=%d p=%d len=%d %v: got %x, want %x", passes, kib, lanes, size, using, got, want)
			}
		}
	})
}
