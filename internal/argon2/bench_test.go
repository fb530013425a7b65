package argon2

import (
	"testing"

	xargon2 "golang.org/x/crypto/argon2"
)

// BenchmarkKey compares one call at the server's default parameters with x/crypto's.
func BenchmarkKey(b *testing.B) {
	const time, memory, threads, keyLen = 2, 19456, 1, 32
	password, salt := []byte("correct horse"), []byte("battery staple")
	own := func(avx2 bool) func(*testing.B) {
		return func(b *testing.B) {
			detected := useAVX2
			defer func() { useAVX2 = detected }()
			useAVX2 = avx2
			b.ReportAllocs()
			var buffer Buffer
			if _, err := buffer.Key(password, salt, time, memory, threads, keyLen); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := buffer.Key(password, salt, time, memory, threads, keyLen); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	if useAVX2 {
		b.Run("AVX2", own(true))
	}
	b.Run("generic", own(false))
	b.Run("xcrypto", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			xargon2.IDKey(password, salt, time, memory, threads, keyLen)
		}
	})
}
