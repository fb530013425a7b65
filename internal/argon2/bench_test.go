package argon2

import (
	"testing"

	xargon2 "golang.org/x/crypto/argon2"
)

// BenchmarkKey compares one call at the server's default parameters with x/crypto's.
func BenchmarkKey(b *testing.B) {
	const time, memory, threads, keyLen = 2, 19456, 1, 32
	password, salt := []byte("correct horse"), []byte("battery staple")
	defer func(k kernel) { using = k }(using)
	for _, using = range kernels {
		b.Run(using.String(), func(b *testing.B) {
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
		})
	}
	b.Run("xcrypto", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			xargon2.IDKey(password, salt, time, memory, threads, keyLen)
		}
	})
}
