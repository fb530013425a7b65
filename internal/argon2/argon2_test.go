package argon2

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"testing"

	xargon2 "golang.org/x/crypto/argon2"
)

// eachKernel runs a test with each kernel that this machine can run.
func eachKernel(t *testing.T, test func(t *testing.T)) {
	defer func(k kernel) { using = k }(using)
	for _, using = range kernels {
		t.Run(using.String(), test)
	}
}

func TestKey_PublicVector(t *testing.T) {
	const want = "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7"
	eachKernel(t, func(t *testing.T) {
		var b Buffer
		got, err := b.Key([]byte("password"), []byte("somesalt"), 2, 65536, 1, 32)
		if err != nil {
			t.Fatal(err)
		}
		if hex.EncodeToString(got) != want {
			t.Errorf("got %x, want %s", got, want)
		}
	})
}

// RFC 9106, section 5.3.
func TestKey_RFC9106Vector(t *testing.T) {
	const want = "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"
	eachKernel(t, func(t *testing.T) {
		var b Buffer
		got, err := b.key(bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 16),
			bytes.Repeat([]byte{3}, 8), bytes.Repeat([]byte{4}, 12), 3, 32, 4, 32)
		if err != nil {
			t.Fatal(err)
		}
		if hex.EncodeToString(got) != want {
			t.Errorf("got %x, want %s", got, want)
		}
	})
}

func TestKey_LikeXCrypto(t *testing.T) {
	password, salt := []byte("correct horse"), []byte("battery staple")
	eachKernel(t, func(t *testing.T) {
		var b Buffer // one for all, so that every call finds what another has left
		for _, memory := range []uint32{4096, 0, 1, 7, 8, 9, 31, 32, 33, 64, 100, 511, 512, 513, 520, 1024, 1031} {
			for time := uint32(1); time <= 4; time++ {
				for threads := uint8(1); threads <= 4; threads++ {
					keyLen := MinKeyLen + (memory*7+time*31+uint32(threads))%200
					want := xargon2.IDKey(password, salt, time, memory, threads, keyLen)
					got, err := b.Key(password, salt, time, memory, threads, keyLen)
					if err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(got, want) {
						t.Errorf("t=%d m=%d p=%d len=%d: got %x, want %x", time, memory, threads, keyLen, got, want)
					}
				}
			}
		}
	})
}

// The lengths around which the hash of variable length changes its course.
func TestKey_EveryLength(t *testing.T) {
	var b Buffer
	for keyLen := uint32(MinKeyLen); keyLen <= 300; keyLen++ {
		want := xargon2.IDKey([]byte("password"), nil, 1, 8, 1, keyLen)
		got, err := b.Key([]byte("password"), nil, 1, 8, 1, keyLen)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("len=%d: got %x, %v; want %x", keyLen, got, err, want)
		}
	}
}

func TestKey_ManyLanes(t *testing.T) {
	eachKernel(t, func(t *testing.T) {
		var b Buffer
		want := xargon2.IDKey([]byte("password"), []byte("somesalt"), 2, 5000, 255, 32)
		got, err := b.Key([]byte("password"), []byte("somesalt"), 2, 5000, 255, 32)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("got %x, %v; want %x", got, err, want)
		}
	})
}

func TestKey_OutOfRange(t *testing.T) {
	for _, c := range []struct {
		time, memory uint32
		threads      uint8
		keyLen       uint32
	}{
		{0, 64, 1, 32},
		{1, 64, 0, 32},
		{1, 64, 1, 0},
		{1, 64, 1, MinKeyLen - 1},
		{1, 64, 1, MaxKeyLen + 1},
		{1, 64, 1, math.MaxUint32},
		{1, MaxMemory + 1, 1, 32},
		{1, math.MaxUint32, 255, 32},
		{0, 0, 0, 0},
	} {
		t.Run(fmt.Sprintf("t=%d,m=%d,p=%d,len=%d", c.time, c.memory, c.threads, c.keyLen), func(t *testing.T) {
			var b Buffer
			key, err := b.Key([]byte("password"), []byte("somesalt"), c.time, c.memory, c.threads, c.keyLen)
			if !errors.Is(err, ErrParameter) || key != nil {
				t.Errorf("got %x, %v; want ErrParameter", key, err)
			}
			if b.mem != nil {
				t.Error("memory was allocated before the parameters were checked")
			}
		})
	}
}
